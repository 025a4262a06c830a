"""Calls by h2load, from nghttp2: it costs little beside the server, and looks at no grpc-status."""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError, MissingToolError
from bench.sample import Sample, sample_of

_CONNECTIONS = 8
_MISSING = "h2load is not installed: `apt-get install nghttp2-client` on Debian and Ubuntu, else see nghttp2.org"


@dataclass(frozen=True, slots=True)
class Shape:
    """How many calls are in flight: on each of `connections`, `streams` at once."""

    connections: int
    streams: int

    @classmethod
    def of(cls, in_flight: int) -> Shape:
        """On up to 8 connections, as many on each."""
        connections = math.gcd(in_flight, _CONNECTIONS)
        return cls(connections, in_flight // connections)

    @property
    def in_flight(self) -> int:
        """Calls in flight on all connections."""
        return self.connections * self.streams


@dataclass(frozen=True, slots=True)
class Target:
    """One unary method of a server on loopback, with the request and the metadata that are sent to it."""

    port: int
    path: str
    request: bytes
    metadata: Mapping[str, str]


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
        self._body = work / "h2load.body"
        self._log = work / "h2load.log"

    def version(self) -> str:
        """As it says itself."""
        done = subprocess.run([self._program, "--version"], capture_output=True, text=True, check=False, timeout=10)
        return done.stdout.strip()

    def run(self, target: Target, shape: Shape, calls: int, timeout: float) -> Sample:
        """Make exactly `calls` calls and wait for all answers; raises `BenchError` if one got none.

        By number, not by time: at the end of a time h2load would cut off what is in flight.
        """
        self._body.write_bytes(b"\0" + len(target.request).to_bytes(4) + target.request)
        self._log.unlink(missing_ok=True)
        try:
            done = subprocess.run(
                [*self._command(target, shape), f"--requests={calls}"],
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us, who then end it
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"{target.path}: {calls} calls took more than {timeout:.0f} s; is it stuck?") from None
        answered = list(self._answered())
        if done.returncode or len(answered) != calls:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            raise BenchError(f"{target.path}: h2load got {len(answered)} answers to {calls} calls ({lines[-1]})")
        return sample_of(answered)

    def _command(self, target: Target, shape: Shape) -> list[str]:
        metadata = {"content-type": "application/grpc", "te": "trailers", **target.metadata}
        return [
            self._program,
            f"--clients={shape.connections}",
            f"--max-concurrent-streams={shape.streams}",
            "--threads=1",
            f"--data={self._body}",
            f"--log-file={self._log}",
            *(f"--header={key}: {value}" for key, value in metadata.items()),
            f"http://127.0.0.1:{target.port}{target.path}",
        ]

    def _answered(self) -> Iterator[tuple[int, int]]:
        """Start and duration of every call that was answered 200, which says nothing of its grpc-status."""
        if not self._log.exists():
            return
        with self._log.open() as lines:
            for line in lines:
                start, status, duration = line.split("\t")[:3]
                if status == "200":
                    yield int(start), int(duration)
