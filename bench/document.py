"""What the bench found, for programs: JSON. Times end in their unit; `_us` of a server or database is CPU per call."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.aims import Aim
from bench.layers import Layers
from bench.measure import Figures
from bench.results import Result, Round


def write(
    path: Path,
    made: str,
    machine: Mapping[str, object],
    settings: Mapping[str, str],
    results: Sequence[Result],
    layers: Layers | None,
    aims: Sequence[Aim],
) -> None:
    """Write everything. `settings` are the service's, beside defaults."""
    document = {
        "made": made,
        "machine": machine,
        "settings": dict(settings),
        "results": [_result(result) for result in results],
        "layers": None if layers is None else _layers(layers),
        "aims": [{**asdict(aim), "met": aim.met} for aim in aims],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")


def _result(result: Result) -> dict[str, object]:
    return {
        "case": result.case.name,
        "workers": result.workers,
        "flush_slower_ms": result.slower_ms,
        "in_flight": result.shape.in_flight,
        **asdict(result.shape),
        "of_floor": round(result.of_floor, 4),
        "of_ceiling": round(result.of_ceiling, 4),
        "of_pool": round(result.of_pool, 4),
        **_round(result.typical),
        "rounds": [_round(one) for one in result.rounds],
    }


def _round(one: Round) -> dict[str, object]:
    return {
        "service": _figures(one.service),
        "pool": _figures(one.pool),
        "floor": _figures(one.floor),
        "ceiling": _figures(one.ceiling),
        "above_floor_us": round(one.above_floor_us, 1),
    }


def _figures(figures: Figures) -> dict[str, object]:
    sample = figures.sample
    return {
        "calls": sample.calls,
        "seconds": round(sample.seconds, 3),
        "calls_per_second": round(sample.per_second, 3),
        "p50_ms": sample.p50_ms,
        "p99_ms": sample.p99_ms,
        "server_us": _rounded(figures.server_us),
        "database_us": _rounded(figures.database_us),
        "client_us": _rounded(sample.client_us),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _layers(layers: Layers) -> dict[str, object]:
    return {
        "unit": "microseconds of CPU per call",
        "handler_alone": asdict(layers.bare),
        "total": asdict(layers.total),
        "by_layer": {name: asdict(layers.of(name)) for name in layers.without},
    }
