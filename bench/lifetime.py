"""How a server process of the bench ends: at SIGTERM, or when the bench is gone, however it went."""

from __future__ import annotations

import os
import signal
import stat
import threading


def end_with_parent() -> None:
    """From now on SIGTERM comes when the pipe at standard input is closed, which even kill -9 of its writer does."""
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_wait, name="parent", daemon=True).start()


def _wait() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
