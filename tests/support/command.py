"""The command `banter` as people run it: a process of its own, with an environment that says nothing of banter."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

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


def output_of(*arguments: str | Path, **settings: object) -> str:
    """What a command prints, which has to succeed and to complain of nothing."""
    done = banter(*arguments, **settings)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def complaint_of(*arguments: str | Path, status: int = 1, **settings: object) -> str:
    """The one line that a command which has to fail says."""
    done = banter(*arguments, **settings)
    assert done.returncode == status, done
    assert done.stdout == ""
    assert re.fullmatch(r"banter: [^\n]+\n", done.stderr), done.stderr
    return done.stderr.strip()


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
        except BaseException:
            self.kill()
            self._folder.cleanup()
            raise
        (line,) = [line for line in self.log.splitlines() if '"event":"serving"' in line]
        self.port = int(json.loads(line)["port"])
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
