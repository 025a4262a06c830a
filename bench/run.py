"""Carries out a selection: starts what it needs, measures, and stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext

from banter_grpc.database.embedded import EmbeddedPostgres
from bench import cases, database, machine, servers
from bench.cases import Case
from bench.errors import BenchError
from bench.load import H2Load, Shape
from bench.measure import Measure
from bench.pgbench import PgBench
from bench.pumping import Pump
from bench.results import Result, Round
from bench.selection import Selection
from bench.trust import Trust

Say = Callable[[str], None]


def run(
    program: str, selection: Selection, settings: Mapping[str, str], say: Say
) -> tuple[dict[str, object], Sequence[Result], Sequence[str]]:
    """The machine, the results, and of what there is none why.

    `program` is h2load, `settings` are the service's, beside defaults.
    """
    before = machine.load()
    say("starting PostgreSQL")
    with database.postgres() as server:
        cases.seed(server.url())
        work = server.folder / "work"  # goes with it
        work.mkdir(mode=0o700)
        h2load, pump, pgbench = H2Load(program, work), Pump(work), PgBench(server.bin, work)
        surroundings = machine.describe(before, server.url(), server.folder, h2load)
        postmaster = database.postmaster_pid(server)
        measure = Measure(h2load, pump, pgbench, selection.seconds, postmaster, warm_up=selection.warm_up)
        made = _Run(selection, settings, server, measure, Trust(work / "jwks.json"), say)
        results = made.results()
    return surroundings, results, made.failures


class _Run:
    def __init__(
        self,
        selection: Selection,
        settings: Mapping[str, str],
        server: EmbeddedPostgres,
        measure: Measure,
        trust: Trust,
        say: Say,
    ) -> None:
        self._selection = selection
        self._settings = settings
        self._server = server
        self._url = database.service_url(server)
        self._measure = measure
        self._trust = trust
        self._say = say
        self.failures: list[str] = []

    def results(self) -> Sequence[Result]:
        """All of them, ordered by flush, case, workers and calls in flight."""
        found = [result for workers in self._selection.workers for result in self._with(workers)]
        order = {case.name: place for place, case in enumerate(self._selection.cases)}
        return sorted(found, key=lambda one: (one.slower_ms, order[one.case.name], one.workers, one.shape.in_flight))

    def _with(self, workers: int) -> Iterator[Result]:
        with ExitStack() as stack:
            lanes, pool = (
                stack.enter_context(servers.Service(self._trust, self._url, settings, workers=workers))
                for settings in (self._settings, {**self._settings, "way": "pool"})
            )
            for slower_ms in self._selection.slower_ms:
                with database.slow_flush(self._server) if slower_ms else nullcontext():
                    self._measure.forget_rates()
                    for case in self._selection.cases_at(slower_ms):
                        yield from self._case(case, lanes, pool, workers, slower_ms)

    def _case(
        self, case: Case, lanes: servers.Service, pool: servers.Service, workers: int, slower_ms: int
    ) -> Iterator[Result]:
        sides = [service.asked(case.path, case.request, case.fresh, case.made) for service in (lanes, pool)]
        answers = [servers.call(side.target) for side in sides]
        if not all(map(case.accepts, answers)):
            raise BenchError(f"{case.name} gives a wrong answer: its tests will say more")
        with servers.EchoServer(sides[0].target, len(answers[0]), workers=workers) as echo:
            for shape in self._selection.shapes(case, workers):
                slower = f", flush + {slower_ms} ms" if slower_ms else ""
                what = (
                    f"{case.title}, {shape.in_flight} in flight, {workers} worker{'s' if workers > 1 else ''}{slower}"
                )
                self._say(what)
                try:
                    rounds = tuple(self._round(case, shape, echo, *sides) for _ in range(self._selection.rounds))
                except BenchError as error:  # the others have figures nevertheless
                    self.failures.append(f"{what}: {error}")
                    self._say(f"no figure: {error}")
                else:
                    yield Result(case, shape, workers, slower_ms, rounds)

    def _round(
        self, case: Case, shape: Shape, echo: servers.EchoServer, lanes: servers.Served, pool: servers.Served
    ) -> Round:
        """Each side in turn, so that what the machine does meanwhile meets all of them."""
        return Round(
            floor=self._measure.served(echo, shape, database=False),
            service=self._measure.served(lanes, shape, database=True),
            pool=self._measure.served(pool, shape, database=True),
            ceiling=self._measure.unit(case, self._url, shape.in_flight),
        )
