"""The bench: its figures are whole or absent, and nothing of it stays."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
from banter.v1 import user_pb2

from bench import aims, cases, layers, markdown, servers
from bench.errors import BenchError
from bench.load import H2Load, Shape, find
from bench.measure import Measure
from bench.pgbench import PgBench, script, variables
from bench.sample import sample_of
from bench.trust import Trust
from tests.support.clusters import Cluster, Database

_ROOT = Path(__file__).parents[1]
_NOBODY = "00000000-0000-0000-0000-000000000000"
_GET_USER = "/banter.v1.UserService/GetUser"

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


@needs_h2load
def test_calls_that_fail_make_no_figure_and_those_of_all_workers_count(
    tmp_path: Path, cluster: Cluster, worker_database: Database
) -> None:
    """h2load takes an error for an answer; the metrics do not. Half of these clients ask for nobody."""
    url, there = worker_database.service_url, cases.user_id(0)
    with psycopg.connect(worker_database.owner_url) as connection:
        connection.execute(
            "INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)"
            " VALUES (%s, '+919876543210', '+91', 'Asha', 'Asia/Kolkata', clock(), clock())",
            [there],
        )

    def request(client: int) -> bytes:
        return user_pb2.GetUserRequest(user_id=_NOBODY if client % 2 else there).SerializeToString()

    measure = Measure(
        H2Load(find(), tmp_path), PgBench(cluster.server.bin, tmp_path), seconds=1, postmaster=os.getpid()
    )
    narrow = {"connections": "20", "read_lanes": "2", "write_lanes": "2"}
    with servers.Service(Trust(tmp_path / "jwks.json"), url, narrow, workers=2) as service:
        asked = service.asked(_GET_USER, request)
        with pytest.raises(BenchError, match=r"512 calls, answered: NOT_FOUND 256, OK 256; failures make no figure"):
            measure.served(asked, Shape(connections=1, streams=1, clients=16), database=True)


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
    assert head == f"\\set any random({cases.FIRST}, {cases.FIRST + cases.USERS - 1})"
    assert (lines[0], lines[-1]) == ("\\startpipeline", "\\endpipeline")
    any_user = f"('{cases.PREFIX}' || :any)::uuid"
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
