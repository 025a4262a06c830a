"""The command `banter` as people run it, with an environment that says nothing of banter.

`banter` is a process of its own. `banter_here` runs the same `main` within this process, which spares a start and its
imports, a second of CPU: what a command prints, its exit status and what it does to a database are the same. A process
of its own is for what changes a process for good (whatever serves), and for what only a process shows: that the exit
status gets out, signals, the terminal, what is imported.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import chdir, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from banter_grpc.cli import main
from banter_grpc.database.embedded import EmbeddedError, EmbeddedPostgres
from tests.support.processes import ROOT, eventually

PHONE_HASH_KEY = "a key of the tests, of 32 characters"
COMMAND = [sys.executable, "-m", "banter_grpc"]


def environment(**settings: object) -> dict[str, str]:
    """The environment with these settings of banter's and no others, and our programs on the PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BANTER_", "PG", "GRPC_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**kept, "PATH": path, **{f"BANTER_{name.upper()}": str(value) for name, value in settings.items()}}


def banter(*arguments: str | Path, timeout: float = 60, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        check=False,
        cwd=ROOT,
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def banter_here(*arguments: str | Path, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end within this process, from the main thread: one that does not serve."""
    words = [str(word) for word in arguments]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with _signals(), _logging(), _environment(environment(**settings)), chdir(ROOT), _streams(out, err):
            status = main(words)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, status, out.read().decode(), err.read().decode())


def output_of(*arguments: str | Path, **settings: object) -> str:
    """What a command prints, run here, which has to succeed and to complain of nothing."""
    done = banter_here(*arguments, **settings)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def complaint_of(*arguments: str | Path, status: int = 1, **settings: object) -> str:
    """The one line that a command says, run here, which has to fail."""
    return complaint(banter_here(*arguments, **settings), status)


def complaint(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    """The one line that a command said which had to fail."""
    assert done.returncode == status, done
    assert done.stdout == ""
    assert re.fullmatch(r"banter: [^\n]+\n", done.stderr), done.stderr
    return done.stderr.strip()


@contextmanager
def _streams(out: IO[bytes], err: IO[bytes]) -> Generator[None]:
    """What is printed goes there, whether by Python, by libraries in C or by programs that are started inside."""
    before, kept = (sys.stdin, sys.stdout, sys.stderr), [os.dup(number) for number in range(3)]
    try:
        with open(os.devnull, "rb") as nothing:
            for number, file in enumerate((nothing, out, err)):
                os.dup2(file.fileno(), number)
        with (
            open(0, closefd=False) as sys.stdin,
            open(1, "w", closefd=False) as sys.stdout,
            open(2, "w", buffering=1, closefd=False) as sys.stderr,
        ):
            yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        for number, copy in enumerate(kept):
            os.dup2(copy, number)
            os.close(copy)


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Generator[None]:
    """The environment is this one; what is the same is not set again, since other threads may read it meanwhile."""
    before = dict(os.environ)
    _set_environment(wanted)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(wanted: Mapping[str, str]) -> None:
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in wanted.items() if os.environ.get(name) != value})


@contextmanager
def _logging() -> Generator[None]:
    """Nobody has asked for logs yet, as when a process begins."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@contextmanager
def _signals() -> Generator[None]:
    """What handles signals afterwards is what did before."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@contextmanager
def embedded_folder() -> Generator[Path]:
    """A short folder that every account can enter; a server in it is stopped at the end."""
    made = Path(tempfile.mkdtemp(prefix="banter-cli-")).resolve()
    made.chmod(0o755)
    try:
        yield made / "pg"
    finally:
        with suppress(EmbeddedError):
            EmbeddedPostgres(made / "pg").stop()
        shutil.rmtree(made, ignore_errors=True)


class Serving:
    """`banter dev` or `banter serve` on a free port. Leaving the block kills it, and leaves its PostgreSQL alone."""

    def __init__(self, *arguments: str | Path, **settings: object) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="banter-serving-")
        self._out, self._log = Path(self._folder.name, "out"), Path(self._folder.name, "log")
        started = time.monotonic()
        with self._out.open("wb") as out, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *COMMAND,
                    *map(str, arguments),
                    "--port",
                    "0",
                    *(["--workers", "1"] if arguments[0] == "serve" else []),
                ],
                cwd=ROOT,
                env=environment(log_format="json", **settings),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
            )
        try:
            eventually(lambda: self._process.poll() is not None or '"event":"serving"' in self.log, 120)
            assert self._process.poll() is None, self.log
            if arguments[0] == "dev":
                eventually(lambda: "Paste" in self.printed or "banter token" in self.printed)
            (line,) = [line for line in self.log.splitlines() if '"event":"serving"' in line]
            self.port = int(json.loads(line)["port"])
        except BaseException:
            self.kill()
            self._folder.cleanup()
            raise
        self.seconds_to_ready = time.monotonic() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        self._folder.cleanup()

    @property
    def printed(self) -> str:
        return self._out.read_text()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def lines(self, beginning: str) -> list[str]:
        """The printed lines that begin so, without what is before them."""
        return [line.strip() for line in self.printed.splitlines() if line.strip().startswith(beginning)]

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        self._process.send_signal(number)

    def wait(self, timeout: float = 30) -> int:
        """Its exit status."""
        return self._process.wait(timeout)

    def kill(self) -> None:
        """kill -9, and reap."""
        self._process.kill()
        self._process.wait(30)
