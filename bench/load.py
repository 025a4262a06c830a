"""Calls by h2load, from nghttp2: it costs little beside the server, and looks at no grpc-status."""

from __future__ import annotations

import math
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError, MissingToolError
from bench.sample import Sample, sample_of

_CONNECTIONS = 8
_CONNECTIONS_OF_MANY = 32
_CLIENTS = 64
_MISSING = "h2load is not installed: `apt-get install nghttp2-client` on Debian and Ubuntu, else see nghttp2.org"


@dataclass(frozen=True, slots=True)
class Shape:
    """How many calls are in flight: of each of `clients`, on each of its `connections`, `streams` at once.

    A client is one h2load: it sends one request over and over.
    """

    connections: int
    streams: int
    clients: int = 1

    @classmethod
    def of(cls, in_flight: int, *, workers: int = 1, spread: bool = False) -> Shape:
        """On up to 8 connections, as many on each; on up to 32 for workers, as the kernel deals them out by chance.

        To spread calls over requests takes a client for each request: up to 64, of one connection.
        """
        if spread:
            clients = math.gcd(in_flight, _CLIENTS)
            return cls(1, in_flight // clients, clients)
        connections = math.gcd(in_flight, _CONNECTIONS if workers == 1 else _CONNECTIONS_OF_MANY)
        return cls(connections, in_flight // connections)

    @property
    def in_flight(self) -> int:
        """Calls in flight on all connections."""
        return self.clients * self.connections * self.streams

    def __str__(self) -> str:
        clients = f"{self.clients} clients x " if self.clients > 1 else ""
        return f"{clients}{self.connections} connections x {self.streams} streams"


@dataclass(frozen=True, slots=True)
class Fresh:
    """How no call is like another: a text of its own in the field of that number, below 16. The requests of so many
    clients take turns.
    """

    field: int
    clients: int

    def before(self, text_bytes: int) -> bytes:
        """What stands between a request and its text."""
        return bytes((self.field << 3 | 2, text_bytes))


@dataclass(frozen=True, slots=True)
class Target:
    """One unary method of a server on loopback, with what is sent to it: each client's request, and the metadata."""

    port: int
    path: str
    request: Callable[[int], bytes]
    metadata: Mapping[str, str]
    fresh: Fresh | None = None

    def example(self) -> bytes:
        """A whole request of the first client."""
        request = self.request(0)
        if self.fresh is None:
            return request
        text = secrets.token_hex(16).encode()
        return request + self.fresh.before(len(text)) + text


def find() -> str:
    """The installed h2load; raises `MissingToolError` where there is none."""
    found = shutil.which("h2load")
    if found is None:
        raise MissingToolError(_MISSING)
    return found


class H2Load:
    """The h2load `program`; `work` is a folder for its files."""

    def __init__(self, program: str, work: Path) -> None:
        self._program = program
        self._work = work

    def version(self) -> str:
        """As it says itself."""
        done = subprocess.run([self._program, "--version"], capture_output=True, text=True, check=False, timeout=10)
        return done.stdout.strip()

    def run(self, target: Target, shape: Shape, calls: int, timeout: float) -> Sample:
        """Make at least `calls` calls, as many by each client, and wait for all answers; raises `BenchError` if one
        got none.

        By number, not by time: at the end of a time h2load would cut off what is in flight.
        """
        each = math.ceil(calls / shape.clients)
        for client in range(shape.clients):
            request = target.request(client)
            self._body(client).write_bytes(b"\0" + len(request).to_bytes(4) + request)
            self._log(client).unlink(missing_ok=True)
        start, begin = os.pipe()
        try:
            clients = [self._start(target, shape, client, each, start) for client in range(shape.clients)]
        finally:
            os.close(start)
            os.close(begin)
        complaint = self._wait(clients, timeout)
        if complaint == "":
            raise BenchError(f"{target.path}: {calls} calls took more than {timeout:.0f} s; is it stuck?")
        rows = [list(self._answered(client)) for client in range(shape.clients)]
        answered = sum(map(len, rows))
        if complaint is not None or answered != each * shape.clients:
            why = complaint or "answers without 200"
            raise BenchError(f"{target.path}: h2load got {answered} answers to {each * shape.clients} calls ({why})")
        return sample_of(*rows)

    def _start(self, target: Target, shape: Shape, client: int, calls: int, start: int) -> subprocess.Popen[str]:
        """A client that calls when all writers of the pipe `start` are gone: so they call at one time."""
        metadata = {"content-type": "application/grpc", "te": "trailers", **target.metadata}
        command = [
            *("sh", "-c", 'read _; exec "$@"', "sh", self._program),
            f"--clients={shape.connections}",
            f"--max-concurrent-streams={shape.streams}",
            "--threads=1",
            f"--requests={calls}",
            f"--data={self._body(client)}",
            f"--log-file={self._log(client)}",
            *(f"--header={key}: {value}" for key, value in metadata.items()),
            f"http://127.0.0.1:{target.port}{target.path}",
        ]
        return subprocess.Popen(
            command,
            stdin=start,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us, who then end it
        )

    def _wait(self, clients: list[subprocess.Popen[str]], timeout: float) -> str | None:
        """None when all have ended well, empty when the time was over, else what one complains of."""
        complaint: str | None = None
        end = time.monotonic() + timeout
        try:
            for client in clients:
                _, said = client.communicate(timeout=max(0.0, end - time.monotonic()))
                if client.returncode:
                    complaint = (said.strip().splitlines() or ["it said nothing"])[-1]
        except subprocess.TimeoutExpired:
            return ""
        finally:
            for client in clients:
                with suppress(ProcessLookupError):
                    client.kill()
                client.wait()
                assert client.stderr is not None
                client.stderr.close()
        return complaint

    def _body(self, client: int) -> Path:
        return self._work / f"h2load.{client}.body"

    def _log(self, client: int) -> Path:
        return self._work / f"h2load.{client}.log"

    def _answered(self, client: int) -> Iterator[tuple[int, int]]:
        """Start and duration of every call that was answered 200, which says nothing of its grpc-status."""
        if not self._log(client).exists():
            return
        with self._log(client).open() as lines:
            for line in lines:
                start, status, duration = line.split("\t")[:3]
                if status == "200":
                    yield int(start), int(duration)
