"""What can be asked of the bench."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from banter_grpc.config import Settings
from bench.cases import all_cases
from bench.database import SLOWER_MS
from bench.measure import WARM_UP
from bench.selection import Selection

_MOST_IN_FLIGHT = 256
_MOST_WORKERS = 2
_QUICK_WARM_UP = 100


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, understood."""

    selection: Selection
    settings: Mapping[str, str]
    layers_only: bool
    json: Path | None
    markdown: Path | None


def parse(arguments: Sequence[str] | None) -> Options:
    """The options; ends the process where they make no sense."""
    found = _parser().parse_args(arguments)
    quick: bool = found.quick
    wanted: list[str] = found.case or (["GetUser"] if quick and not found.slow_flush else [])
    selection = Selection(
        cases=[case for case in all_cases() if not wanted or case.name in wanted],
        in_flight=found.in_flight or ([32] if quick else [1, 32, 256]),
        workers=found.workers or ([1] if quick else [1, 2]),
        rounds=found.rounds,
        seconds=found.seconds,
        warm_up=_QUICK_WARM_UP if quick else WARM_UP,
        slower_ms=[SLOWER_MS] if found.slow_flush else [0] if quick or wanted else [0, SLOWER_MS],
    )
    return Options(selection, dict(found.set), found.layers, found.json, found.markdown)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures what calls cost through everything, beside a floor (a bare grpc.aio server), a ceiling "
        "(pgbench with the same statements) and the service without lanes, all in one run. Needs h2load. Without "
        "options it measures everything, also with a slow flush, and says first how long that takes.",
        epilog="Examples: python -m bench --quick; python -m bench --case GetUser --in-flight 1,32 --workers 1",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="GetUser, 32 in flight, 1 worker, and the layers")
    add("--layers", action="store_true", help="only what each layer around a handler costs, in this process")
    names = ", ".join(case.name for case in all_cases())
    add("--case", action="extend", type=_cases, metavar="CASE,...", help=f"of {names} (all)")
    add("--in-flight", type=_numbers(_MOST_IN_FLIGHT), metavar="N,...", help="calls in flight (1,32,256)")
    add("--workers", type=_numbers(_MOST_WORKERS), metavar="N,...", help="processes of the service (1,2)")
    add("--slow-flush", action="store_true", help="only what writes, with a flush 2 ms slower")
    add("--seconds", type=_count, default=3, metavar="N", help="how long each measurement takes, about (3)")
    add("--rounds", type=_count, default=1, metavar="N", help="how often all is measured (1)")
    add(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the service, such as caller_cache=0; may be repeated",
    )
    add("--json", type=Path, metavar="FILE", help="where the JSON goes (bench/results/TIME.json)")
    add("--markdown", type=Path, metavar="FILE", help="a file with two markers, between which the tables are put")
    return parser


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 3600:
        raise argparse.ArgumentTypeError("give a number from 1 to 3600")
    return number


def _numbers(most: int) -> Callable[[str], list[int]]:
    """Reads numbers from 1 to `most`, with commas between them."""

    def read(text: str) -> list[int]:
        numbers = [int(part) if part.isdecimal() else 0 for part in text.split(",")]
        if not all(1 <= number <= most for number in numbers):
            raise argparse.ArgumentTypeError(f"give numbers from 1 to {most}, with commas between them")
        return numbers

    return read


def _cases(text: str) -> list[str]:
    names = [case.name for case in all_cases()]
    given = text.split(",")
    if not set(given) <= set(names):
        raise argparse.ArgumentTypeError(f"{text!r} has no case: give some of {', '.join(names)}")
    return given


def _setting(text: str) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if not given or name not in Settings.model_fields:
        raise argparse.ArgumentTypeError(f"{name!r} is no setting: give one of `banter config`, as NAME=VALUE")
    return name, value
