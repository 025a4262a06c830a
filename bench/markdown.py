"""What the bench found, for docs/performance.md: tables between two markers of a file that people write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from bench import report
from bench.aims import Aim
from bench.errors import BenchError
from bench.layers import Layers
from bench.results import Result

BEGIN: Final = "<!-- bench: begin -->"
END: Final = "<!-- bench: end -->"

_HEAD = (
    "in flight",
    "workers",
    "calls/s",
    "p50 ms",
    "p99 ms",
    "service us",
    "database us",
    "floor calls/s",
    "floor us",
    "ceiling calls/s",
    "ceiling us",
    "pool calls/s",
    "pool p99 ms",
    "of floor",
    "of ceiling",
    "lanes by pool",
)


def check(path: Path) -> None:
    """Raise `BenchError` unless the file can take the tables: better before the run than after it."""
    _split(path)


def write(path: Path, text: str) -> None:
    """Put the text between the markers."""
    before, after = _split(path)
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def text(
    made: str,
    machine: Mapping[str, object],
    settings: Mapping[str, str],
    results: Sequence[Result],
    layers: Layers | None,
    aims: Sequence[Aim],
) -> str:
    """Everything as Markdown."""
    given = "".join(f", {name}={value}" for name, value in settings.items())
    parts = [
        f"Made {made} on: {report.machine_line(machine)}, {machine['h2load']}, commit {machine['commit']}{given}.\n"
    ]
    if aims:
        rows = [(aim.text, report.figures(aim), "met" if aim.met else "**missed**") for aim in aims]
        parts += ["### Aims\n", _table(("aim", "found", ""), rows, numbers=0)]
    for (title, slower), group in groupby(results, key=lambda one: (one.case.title, one.slower_ms)):
        parts += [f"### {title}{f', flush + {slower} ms' if slower else ''}\n"]
        rows = list(group)
        parts += [_table(_HEAD, map(_row, rows), numbers=len(_HEAD)), *_client(rows)]
    if layers is not None:
        parts += ["### What surrounds a handler\n", _layers(layers)]
    return "\n".join(parts)


def _row(result: Result) -> tuple[str, ...]:
    one = result.typical
    service, floor, ceiling, pool = one.service, one.floor, one.ceiling, one.pool
    return (
        str(result.shape.in_flight),
        str(result.workers),
        f"{service.sample.per_second:,.0f}",
        f"{service.sample.p50_ms:.2f}",
        f"{service.sample.p99_ms:.2f}",
        f"{service.server_us:.0f}",
        f"{service.database_us:.0f}",
        f"{floor.sample.per_second:,.0f}",
        f"{floor.server_us:.0f}",
        f"{ceiling.sample.per_second:,.0f}",
        f"{ceiling.database_us:.0f}",
        f"{pool.sample.per_second:,.0f}",
        f"{pool.sample.p99_ms:.2f}",
        f"{result.of_floor:.2f}",
        f"{result.of_ceiling:.2f}",
        f"{result.of_pool:.2f}",
    )


def _client(results: Sequence[Result]) -> Iterator[str]:
    """A line on what the client costs that these results are of, where it says so."""
    found = [report.client_us(result) for result in results]
    costs = [cost for costs in found for cost in costs]
    if costs:
        yield f"The client's own CPU: {min(costs):.0f} to {max(costs):.0f} us per call.\n"


def _layers(layers: Layers) -> str:
    costs = {**{name: layers.of(name) for name in layers.without}, "**all of it**": layers.total}
    costs["the handler alone"] = layers.bare
    rows = [(name, f"{cost.least:.1f}", f"{cost.middle:.1f}") for name, cost in costs.items()]
    return _table(("us of CPU per call", "least", "median"), rows, numbers=2)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int) -> str:
    """A table, whose last so many columns are aligned as numbers."""
    rule = ["---" if place < len(head) - numbers else "---:" for place in range(len(head))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in _rows(head, rule, rows))


def _rows(head: Sequence[str], rule: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[Sequence[str]]:
    yield head
    yield rule
    yield from rows


def _split(path: Path) -> tuple[str, str]:
    try:
        written = path.read_text()
    except OSError as error:
        raise BenchError(f"{path}: {(error.strerror or 'unreadable').lower()}; name a file for the tables") from None
    before, begun, rest = written.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise BenchError(f"{path} has no place for the tables: give it the lines {BEGIN} and {END}")
    return before, after
