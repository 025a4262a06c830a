"""The ceiling: a unit of ours, driven by PostgreSQL's own pgbench."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from banter_grpc.database.dumping import Dumper
from banter_grpc.database.statement import Step
from bench.cases import ANY, FIRST, NEW, PREFIX, USERS
from bench.errors import BenchError, MissingToolError
from bench.sample import Sample, sample_of

_WARM_UP = 0.5
_AROUND = 2
"""Seconds that it runs beside those that count."""
_PATIENCE = 60
_DRAWN = {ANY: (FIRST, FIRST + USERS - 1), NEW: (1, 2**62)}
_MADE_OF = {ANY: f"('{PREFIX}' || :{ANY})", NEW: f"md5('bench' || :{NEW})"}


@dataclass(frozen=True, slots=True)
class Ran:
    """What the counted transactions were, what each used, and how many there were in all."""

    sample: Sample
    used: float
    transactions: int


class PgBench:
    """The pgbench in the folder `programs`; `work` is a folder for its files. Raises `MissingToolError`."""

    def __init__(self, programs: Path, work: Path) -> None:
        self._program = programs / "pgbench"
        self._script = work / "pgbench.sql"
        self._logs = work / "pgbench.log"
        if not self._program.exists():
            raise MissingToolError(f"{programs} has no pgbench: install PostgreSQL's contrib programs, or `uv sync`")

    def run(self, url: str, steps: Sequence[Step[Any]], clients: int, seconds: int, used: Callable[[], float]) -> Ran:
        """Run the unit over and over on `clients` connections, prepared; what counts are `seconds` of it, when all are
        connected and warm, and what `used` grows by in them. Raises `BenchError`.
        """
        self._script.write_text(script(steps))
        for left in self._written():
            left.unlink()
        command = [
            str(self._program),
            "--no-vacuum",
            "--protocol=prepared",
            f"--client={clients}",
            "--jobs=1",
            f"--time={seconds + _AROUND}",
            f"--file={self._script}",
            "--log",
            f"--log-prefix={self._logs}",
            *(f"--define={name}={value}" for name, value in variables(steps).items()),
            url,
        ]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us, who then end it
        ) as pgbench:
            try:
                self._wait_until_warm(pgbench)
                begin, before = time.time(), used()
                time.sleep(seconds)
                end, after = time.time(), used()
                out, complaints = pgbench.communicate(timeout=seconds + _PATIENCE)
            except subprocess.TimeoutExpired:
                raise BenchError("pgbench does not end; is the database stuck?") from None
            finally:
                pgbench.kill()
        answered = list(self._answered())
        counted = [call for call in answered if begin < sum(call) / 1e6 <= end]
        if pgbench.returncode or not re.search(r"failed transactions: 0 ", out):
            lines = (complaints or out).strip().splitlines() or ["it said nothing"]
            raise BenchError(f"pgbench failed: {lines[-1]}")
        if not counted:
            raise BenchError(f"pgbench made no transaction in {seconds} s: give more --seconds")
        return Ran(sample_of(counted), (after - before) / len(counted), len(answered))

    def _wait_until_warm(self, pgbench: subprocess.Popen[str]) -> None:
        """Its log is buffered: what is there says that many transactions were made."""
        end = time.monotonic() + _PATIENCE
        while pgbench.poll() is None and time.monotonic() < end:
            if any(path.stat().st_size for path in self._written()):
                break
            time.sleep(0.05)
        time.sleep(_WARM_UP)

    def _written(self) -> Iterator[Path]:
        return self._logs.parent.glob(f"{self._logs.name}.*")

    def _answered(self) -> Iterator[tuple[int, int]]:
        """Start and duration of every transaction."""
        for path in self._written():
            with path.open() as lines:
                for line in lines:
                    _, _, duration, _, seconds, micros = line.split()[:6]
                    yield int(seconds) * 1_000_000 + int(micros) - int(duration), int(duration)


def script(steps: Sequence[Step[Any]]) -> str:
    """The unit for pgbench: the service's statements, sent together as one implicit transaction.

    Parameters are variables, ``:p1_2`` for ``$2`` of the first step, which it sends as parameters. It can't send NULL,
    which stands in the text; any user is one whose id it draws, and what is new is made of a number that it draws.
    """
    texts = [_text(step, number) for number, step in enumerate(steps, 1)]
    head = "".join(
        f"\\set {value} random({least}, {most})\n"
        for value, (least, most) in _DRAWN.items()
        if any(value in step.parameters for step in steps)
    )
    if len(texts) == 1:
        return head + texts[0]
    return f"{head}\\startpipeline\n{''.join(texts)}\\endpipeline\n"


def variables(steps: Sequence[Step[Any]]) -> dict[str, str]:
    """The script's variables, with their values as PostgreSQL is sent them."""
    found: dict[str, str] = {}
    for number, step in enumerate(steps, 1):
        for place, value in enumerate(Dumper().dump(step).values, 1):
            if value is not None and not _drawn(step.parameters[place - 1]):
                found[f"p{number}_{place}"] = bytes(value).decode()
    return found


def _text(step: Step[Any], number: int) -> str:
    def variable(match: re.Match[str]) -> str:
        value = step.parameters[int(match[1]) - 1]
        if value is None:
            return "NULL"
        return _MADE_OF[str(value)] if _drawn(value) else f":p{number}_{match[1]}"

    return re.sub(r"\$(\d+)", variable, step.statement.sql).rstrip() + ";\n"


def _drawn(value: object) -> bool:
    return isinstance(value, str) and value in _DRAWN
