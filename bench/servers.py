"""The processes that are measured: the service, the echo, and the PostgreSQL of both."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, Self

import grpc
from prometheus_client.parser import text_string_to_metric_families

from banter_grpc.database.embedded import EmbeddedError, EmbeddedPostgres
from banter_grpc.database.migrations import Migrations
from banter_grpc.database.roles import SERVICE as SERVICE_ROLE
from banter_grpc.rpc.mint import DEV_AUDIENCE, DEV_SERVICE_ISSUER, DevKey, mint
from bench import echo
from bench.errors import BenchError
from bench.load import Target

_START_SECONDS = 30
_STOP_SECONDS = 15
_CALL_SECONDS = 10
_TEMPORARY = Path(tempfile.gettempdir()).resolve()
_PREFIX = f"banter-bench-{os.getuid()}"


class Served(Protocol):
    """A running server: what is sent to it, its process, and what it says of its answers."""

    @property
    def pid(self) -> int: ...
    @property
    def target(self) -> Target: ...

    def answered(self) -> Counter[str]:
        """How many calls of the target's method were answered so far, by the name of their status."""
        ...


class Process:
    """A module of the bench run as a server, which prints its port when it serves and ends when we do.

    Raises `BenchError` if it does not start. `work` is a folder for its files.
    """

    def __init__(self, work: Path, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._complaints = work / f"{module}.stderr"
        ours = {key: value for key, value in os.environ.items() if not key.startswith("BANTER_")}
        with self._complaints.open("wb") as complaints:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=Path(__file__).parent.parent,
                env={**ours, **(environment or {})},
                stdin=subprocess.PIPE,  # closed by our end, however that comes: see lifetime.py
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,  # Ctrl-C is for us, who then end it
            )
        try:
            self.port = self._read_port(module)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it: gently, and if that takes too long at once."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _read_port(self, module: str) -> int:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _START_SECONDS)
        line = self._process.stdout.readline() if ready else b""
        if not line.strip().isdigit():
            lines = self._complaints.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise BenchError(f"{module} does not start: {lines[-1]}")
        return int(line)


class Service(Process):
    """The whole service on a database; `settings` go before the bench's own, by their names in `Settings`."""

    def __init__(
        self, work: Path, url: str, path: str, request: bytes, settings: Mapping[str, str] | None = None
    ) -> None:
        key_file = work / "dev.key"
        token = mint(DevKey.load_or_create(key_file), DEV_SERVICE_ISSUER, DEV_AUDIENCE, "bench", 24 * 3600)
        self._metrics_port = _free_port()
        environment = {
            "BANTER_DATABASE_URL": url,
            "BANTER_PORT": "0",
            "BANTER_METRICS_PORT": str(self._metrics_port),
            **{f"BANTER_{name.upper()}": value for name, value in (settings or {}).items()},
        }
        super().__init__(work, "bench.service", str(key_file), environment=environment)
        self.target = Target(self.port, path, request, {"authorization": f"Bearer {token}"})

    def answered(self) -> Counter[str]:
        """By the service's metrics."""
        address = f"http://127.0.0.1:{self._metrics_port}/metrics"
        with urllib.request.urlopen(address, timeout=_CALL_SECONDS) as response:
            text = response.read().decode()
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "rpc_server_call_duration_seconds_count":
                    if sample.labels["method"] == self.target.path:
                        found[sample.labels["code"]] += int(sample.value)
        return found


class EchoServer(Process):
    """The bare server: it is sent what `like` sends, and answers `answer_bytes` bytes."""

    def __init__(self, work: Path, like: Target, answer_bytes: int) -> None:
        super().__init__(work, "bench.echo", str(answer_bytes))
        self.target = Target(self.port, f"/{echo.SERVICE}/Answer", like.request, like.metadata)

    def answered(self) -> Counter[str]:
        """By its own count."""
        answer = call(Target(self.port, f"/{echo.SERVICE}/Count", b"", {}))
        return Counter({"OK": int(answer)})


def call(target: Target) -> bytes:
    """One call, and its answer; raises `BenchError`, with the status, if it fails."""
    with grpc.insecure_channel(f"127.0.0.1:{target.port}") as channel:
        ask = channel.unary_unary(target.path)
        try:
            return ask(target.request, timeout=_CALL_SECONDS, metadata=tuple(target.metadata.items()))
        except grpc.RpcError as error:
            code, details = error.code(), error.details()  # pyright: ignore[reportAttributeAccessIssue] - a Call too
            raise BenchError(f"{target.path} answers {code.name}: {details}") from None


@contextmanager
def postgres() -> Generator[EmbeddedPostgres]:
    """A migrated PostgreSQL of our own, in a folder that goes with it. What a killed bench left behind goes first."""
    server = EmbeddedPostgres(_TEMPORARY / f"{_PREFIX}-{os.getpid()}")
    try:
        try:
            with _exclusively():
                _sweep()
                server.start()
            Migrations().up(server.url())
            yield server
        finally:
            with _exclusively():
                _remove_unused(server)
    except EmbeddedError as error:
        raise BenchError(str(error)) from None


def postmaster_pid(server: EmbeddedPostgres) -> int:
    """The number of a running server's first process, which has started all of its others."""
    return int((server.folder / "data" / "postmaster.pid").read_text().split()[0])


def service_url(server: EmbeddedPostgres) -> str:
    """The database as the service logs in."""
    return server.url(user=SERVICE_ROLE)


def _sweep() -> None:
    for left in _TEMPORARY.glob(f"{_PREFIX}-*"):
        with suppress(EmbeddedError):
            _remove_unused(EmbeddedPostgres(left))


def _remove_unused(server: EmbeddedPostgres) -> None:
    if server.stop():
        shutil.rmtree(server.folder, ignore_errors=True)


@contextmanager
def _exclusively() -> Generator[None]:
    """While no other bench starts, stops or removes a PostgreSQL."""
    with open(_TEMPORARY / f"{_PREFIX}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
