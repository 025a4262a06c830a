"""The ceiling: a statement of ours, driven by PostgreSQL's own pgbench."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from banter_grpc.database.statement import Step
from bench.errors import BenchError, MissingToolError
from bench.sample import Sample, sample_of


class PgBench:
    """The pgbench in the folder `programs`; `work` is a folder for its files. Raises `MissingToolError`."""

    def __init__(self, programs: Path, work: Path) -> None:
        self._program = programs / "pgbench"
        self._script = work / "pgbench.sql"
        self._logs = work / "pgbench.log"
        if not self._program.exists():
            raise MissingToolError(f"{programs} has no pgbench: install PostgreSQL's contrib programs, or `uv sync`")

    def run(self, url: str, step: Step[Any], clients: int, seconds: int) -> Sample:
        """Run the step over and over for `seconds` on `clients` connections, prepared; raises `BenchError`."""
        self._script.write_text(script(step))
        for left in self._written():
            left.unlink()
        command = [
            str(self._program),
            "--no-vacuum",
            "--protocol=prepared",
            f"--client={clients}",
            "--jobs=1",
            f"--time={seconds}",
            f"--file={self._script}",
            "--log",
            f"--log-prefix={self._logs}",
            *(f"--define=p{number}={value}" for number, value in enumerate(step.parameters, 1)),
            url,
        ]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=5 * seconds + 30,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us, who then end it
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"pgbench of {step.statement.name} does not end; is the database stuck?") from None
        answered = list(self._answered())
        if done.returncode or not answered or not re.search(r"failed transactions: 0 ", done.stdout):
            lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            raise BenchError(f"pgbench of {step.statement.name} failed: {lines[-1]}")
        return sample_of(answered)

    def _written(self) -> Iterator[Path]:
        return self._logs.parent.glob(f"{self._logs.name}.*")

    def _answered(self) -> Iterator[tuple[int, int]]:
        """Start and duration of every transaction."""
        for path in self._written():
            with path.open() as lines:
                for line in lines:
                    _, _, duration, _, seconds, micros = line.split()[:6]
                    yield int(seconds) * 1_000_000 + int(micros) - int(duration), int(duration)


def script(step: Step[Any]) -> str:
    """The statement with pgbench's variables ``:p1``, ``:p2``, which it sends as parameters, for ``$1``, ``$2``."""
    return re.sub(r"\$(\d+)", r":p\1", step.statement.sql).rstrip() + ";\n"
