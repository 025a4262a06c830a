"""The bench: its figures are whole or absent, and nothing of it stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from banter.v1 import user_pb2

from banter_grpc.database.queries import user as queries
from bench import servers
from bench.errors import BenchError
from bench.load import H2Load, Shape, find
from bench.measure import Measure
from bench.pgbench import PgBench, script
from bench.sample import sample_of
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
def test_a_short_run_prints_a_table_and_writes_the_same_as_json(tmp_path: Path) -> None:
    path = tmp_path / "results" / "bench.json"
    with _bench("--quick", "--seconds", "1", "--set", "caller_cache=4", "--json", str(path)) as bench:
        out, complaints = bench.communicate(timeout=120)
    assert bench.returncode == 0, complaints
    document = json.loads(path.read_text())
    (result,) = document["results"]
    assert (result["case"], result["in_flight"], result["connections"], result["streams"]) == ("GetUser", 32, 8, 4)
    assert result["settings"] == {"caller_cache": "4"}
    service, floor, ceiling = result["service"], result["floor"], result["ceiling"]
    for figures in (service, floor, ceiling):
        assert figures["calls"] >= 32
        assert figures["calls_per_second"] == pytest.approx(figures["calls"] / figures["seconds"], rel=0.01)
        assert 0 < figures["p50_ms"] <= figures["p99_ms"]
        assert f"{figures['calls_per_second']:,.0f}" in out
    assert service["server_us"] > floor["server_us"] > 0
    assert service["database_us"] > 0 and ceiling["database_us"] > 0
    assert floor["database_us"] is None and ceiling["server_us"] is None
    assert result["of_floor"] == pytest.approx(service["calls_per_second"] / floor["calls_per_second"], rel=0.01)
    assert document["machine"]["cores"] >= 1 and document["machine"]["flush_us"] > 0
    assert document["machine"]["postgres"]["fsync"] == "on"
    assert not _folder(bench).exists()


@needs_h2load
def test_calls_that_fail_make_no_figure(tmp_path: Path, cluster: Cluster, worker_database: Database) -> None:
    """h2load takes an error for an answer; the metrics do not."""
    request = user_pb2.GetUserRequest(user_id=_NOBODY).SerializeToString()
    pgbench = PgBench(cluster.server.bin, tmp_path)
    measure = Measure(H2Load(find(), tmp_path), pgbench, Shape(2, 2), seconds=1, postmaster=os.getpid())
    with (
        servers.Service(tmp_path, worker_database.service_url, _GET_USER, request) as service,
        pytest.raises(BenchError, match=r"answered: NOT_FOUND 1000; failures make no figure"),
    ):
        measure.served(service, database=True)


@needs_h2load
def test_an_interrupted_bench_stops_and_removes_everything() -> None:
    with _bench("--seconds", "30") as bench:
        assert bench.stderr is not None
        for line in bench.stderr:
            if "round 1" in line:
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
        assert int(server.stdout.readline()) > 0
        server.stdin.close()
        assert server.wait(10) == 0


def test_without_h2load_one_line_says_how_to_get_it() -> None:
    with _bench("--quick", env={**os.environ, "PATH": ""}) as bench:
        out, complaints = bench.communicate(timeout=60)
    assert (bench.returncode, out) == (2, "")
    (line,) = complaints.splitlines()
    assert "apt-get install nghttp2-client" in line


def test_pgbench_is_given_the_statement_of_the_service() -> None:
    step = queries.get_user(user_id=_NOBODY)
    text = script(step)
    assert text.replace(":p1::uuid", "$1::uuid") == step.statement.sql.rstrip() + ";\n"
    assert "$" not in text


def test_percentiles_are_of_the_calls_that_were_made() -> None:
    sample = sample_of([(n * 1000, n * 1000) for n in range(1, 101)])
    assert (sample.calls, sample.p50_ms, sample.p99_ms) == (100, 50.0, 99.0)
    assert sample.seconds == pytest.approx(0.199)
