"""What the bench found, for people (a table) and for programs (JSON)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.measure import Figures, Result, Round

_HEAD = ("", "calls/s", "p50 ms", "p99 ms", "server us", "database us", "of floor", "of ceiling")
_WIDTHS = (28, 9, 9, 9, 11, 13, 10, 12)
_BUSY = 0.5
"""The load for each core from which on others' work shows in the figures."""


def table(results: Sequence[Result]) -> str:
    """The results, one block for each; CPU is per call."""
    lines = [_line(*_HEAD)]
    for result in results:
        typical = result.typical
        lines += [
            _title(result),
            _line("  banter", *_cells(typical.service), f"{result.of_floor:.2f}", f"{result.of_ceiling:.2f}"),
            _line("  floor: bare grpc.aio", *_cells(typical.floor)),
            _line("  ceiling: pgbench", *_cells(typical.ceiling)),
            f"  server CPU above the floor: {typical.above_floor_us:.0f} us per call",
        ]
    return "\n".join(lines)


def _title(result: Result) -> str:
    shape = result.shape
    settings = "".join(f", {name}={value}" for name, value in result.settings.items())
    way = f"{shape.connections} connections x {shape.streams} streams"
    return f"{result.case}, {shape.in_flight} in flight ({way}){settings}"


def machine_line(machine: Mapping[str, object]) -> str:
    """The machine in one line."""
    postgres = machine["postgres"]
    assert isinstance(postgres, Mapping)
    return (
        f"{machine['cores']} cores ({machine['processor']}), load {machine['load_average']:.1f}, "
        f"Python {machine['python']}, PostgreSQL {postgres['server_version']}, flush {machine['flush_us']} us"
    )


def warning(machine: Mapping[str, object]) -> str | None:
    """What to bear in mind of these figures; None if nothing."""
    cores, load = machine["cores"], machine["load_average"]
    assert isinstance(cores, int) and isinstance(load, float)
    if load < cores * _BUSY:
        return None
    return f"the machine was busy before the bench began (load {load:.1f}, {cores} cores): trust the ratios at most"


def write(path: Path, made: str, machine: Mapping[str, object], results: Sequence[Result]) -> None:
    """Write the results as JSON. Times end in their unit; `_us` of a server or database is CPU per call."""
    document = {"made": made, "machine": machine, "results": [_result(result) for result in results]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")


def _result(result: Result) -> dict[str, object]:
    return {
        "case": result.case,
        "in_flight": result.shape.in_flight,
        "connections": result.shape.connections,
        "streams": result.shape.streams,
        "settings": dict(result.settings),
        "of_floor": round(result.of_floor, 4),
        "of_ceiling": round(result.of_ceiling, 4),
        **_round(result.typical),
        "rounds": [_round(one) for one in result.rounds],
    }


def _round(one: Round) -> dict[str, object]:
    return {
        "service": _figures(one.service),
        "floor": _figures(one.floor),
        "ceiling": _figures(one.ceiling),
        "above_floor_us": round(one.above_floor_us, 1),
    }


def _figures(figures: Figures) -> dict[str, object]:
    sample = figures.sample
    return {
        "calls": sample.calls,
        "seconds": round(sample.seconds, 3),
        "calls_per_second": round(sample.per_second, 1),
        "p50_ms": sample.p50_ms,
        "p99_ms": sample.p99_ms,
        "server_us": _rounded(figures.server_us),
        "database_us": _rounded(figures.database_us),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _cells(figures: Figures) -> Iterator[str]:
    yield f"{figures.sample.per_second:,.0f}"
    yield f"{figures.sample.p50_ms:.2f}"
    yield f"{figures.sample.p99_ms:.2f}"
    for cost in (figures.server_us, figures.database_us):
        yield "-" if cost is None else f"{cost:.1f}"


def _line(first: str, *cells: str) -> str:
    padded = "".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS[1:], strict=False))
    return f"{first:<{_WIDTHS[0]}}{padded}".rstrip()
