"""The processes that are measured: the service and the echo."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import LiteralString, Protocol, Self

import grpc
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from bench import cpu, database, echo
from bench.errors import BenchError
from bench.load import Fresh, Target
from bench.trust import Trust

_START_SECONDS = 60
_STOP_SECONDS = 40
_CALL_SECONDS = 10


class Served(Protocol):
    """A running server: what is sent to it, and what it says of itself."""

    @property
    def target(self) -> Target: ...

    def answered(self) -> Counter[str]:
        """How many calls of the target's method were answered so far, by the name of their status."""
        ...

    def made(self) -> int | None:
        """How many rows its calls have made so far, each one; None where that is not counted."""
        ...

    def used(self) -> float:
        """Seconds of CPU that it has used so far."""
        ...


class Process:
    """A module of the bench run as a server, which ends when we do. Its output is kept in memory.

    `started` tells from the output whether it serves. Raises `BenchError` if that does not come.
    """

    def __init__(
        self, module: str, *arguments: str, started: Callable[[str], bool], environment: Mapping[str, str] | None = None
    ) -> None:
        ours = {key: value for key, value in os.environ.items() if not key.startswith("BANTER_")}
        self._output = os.memfd_create(module)
        fcntl.fcntl(self._output, fcntl.F_SETFL, os.O_APPEND)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=Path(__file__).parent.parent,
            env={**ours, **(environment or {})},
            stdin=subprocess.PIPE,  # closed by our end, however that comes: see lifetime.py
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,  # Ctrl-C is for us, who then end it
        )
        try:
            self._wait(module, started)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def used(self) -> float:
        """Seconds of CPU that it has used, with all that it has started."""
        return cpu.used(self._process.pid)

    def output(self) -> str:
        """What it has written since it was last forgotten."""
        return os.pread(self._output, os.fstat(self._output).st_size, 0).decode(errors="replace")

    def forget(self) -> None:
        """Drop its output, which for a server that logs its calls grows."""
        os.ftruncate(self._output, 0)

    def stop(self) -> None:
        """End it: gently, and if that takes too long at once."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        os.close(self._output)

    def _wait(self, module: str, started: Callable[[str], bool]) -> None:
        end = time.monotonic() + _START_SECONDS
        while not started(self.output()):
            if self._process.poll() is not None or time.monotonic() > end:
                lines = self.output().strip().splitlines() or ["it said nothing"]
                raise BenchError(f"{module} does not start: {lines[-1]}")
            time.sleep(0.05)


class Service(Process):
    """`banter serve` on a database; `settings` go before the bench's own, by their names in `Settings`."""

    def __init__(self, trust: Trust, url: str, settings: Mapping[str, str] | None = None, *, workers: int = 1) -> None:
        self._port, self._metrics_port = _free_port(), _free_port()
        self._url = url
        environment = {
            "BANTER_DATABASE_URL": url,
            "BANTER_ISSUERS": trust.issuers,
            "BANTER_PHONE_HASH_KEY": "a key of the bench, of 32 characters",
            "BANTER_LOG_FORMAT": "json",
            **{f"BANTER_{name.upper()}": value for name, value in (settings or {}).items()},
        }
        super().__init__(
            "bench.service",
            *(f"--port={self._port}", f"--metrics-port={self._metrics_port}", f"--workers={workers}"),
            started=lambda _: self._serving() == workers,
            environment=environment,
        )
        self._metadata = {"authorization": f"Bearer {trust.token()}"}

    def asked(
        self,
        path: str,
        request: Callable[[int], bytes],
        fresh: Fresh | None = None,
        made: LiteralString | None = None,
    ) -> ServiceAsked:
        """The service as the server of one method, with what its clients send, counted by the query `made`."""
        target = Target(self._port, path, request, self._metadata, fresh)
        return ServiceAsked(self, target, lambda: database.count(self._url, made))

    def answers(self, path: str) -> Counter[str]:
        """The calls of a method that were answered so far, by its metrics."""
        found: Counter[str] = Counter()
        for sample in self._samples():
            if sample.name == "rpc_server_call_duration_seconds_count" and sample.labels["method"] == path:
                found[sample.labels["code"]] += int(sample.value)
        return found

    def _serving(self) -> int:
        """How many workers serve."""
        try:
            return len({sample.labels["worker"] for sample in self._samples()})
        except OSError:
            return 0

    def _samples(self) -> list[Sample]:
        address = f"http://127.0.0.1:{self._metrics_port}/metrics"
        with urllib.request.urlopen(address, timeout=_CALL_SECONDS) as response:
            text = response.read().decode()
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


@dataclass(frozen=True, slots=True)
class ServiceAsked:
    """A service that is sent one method's requests."""

    service: Service
    target: Target
    made: Callable[[], int | None]

    def answered(self) -> Counter[str]:
        """By the service's metrics. Its log until now is dropped."""
        self.service.forget()
        return self.service.answers(self.target.path)

    def used(self) -> float:
        """With all of its workers."""
        return self.service.used()


class EchoServer:
    """The bare server, in as many processes as there are workers: it is sent what `like` sends, and answers
    `answer_bytes` bytes.
    """

    def __init__(self, like: Target, answer_bytes: int, *, workers: int = 1) -> None:
        self._processes: list[Process] = []
        port = 0
        self._own: list[int] = []
        try:
            for _ in range(workers):
                process = Process("bench.echo", str(answer_bytes), str(port), started=_has_ports)
                self._processes.append(process)
                port, own = map(int, process.output().split())
                self._own.append(own)
        except BaseException:
            self.stop()
            raise
        self.target = replace(like, port=port, path=f"/{echo.SERVICE}/Answer")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all processes."""
        for process in self._processes:
            process.stop()

    def used(self) -> float:
        """In all processes."""
        return sum(process.used() for process in self._processes)

    def made(self) -> None:
        """Nothing."""

    def answered(self) -> Counter[str]:
        """By its own count."""
        path = f"/{echo.SERVICE}/Count"
        return Counter({"OK": sum(int(call(Target(own, path, lambda _: b"", {}))) for own in self._own)})


def call(target: Target) -> bytes:
    """One call, the first client's, and its answer; raises `BenchError`, with the status, if it fails."""
    with grpc.insecure_channel(f"127.0.0.1:{target.port}") as channel:
        ask = channel.unary_unary(target.path)
        try:
            return ask(target.example(), timeout=_CALL_SECONDS, metadata=tuple(target.metadata.items()))
        except grpc.RpcError as error:
            code, details = error.code(), error.details()  # pyright: ignore[reportAttributeAccessIssue] - a Call too
            raise BenchError(f"{target.path} answers {code.name}: {details}") from None


def _has_ports(output: str) -> bool:
    return re.fullmatch(r"\d+ \d+\n", output) is not None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
