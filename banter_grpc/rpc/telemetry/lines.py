"""Lines written off the event loop: whoever logs never waits for a disk, a pipe or a terminal."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TextIO

_BATCH_SECONDS = 0.02
"""How long a line may wait for others, so that many are written at once."""
_MOST_WAITING = 100_000
"""Lines kept for a reader that is too slow; beyond, the oldest are lost, and how many is said."""


class LineWriter:
    """Writes lines to a stream in a thread of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._lost = 0
        self._wake = threading.Event()
        self._writing = threading.Lock()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Take a line, its newline included; it is written soon."""
        if len(self._lines) == _MOST_WAITING:
            self._lost += 1
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Write what has been taken so far."""
        with self._writing:
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            lost, self._lost = self._lost, 0
            if lost:
                lines.append(b'{"level":"warning","event":"log lines lost","lines":%d}\n' % lost)
            if lines:
                self._put(b"".join(lines))

    def close(self) -> None:
        """Write what is left, and end the thread."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait()
            self._wake.clear()
            if not self._closing:
                time.sleep(_BATCH_SECONDS)
            self.flush()

    def _put(self, text: bytes) -> None:
        try:
            binary = getattr(self._stream, "buffer", None)
            if binary is None:
                self._stream.write(text.decode())
            else:
                binary.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads any more: a service does not stop for that
            pass
