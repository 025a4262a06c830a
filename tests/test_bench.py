"""The bench: its figures are whole or absent, and nothing of it stays."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from banter.v1 import user_pb2, wallet_pb2
from hpack import Encoder

from bench import aims, cases, layers, markdown, servers
from bench.errors import BenchError
from bench.load import Fresh, H2Load, Shape
from bench.measure import Figures, Measure
from bench.pgbench import PgBench, script, variables
from bench.pump import Calls, Plan, PumpError, pump
from bench.pumping import Pump
from bench.results import Result, Round
from bench.sample import sample_of
from bench.trust import Trust
from tests.support.clusters import Cluster, Database

_ROOT = Path(__file__).parents[1]
_NOBODY = "00000000-0000-0000-0000-000000000000"
_GET_USER = "/banter.v1.UserService/GetUser"
_NARROW = {"connections": "20", "read_lanes": "2", "write_lanes": "2"}

needs_h2load = pytest.mark.skipif(
    shutil.which("h2load") is None, reason="h2load is not installed (apt-get install nghttp2-client)"
)


def _bench(*arguments: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,  # type: ignore[arg-type]
    )


def _measure(work: Path, cluster: Cluster) -> Measure:
    pgbench = PgBench(cluster.server.bin, work)
    return Measure(H2Load("h2load", work), Pump(work), pgbench, seconds=1, postmaster=os.getpid())


def _purchase(user_id: str) -> bytes:
    return wallet_pb2.PurchaseCoinsRequest(user_id=user_id, provider="bench", coins=1).SerializeToString()


def _folder(bench: subprocess.Popen[str]) -> Path:
    return Path(tempfile.gettempdir(), f"banter-bench-{os.getuid()}-{bench.pid}")


@needs_h2load
def test_a_short_run_prints_tables_and_writes_the_same_as_json_and_markdown(tmp_path: Path) -> None:
    path, page = tmp_path / "results" / "bench.json", tmp_path / "page.md"
    page.write_text(f"before\n{markdown.BEGIN}\nold\n{markdown.END}\nafter\n")
    chosen = ("--case", "UpdateUser-one", "--slow-flush")
    given = ("--set", "caller_cache=4", "--json", str(path), "--markdown", str(page))
    with _bench("--quick", "--seconds", "1", *chosen, *given) as bench:
        out, complaints = bench.communicate(timeout=180)
    assert bench.returncode == 0, complaints
    document, tables = json.loads(path.read_text()), page.read_text()
    (slow,) = document["results"]
    assert (slow["in_flight"], slow["connections"], slow["streams"], slow["workers"]) == (32, 8, 4, 1)
    assert document["settings"] == {"caller_cache": "4"}
    for result in (slow,):
        service, floor = result["service"], result["floor"]
        for figures in (service, result["pool"], floor, result["ceiling"]):
            assert figures["calls"] >= 32
            assert 0 < figures["p50_ms"] <= figures["p99_ms"]
            shown = f"{figures['calls_per_second']:,.0f}"
            assert shown in out and f"| {shown} |" in tables
        assert service["server_us"] > floor["server_us"] > 0
        assert service["database_us"] > 0 and result["ceiling"]["database_us"] > 0
        assert floor["database_us"] is None and result["ceiling"]["server_us"] is None
        for side, ratio in (("floor", "of_floor"), ("ceiling", "of_ceiling"), ("pool", "of_pool")):
            other = result[side]["calls_per_second"]
            assert result[ratio] == pytest.approx(service["calls_per_second"] / other, rel=0.01)
    # A slower flush holds up the writers of one row by as much, each of them, whatever way they go.
    assert (slow["case"], slow["flush_slower_ms"]) == ("UpdateUser-one", 2)
    for side in ("service", "pool", "ceiling"):
        assert slow[side]["calls_per_second"] < 1000 / slow["flush_slower_ms"]
    assert document["machine"]["cores"] >= 1 and document["machine"]["flush_us"] > 0
    assert document["machine"]["postgres"]["fsync"] == "on"
    assert {aim["text"] for aim in document["aims"]} >= {
        "UpdateUser, one user, flush + 2 ms, 32 in flight, 1 worker: lanes by the pool",
    }
    assert tables.startswith("before\n") and tables.endswith("\nafter\n") and "old" not in tables
    assert not _folder(bench).exists()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, worker_database: Database) -> Iterator[servers.Service]:
    """Two workers on this worker's database."""
    trust = Trust(tmp_path_factory.mktemp("bench") / "jwks.json")
    with servers.Service(trust, worker_database.service_url, _NARROW, workers=2) as service:
        yield service


@needs_h2load
def test_calls_that_fail_make_no_figure_and_those_of_all_workers_count(
    tmp_path: Path, cluster: Cluster, worker_database: Database, service: servers.Service
) -> None:
    """h2load takes an error for an answer; the metrics do not. Half of these clients ask for nobody."""
    there = cases.user_id(0)
    with psycopg.connect(worker_database.owner_url) as connection:
        connection.execute(
            "INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)"
            " VALUES (%s, '+919876543210', '+91', 'Asha', 'Asia/Kolkata', clock(), clock())",
            [there],
        )

    def request(client: int) -> bytes:
        return user_pb2.GetUserRequest(user_id=_NOBODY if client % 2 else there).SerializeToString()

    measure = _measure(tmp_path, cluster)
    asked = service.asked(_GET_USER, request)
    with pytest.raises(BenchError, match=r"512 calls, answered: NOT_FOUND 256, OK 256; failures make no figure"):
        measure.served(asked, Shape(connections=1, streams=1, clients=16), database=True)


