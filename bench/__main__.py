"""The command: `uv run python -m bench --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from banter_grpc.cli.signals import interrupted_once
from banter_grpc.config import Settings
from bench import cases, load, machine, report, servers
from bench.cases import Case
from bench.errors import BenchError, MissingToolError
from bench.load import Shape
from bench.measure import Measure, Result, Round
from bench.pgbench import PgBench

_RESULTS = Path(__file__).parent / "results"
_MOST_IN_FLIGHT = 128


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; 0 with figures, 1 without, 2 where a program is missing, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    rounds = options.rounds or (1 if options.quick else 3)
    seconds = options.seconds or (3 if options.quick else 10)
    try:
        with interrupted_once():
            _run(Shape.of(options.in_flight), rounds, seconds, dict(options.set), options.json)
    except MissingToolError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; everything is stopped and removed", file=sys.stderr)
        return 130
    return 0


def _run(shape: Shape, rounds: int, seconds: int, settings: Mapping[str, str], json: Path | None) -> None:
    if sys.platform != "linux":
        raise BenchError("the bench reads CPU times from Linux's /proc: run it on Linux")
    made = datetime.now(UTC)
    program = load.find()
    _say("starting PostgreSQL")
    with servers.postgres() as database:
        cases.seed(database.url())
        work = database.folder / "work"  # goes with it
        work.mkdir(mode=0o700)
        h2load, pgbench = load.H2Load(program, work), PgBench(database.bin, work)
        surroundings = machine.describe(database.url(), database.folder, h2load)
        if (warning := report.warning(surroundings)) is not None:
            _say(warning)
        measure = Measure(h2load, pgbench, shape, seconds, servers.postmaster_pid(database))
        case = cases.get_user(database.url())
        done = _measured(measure, case, servers.service_url(database), settings, work, rounds)
        results = [Result(case.name, shape, settings, tuple(done))]
    path = json or _RESULTS / f"{made:%Y%m%dT%H%M%SZ}.json"
    report.write(path, made.isoformat(timespec="seconds"), surroundings, results)
    print(report.machine_line(surroundings), report.table(results), f"JSON: {path}", sep="\n")


def _measured(
    measure: Measure, case: Case, url: str, settings: Mapping[str, str], work: Path, rounds: int
) -> Generator[Round]:
    """One case: floor, service and ceiling in turn, so that what the machine does meanwhile meets all three."""
    with ExitStack() as stack:
        service = stack.enter_context(servers.Service(work, url, case.path, case.request, settings))
        answer = servers.call(service.target)
        if not case.accepts(answer):
            raise BenchError(f"{case.name} gives a wrong answer: its tests will say more")
        echo = stack.enter_context(servers.EchoServer(work, service.target, len(answer)))
        for number in range(1, rounds + 1):
            _say(f"{case.name}, round {number} of {rounds}")
            yield Round(
                floor=measure.served(echo, database=False),
                service=measure.served(service, database=True),
                ceiling=measure.statement(case, url),
            )


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures what a call costs through everything, beside a floor (a bare grpc.aio server) and a "
        "ceiling (pgbench with the same statement). Needs h2load.",
        epilog="Example: uv run python -m bench --quick",
    )
    parser.add_argument("--quick", action="store_true", help="one round of 3 seconds instead of three of 10")
    parser.add_argument("--seconds", type=_count, metavar="N", help="how long each measurement takes, about")
    parser.add_argument("--rounds", type=_count, metavar="N", help="how often all is measured")
    parser.add_argument(
        "--in-flight",
        type=_in_flight,
        default=32,
        metavar="N",
        help=f"calls in flight, 1 to {_MOST_IN_FLIGHT}, on up to 8 connections (32)",
    )
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the service, such as caller_cache=0; may be repeated",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the JSON goes (bench/results/TIME.json)")
    return parser


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 3600:
        raise argparse.ArgumentTypeError("give a number from 1 to 3600")
    return number


def _setting(text: str) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if not given or name not in Settings.model_fields:
        raise argparse.ArgumentTypeError(f"{name!r} is no setting: give one of `banter config`, as NAME=VALUE")
    return name, value


def _in_flight(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= _MOST_IN_FLIGHT:
        raise argparse.ArgumentTypeError(f"give a number from 1 to {_MOST_IN_FLIGHT}")
    return number


if __name__ == "__main__":
    sys.exit(main())
