"""Calls of which no two are alike, by HTTP/2 written by hand, so that they cost little beside the server.

    python -m bench.pump PLAN ROWS

PLAN is a file with a `Plan` as JSON. ROWS takes each call's start and duration in microseconds, as 64-bit integers.
Prints an `Outcome` as JSON. Ends with 1 and one line where calls are left without an answer.
"""

from __future__ import annotations

import functools
import json
import os
import select
import socket
import struct
import sys
import time
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Final

from hpack import Decoder, Encoder

TEXT_BYTES: Final = 32
"""What makes a call unlike all others: so many random hexadecimal digits, the last bytes of its message."""

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME = struct.Struct(">BHBBI")
"""Length in two parts, type, flags, stream."""
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK, _END_STREAM, _END_HEADERS, _OTHER_FLAGS = 1, 1, 4, 0xFF & ~(1 | 4)
_NO_TABLE = struct.pack(">HI", 1, 0)
"""The server remembers no headers: then each block of them can be read alone."""
_WINDOW, _MOST_WINDOW = 65535, 2**31 - 1
_CHUNK = 1 << 15
_STATUS = b"grpc-status"
_OK = b"\x0b" + _STATUS + b"\x010"
"""A status of 0, where nothing is compressed."""
_CONNECT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What is called, how often, with how many calls in flight. Messages, which take turns, are in hexadecimal; each is
    sent with a text of its own behind it, which its length counts in. After `patience` seconds of silence it gives up.
    """

    port: int
    path: str
    metadata: Mapping[str, str]
    messages: Sequence[str]
    connections: int
    streams: int
    calls: int
    patience: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many calls were answered with each grpc-status, and the CPU of this process from the first to the last."""

    statuses: Mapping[str, int]
    cpu_seconds: float


class PumpError(Exception):
    """Calls are left without an answer; the text is one line that says why."""


