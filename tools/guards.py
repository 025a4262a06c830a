"""Takes out each guard of the ledger in turn, and shows which test then fails.

    uv run python -m tools.guards                           # all of them: some minutes
    uv run python -m tools.guards wallets_forward 'no INSERT on entries'

It works in a copy of the checkout, on a PostgreSQL of its own. First every test that is named has to pass with all
guards in place; then, guard by guard, it has to fail. The exit status is 1 if a guard survives: its test passes without
it, or something other than a test fails.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from tests.support.clusters import Cluster, shared_cluster
from tools.guards_list import GUARDS, Guard, Sql, Text

ROOT: Final = Path(__file__).resolve().parents[1]
_MIGRATION: Final = "migrations/9999_without.sql"
_SECONDS: Final = 180
_SECONDS_EACH: Final = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the guards that are named, or all; the exit status."""
    parser = argparse.ArgumentParser(description="Take out each guard of the ledger, and see which test then fails.")
    parser.add_argument("names", nargs="*", metavar="GUARD", help="only these; all without a name")
    names: list[str] = parser.parse_args(arguments).names
    known = {guard.name: guard for guard in GUARDS}
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no such guard: {', '.join(unknown)}; tools/guards_list has them")
    return 1 if try_out([known[name] for name in names] or GUARDS) else 0


def try_out(guards: Sequence[Guard]) -> list[str]:
    """Take out each of them and print what came of it; the names of those that survive."""
    survivors: list[str] = []
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex  # the PostgreSQL of a run of the tests serves
    with shared_cluster(run[:8]) as cluster, _copy() as copy:
        tests = list(dict.fromkeys(test for guard in guards for test in guard.tests))
        said, _ = _pytest(copy, run, tests)
        if not re.fullmatch(rf"{len(tests)} passed", said):
            raise SystemExit(f"with all guards in place: {said}; make these tests pass first")
        kept = _templates(cluster)
        for number, guard in enumerate(guards, 1):
            started = time.monotonic()
            with _taken_out(copy, guard):
                said, failed = _pytest(copy, run, guard.tests)
            carries = re.fullmatch(r"(\d+) failed", said) is not None
            if not carries:
                survivors.append(guard.name)
            verdict = "fails:" if carries else f"SURVIVES ({said}):"
            for test in failed or guard.tests:
                print(f"{number}/{len(guards)} without {guard.name} {verdict} {test}", end="")
                print(f" ({time.monotonic() - started:.0f} s)", flush=True)
            for name in _templates(cluster) - kept:
                cluster.drop_database(name)
    print(f"{len(guards) - len(survivors)} of {len(guards)} guards carry load", end="")
    print(f"; not {', '.join(survivors)}" if survivors else "")
    return survivors


@contextmanager
def _copy() -> Generator[Path]:
    """A copy of the checkout, as it is now; built stubs are those of the checkout."""
    with tempfile.TemporaryDirectory(prefix="banter-guards-") as made:
        copy = Path(made).resolve() / "banter"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "build", "dist", "__pycache__"))
        (copy / "build").symlink_to(ROOT / "build")
        yield copy


@contextmanager
def _taken_out(copy: Path, guard: Guard) -> Generator[None]:
    """The copy without a guard."""
    match guard.out:
        case Sql(statement):
            path = copy / _MIGRATION
            before = sorted(each.stem for each in path.parent.glob("*.sql") if ".rollback" not in each.name)
            path.write_text(f"-- {guard.name} is taken out.\n-- depends: {before[-1]}\n\n{statement};\n")
            path.with_suffix(".rollback.sql").write_text("SELECT 1;\n")
            yield
            path.unlink()
            path.with_suffix(".rollback.sql").unlink()
        case Text(name, old, new, times):
            path = copy / name
            whole = path.read_text()
            if whole.count(old) != times:
                raise SystemExit(
                    f"{guard.name}: {name} has its text {whole.count(old)} times, not {times}: correct that"
                )
            written = path.stat().st_mtime
            path.write_text(whole.replace(old, new))
            os.utime(path, (written + 10, written + 10))  # bytecode is known by its source's time, in whole seconds
            yield
            path.write_text(whole)
            os.utime(path, (written, written))


def _pytest(copy: Path, run: str, tests: Sequence[str]) -> tuple[str, list[str]]:
    """What pytest sums up, without the time it took, and the tests that failed."""
    left_out = ("no:cacheprovider", "no:hypothesispytest")  # importing the second takes longer than most of the tests
    options = ["-q", "-n", "0", "-rf", "--tb=no", *(f"-p{plugin}" for plugin in left_out)]
    seconds = _SECONDS + _SECONDS_EACH * len(tests)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BANTER_", "PYTEST_", "PG"))}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=copy,
            env={**kept, "PYTEST_XDIST_TESTRUNUID": run},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {seconds} s", []
    lines = done.stdout.splitlines() or [done.stderr.strip() or "no word"]
    failed = re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE)
    return re.sub(r"^=* ?| in [\d.]+s.*$", "", lines[-1]), failed


def _templates(cluster: Cluster) -> set[str]:
    """The migrated databases that new ones are cloned from."""
    with psycopg.connect(cluster.server.url(database="postgres"), autocommit=True) as connection:
        rows = connection.execute(
            sql.SQL("SELECT datname FROM pg_database WHERE datname LIKE 'template!_%' ESCAPE '!'")
        )
        return {name for (name,) in rows}


if __name__ == "__main__":
    raise SystemExit(main())
