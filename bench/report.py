"""What the bench found, for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.aims import Aim
from bench.layers import AIM_US, Layers
from bench.measure import Figures
from bench.results import Result

_HEAD = ("", "calls/s", "p50 ms", "p99 ms", "server us", "database us", "of floor", "of ceiling", "by pool")
_WIDTHS = (28, 9, 9, 9, 11, 13, 10, 12, 9)
_BUSY = 0.5
"""The load for each core from which on others' work shows in the figures."""


def table(results: Sequence[Result]) -> str:
    """The results, one block for each; CPU is per call."""
    lines = [_line(*_HEAD)]
    for result in results:
        typical = result.typical
        ratios = (f"{ratio:.2f}" for ratio in (result.of_floor, result.of_ceiling, result.of_pool))
        lines += [
            _title(result),
            _line("  banter", *_cells(typical.service), *ratios),
            _line("  banter, pool, no lanes", *_cells(typical.pool)),
            _line("  floor: bare grpc.aio", *_cells(typical.floor)),
            _line("  ceiling: pgbench", *_cells(typical.ceiling)),
            f"  server CPU above the floor: {typical.above_floor_us:.0f} us per call{_client(result)}",
        ]
    return "\n".join(lines)


def layer_list(layers: Layers) -> str:
    """The layers with their costs, one a line."""
    lines = [f"{'what surrounds a handler, us of CPU per call':<46}{'least':>9}{'median':>9}"]
    rows = {f"  {name}": layers.of(name) for name in layers.without}
    rows[f"  all of it (at most {AIM_US:g})"] = layers.total
    rows["  the handler alone"] = layers.bare
    return "\n".join([*lines, *(f"{name:<46}{cost.least:>9.1f}{cost.middle:>9.1f}" for name, cost in rows.items())])


def aim_list(aims: Sequence[Aim]) -> str:
    """The aims with what was found, one a line."""
    return "\n".join(f"{'met   ' if aim.met else 'MISSED'}  {aim.text}: {figures(aim)}" for aim in aims)


def figures(aim: Aim) -> str:
    """What was found, and what was wanted."""
    digits = 1 if aim.unit else 2
    return f"{aim.found:.{digits}f}{aim.unit} (at {'most' if aim.at_most else 'least'} {aim.wanted:.3g})"


def client_us(result: Result) -> list[float]:
    """What the client itself costs per call, with each side that it called; empty where it doesn't say."""
    one = result.typical
    found = (side.sample.client_us for side in (one.service, one.floor, one.pool))
    return [cost for cost in found if cost is not None]


def _client(result: Result) -> str:
    costs = client_us(result)
    return f", the client's own: {min(costs):.0f} to {max(costs):.0f}" if costs else ""


def _title(result: Result) -> str:
    shape, workers = result.shape, f"{result.workers} worker{'s' if result.workers > 1 else ''}"
    slower = f", flush + {result.slower_ms} ms" if result.slower_ms else ""
    return f"{result.case.title}, {shape.in_flight} in flight ({shape}), {workers}{slower}"


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


def _cells(figures: Figures) -> Iterator[str]:
    yield f"{figures.sample.per_second:,.0f}"
    yield f"{figures.sample.p50_ms:.2f}"
    yield f"{figures.sample.p99_ms:.2f}"
    for cost in (figures.server_us, figures.database_us):
        yield "-" if cost is None else f"{cost:.1f}"


def _line(first: str, *cells: str) -> str:
    padded = "".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS[1:], strict=False))
    return f"{first:<{_WIDTHS[0]}}{padded}".rstrip()