class Calls:
    """What is to be called still, and what was answered: `rows` has each call's start and duration in turn."""

    def __init__(self, messages: Sequence[str], calls: int) -> None:
        begun = [bytes.fromhex(message) for message in messages]
        self._messages = cycle(b"\0" + (len(one) + TEXT_BYTES).to_bytes(4) + one for one in begun)
        self.most_bytes = 5 + max(map(len, begun)) + TEXT_BYTES
        self.left = self.unanswered = calls
        self.rows = array("q")
        self.statuses: Counter[str] = Counter()

    def next(self) -> bytes:
        """The DATA of the next call."""
        self.left -= 1
        return next(self._messages) + os.urandom(TEXT_BYTES // 2).hex().encode()

    def answered(self, start: int, now: int, trailers: bytes) -> None:
        """A call is over."""
        self.unanswered -= 1
        self.rows.extend((start, now - start))
        self.statuses["0" if _OK in trailers else _status(trailers)] += 1


class Connection:
    """One connection, with up to so many calls in flight."""

    def __init__(self, plan: Plan, calls: Calls) -> None:
        self._calls = calls
        self._free = plan.streams
        self._starts: dict[int, int] = {}
        self._stream = 1
        self._window = _WINDOW
        self._unread = b""
        self._received = 0
        headers = [(":method", "POST"), (":scheme", "http"), (":path", plan.path), (":authority", "127.0.0.1")]
        headers += [("te", "trailers"), ("content-type", "application/grpc"), *plan.metadata.items()]
        encoder = Encoder()
        # The first call puts them into the server's table, where the others find them: as a client's library does.
        self._block, self._next_block = encoder.encode(headers), encoder.encode(headers)
        self._out = [_PREFACE, _frame(_SETTINGS, 0, 0, _NO_TABLE), _window_update(_MOST_WINDOW - _WINDOW)]
        self._socket = socket.create_connection(("127.0.0.1", plan.port), _CONNECT_SECONDS)
        self._socket.setblocking(True)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        """To wait by."""
        return self._socket.fileno()

    def send(self) -> None:
        """Start as many calls as may be in flight, and answer what the server asked."""
        out, calls, now = self._out, self._calls, _micros()
        while self._free and calls.left and self._window >= calls.most_bytes:
            data = calls.next()
            stream, block = self._stream, self._block
            out += (
                _FRAME.pack(0, len(block), _HEADERS, _END_HEADERS, stream),
                block,
                _FRAME.pack(0, len(data), _DATA, _END_STREAM, stream),
                data,
            )
            self._starts[stream] = now
            self._stream, self._block = stream + 2, self._next_block
            self._window -= len(data)
            self._free -= 1
        if out:
            self._socket.sendall(b"".join(out))
            out.clear()

    def read(self) -> None:
        """Take what came."""
        got = self._socket.recv(_CHUNK)
        if not got:
            raise PumpError("the server hung up")
        now = _micros()
        data = self._unread + got
        place, end = 0, len(data)
        while end - place >= _FRAME.size:
            high, low, kind, flags, stream = _FRAME.unpack_from(data, place)
            begin = place + _FRAME.size
            after = begin + (high << 16) + low
            if after > end:
                break
            place = after
            if kind > _HEADERS:
                self._control(kind, flags, stream, data[begin:after])
                continue
            if kind == _DATA:
                self._received += after - begin
            if flags & _END_STREAM:
                if kind == _DATA or flags != _END_STREAM | _END_HEADERS:
                    raise PumpError("an answer has no trailers, or padded ones")
                self._free += 1
                self._calls.answered(self._starts.pop(stream), now, data[begin:after])
        self._unread = data[place:]
        if self._received > _MOST_WINDOW // 2:
            self._out.append(_window_update(self._received))
            self._received = 0

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _WINDOW_UPDATE:
            if stream == 0:
                self._window += int.from_bytes(payload)
        elif kind in (_SETTINGS, _PING):
            if not flags & _ACK:
                self._out.append(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind in (_RST_STREAM, _GOAWAY):
            name, code = ("RST_STREAM", payload) if kind == _RST_STREAM else ("GOAWAY", payload[4:8])
            raise PumpError(f"the server sent {name} with error code {int.from_bytes(code)}")


def pump(plan: Plan) -> tuple[Outcome, array[int]]:
    """Make the calls of a plan, and wait for all answers; raises `PumpError` if one does not come."""
    calls = Calls(plan.messages, plan.calls)
    connections = [Connection(plan, calls) for _ in range(plan.connections)]
    try:
        with select.epoll() as ready:
            for connection in connections:
                ready.register(connection, select.EPOLLIN)
            before = time.process_time()
            _run(ready, {connection.fileno(): connection for connection in connections}, calls, plan.patience)
            spent = time.process_time() - before
    finally:
        for connection in connections:
            connection.close()
    return Outcome(dict(calls.statuses), spent), calls.rows


def _run(ready: select.epoll, connections: Mapping[int, Connection], calls: Calls, patience: float) -> None:
    for connection in connections.values():
        connection.send()
    while calls.unanswered:
        events = ready.poll(patience)
        if not events:
            raise PumpError(f"{calls.unanswered} calls have no answer, and none came for {patience:g} s")
        for number, _ in events:
            connection = connections[number]
            connection.read()
            connection.send()


@functools.lru_cache
def _status(block: bytes) -> str:
    """The grpc-status of a block of headers, or why there is none."""
    return {bytes(name): bytes(value) for name, value in Decoder().decode(block, raw=True)}.get(
        _STATUS, b"none"
    ).decode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _FRAME.pack(0, len(payload), kind, flags, stream) + payload


def _window_update(more: int) -> bytes:
    return _frame(_WINDOW_UPDATE, 0, 0, more.to_bytes(4))


def _micros() -> int:
    return time.monotonic_ns() // 1000


def main(plan: str, rows: str) -> int:
    """Run the plan in one file, and write the rows into the other."""
    try:
        outcome, answered = pump(Plan(**json.loads(Path(plan).read_text())))
    except (PumpError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    Path(rows).write_bytes(answered.tobytes())
    print(json.dumps(asdict(outcome)))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
