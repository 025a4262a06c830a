"""Calls by `bench/pump.py`, each of them unlike all others."""

from __future__ import annotations

import json
import subprocess
import sys
from array import array
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import grpc

from bench.errors import BenchError, refused
from bench.load import Shape, Target
from bench.pump import TEXT_BYTES, Outcome, Plan
from bench.sample import Sample, sample_of

_NAMES = {str(status.value[0]): status.name for status in grpc.StatusCode}
_SILENCE = 30
"""Seconds without any answer after which it gives up."""


class Pump:
    """The pump as a process of its own; `work` is a folder for its files."""

    def __init__(self, work: Path) -> None:
        self._plan = work / "pump.plan"
        self._rows = work / "pump.rows"

    def run(self, target: Target, shape: Shape, calls: int, timeout: float) -> Sample:
        """Make `calls` calls and wait for all answers; raises `BenchError` unless each was answered OK."""
        assert target.fresh is not None
        behind = target.fresh.before(TEXT_BYTES)
        plan = Plan(
            port=target.port,
            path=target.path,
            metadata=target.metadata,
            messages=[(target.request(client) + behind).hex() for client in range(target.fresh.clients)],
            connections=shape.connections,
            streams=shape.streams,
            calls=calls,
            patience=_SILENCE,
        )
        self._plan.write_text(json.dumps(asdict(plan)))
        outcome = self._pump(target, timeout)
        answered = Counter({_NAMES.get(status, status): count for status, count in outcome.statuses.items()})
        if answered != Counter(OK=calls):
            raise refused(target.path, calls, answered)
        rows = array("q", self._rows.read_bytes())
        sample = sample_of(list(zip(rows[::2], rows[1::2], strict=True)))
        return replace(sample, client_us=outcome.cpu_seconds / calls * 1e6)

    def _pump(self, target: Target, timeout: float) -> Outcome:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "bench.pump", str(self._plan), str(self._rows)],
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout,
                start_new_session=True,  # Ctrl-C is for us, who then end it
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"{target.path}: the calls took more than {timeout:.0f} s; is it stuck?") from None
        if done.returncode:
            raise BenchError(f"{target.path}: {(done.stderr.strip().splitlines() or ['the pump said nothing'])[-1]}")
        return Outcome(**json.loads(done.stdout))