def test_payments_are_all_different_and_a_figure_of_them_is_confirmed_by_the_ledger(
    tmp_path: Path, cluster: Cluster, worker_database: Database, service: servers.Service
) -> None:
    url, case = worker_database.service_url, next(one for one in cases.all_cases() if one.name == "PurchaseCoins-one")
    with psycopg.connect(worker_database.owner_url) as connection:
        connection.execute(
            "INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)"
            " VALUES (%s, '+919876543211', '+91', 'Asha', 'Asia/Kolkata', clock(), clock())",
            [cases.user_id(cases.USERS // 2)],
        )
    measure, shape = _measure(tmp_path, cluster), Shape(connections=2, streams=2)
    asked = service.asked(case.path, case.request, case.fresh, case.made)
    assert case.accepts(servers.call(asked.target))
    before = asked.made()
    figures = measure.served(asked, shape, database=True)
    warm_up = 500
    assert asked.made() == (before or 0) + warm_up + figures.sample.calls
    assert figures.sample.client_us is not None and figures.sample.client_us > 0
    idle = service.asked(case.path, case.request, case.fresh, "SELECT count(*) FROM refunds WHERE false")
    with pytest.raises(BenchError, match=r"\d+ calls made 0 rows"):
        measure.served(idle, shape, database=True)
    nobody = service.asked(case.path, lambda _: _purchase(_NOBODY), Fresh(3, 1), case.made)
    with pytest.raises(BenchError, match=r"500 calls, answered: NOT_FOUND 500; failures make no figure"):
        measure.served(nobody, Shape(connections=1, streams=1), database=True)
    assert measure.unit(case, url, 2).sample.calls > 0  # which counts pgbench's payments as well


def test_the_pump_reads_a_status_however_it_is_written() -> None:
    calls = Calls(["00"], 4)
    for status, compressed in (("0", True), ("0", False), ("16", True), ("5", False)):
        trailers = Encoder().encode([("grpc-status", status)], huffman=compressed)
        calls.answered(10, 30, trailers)
    assert calls.statuses == {"0": 2, "16": 1, "5": 1}
    assert calls.rows.tolist() == [10, 20] * 4 and calls.unanswered == 0


@pytest.mark.parametrize(("hangs_up", "complaint"), [(True, "the server hung up"), (False, "3 calls have no answer")])
def test_a_server_that_does_not_answer_makes_no_figure(hangs_up: bool, complaint: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as kept:

        def accept() -> None:
            connection = kept.enter_context(server.accept()[0])
            if hangs_up:
                connection.shutdown(socket.SHUT_WR)

        accepting = threading.Thread(target=accept)
        accepting.start()
        plan = Plan(server.getsockname()[1], "/a.B/C", {}, ["00"], connections=1, streams=2, calls=3, patience=0.2)
        with pytest.raises(PumpError, match=complaint):
            pump(plan)
        accepting.join()


@needs_h2load
def test_an_interrupted_bench_stops_and_removes_everything() -> None:
    with _bench("--seconds", "30", "--workers", "1") as bench:
        assert bench.stderr is not None
        for line in bench.stderr:
            if "in flight" in line:
                break
        children = Path(f"/proc/{bench.pid}/task/{bench.pid}/children").read_text().split()
        folder = _folder(bench)
        assert len(children) >= 2 and folder.exists()
        bench.send_signal(signal.SIGINT)
        time.sleep(0.05)
        bench.send_signal(signal.SIGINT)  # as outside of a terminal, where uv's process group gets two
        _, complaints = bench.communicate(timeout=60)
    assert bench.returncode == 130
    assert complaints.splitlines()[-1] == "bench: interrupted; everything is stopped and removed"
    assert not folder.exists()
    assert not [pid for pid in children if Path("/proc", pid).exists()]


def test_a_server_of_the_bench_ends_with_it_however_it_ends() -> None:
    """kill -9 of the bench closes its end of the pipe, and does no more."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.echo", "10"], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None and server.stdin is not None
        assert all(int(port) > 0 for port in server.stdout.readline().split())
        server.stdin.close()
        assert server.wait(10) == 0


def test_without_h2load_one_line_says_how_to_get_it() -> None:
    with _bench("--quick", env={**os.environ, "PATH": ""}) as bench:
        out, complaints = bench.communicate(timeout=60)
    assert (bench.returncode, out) == (2, "")
    (line,) = complaints.splitlines()
    assert "apt-get install nghttp2-client" in line


def test_a_page_without_a_place_for_the_tables_is_refused_before_the_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers\n")
    with pytest.raises(BenchError, match=r"has no place for the tables: give it the lines <!-- bench: begin -->"):
        markdown.check(page)


def test_pgbench_is_given_the_statements_of_the_service_in_one_unit() -> None:
    steps = next(case for case in cases.all_cases() if case.name == "UpdateUser").steps
    text = script(steps)
    head, *lines = text.splitlines()
    assert head == f"\\set any_user random({cases.FIRST}, {cases.FIRST + cases.USERS - 1})"
    assert (lines[0], lines[-1]) == ("\\startpipeline", "\\endpipeline")
    any_user = f"('{cases.PREFIX}' || :any_user)::uuid"
    sent = "\n".join(lines[1:-1])
    for number, step in enumerate(steps, 1):
        expected = step.statement.sql.rstrip()
        for place, value in enumerate(step.parameters, 1):
            by = "NULL" if value is None else f":p{number}_{place}"
            expected = re.sub(rf"\${place}(::\w+)", any_user if value == cases.ANY else rf"{by}\1", expected)
        assert expected + ";" in sent
    places = {value: place for place, value in enumerate(steps[0].parameters, 1) if isinstance(value, str)}
    (bio,) = places.keys() - {cases.ANY}
    mask = list(steps[0].parameters).index(["bio"]) + 1
    assert variables(steps) == {f"p1_{mask}": "{bio}", f"p1_{places[bio]}": bio}
    assert script(cases.all_cases()[0].steps).count(";") == 1  # one statement needs no pipeline


def test_each_payment_of_pgbench_has_a_name_and_a_transaction_of_its_own() -> None:
    steps = next(case for case in cases.all_cases() if case.name == "PurchaseCoins").steps
    text = script(steps)
    assert f"\\set new_text random(1, {2**62})" in text.splitlines()
    new = "md5('bench' || :new_text)"
    assert f"payments.payment_id = {new}::text" in text and f"{new}::uuid AS transaction_id" in text
    assert cases.NEW not in variables(steps).values()


def test_what_surrounds_a_handler_costs_and_leaving_out_the_telemetry_saves() -> None:
    """Single layers cost so little that a busy machine hides them."""
    found = layers.measure(repeats=3)
    assert 0 < found.bare.least < found.full.least
    assert 0 < found.of("log line and metrics").least < found.full.least
    assert {"admission", "deadline", "authentication", "rate limit", "validation", "log line"} < found.without.keys()


def test_the_aims_judge_only_what_was_measured() -> None:
    cost = layers.Cost(30.0, 31.0)
    (aim,) = aims.aims([], layers.Layers(layers.Cost(2.0, 2.0), cost, {}))
    assert (aim.found, aim.met) == (28.0, False)
    assert aims.aims([], None) == []


@pytest.mark.parametrize(
    ("name", "in_flight", "aimed"),
    [
        ("PurchaseCoins", 1, [("PurchaseCoins, many users, 1 in flight: share of the ceiling", True)]),
        ("PurchaseCoins", 256, [("PurchaseCoins, many users, 256 in flight: share of the ceiling", True)]),
        ("PurchaseCoins-one", 32, [("PurchaseCoins, one user: share of the ceiling", False)]),
        ("PurchaseCoins-one", 256, []),
    ],
)
def test_purchases_are_judged_by_pgbench(name: str, in_flight: int, aimed: list[tuple[str, bool]]) -> None:
    service, ceiling = (Figures(sample_of([(0, took)]), 1.0, 1.0) for took in (1_000_000, 400_000))
    case = next(one for one in cases.all_cases() if one.name == name)
    for slower_ms in (0, 2):
        result = Result(case, Shape.of(in_flight), 1, slower_ms, (Round(service, service, service, ceiling),))
        assert [(aim.text, aim.met) for aim in aims.aims([result], None)] == ([] if slower_ms else aimed)


def test_percentiles_are_of_the_calls_that_were_made() -> None:
    sample = sample_of([(n * 1000, n * 1000) for n in range(1, 101)])
    assert (sample.calls, sample.p50_ms, sample.p99_ms) == (100, 50.0, 99.0)
    assert sample.seconds == pytest.approx(0.199)


def test_the_rate_is_of_the_time_in_which_all_clients_called() -> None:
    early = [(n * 1000, 1000) for n in range(100)]
    late = [(50_000 + n * 1000, 1000) for n in range(100)]
    sample = sample_of(early, late)
    assert (sample.calls, sample.seconds, sample.together) == (200, 0.15, 0.05)
    assert sample.per_second == pytest.approx(2000)


@pytest.mark.parametrize(
    ("in_flight", "workers", "spread", "shape"),
    [
        (1, 1, False, (1, 1, 1)),
        (32, 1, False, (8, 4, 1)),
        (256, 2, False, (32, 8, 1)),
        (32, 1, True, (1, 1, 32)),
        (256, 1, True, (1, 4, 64)),
    ],
)
def test_so_many_calls_are_in_flight(in_flight: int, workers: int, spread: bool, shape: tuple[int, int, int]) -> None:
    found = Shape.of(in_flight, workers=workers, spread=spread)
    assert (found.connections, found.streams, found.clients) == shape
    assert found.in_flight == in_flight
