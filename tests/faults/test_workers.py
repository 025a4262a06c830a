"""Several processes on one port: a dead one is replaced, a silent one too, and a replacement loses next to nothing."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent

import grpc
import grpc.aio
import pytest
from banter.v1 import user_pb2, user_pb2_grpc

from banter_grpc.workers.exposition import merge
from tests.conftest import NewDatabase
from tests.support import contract
from tests.support.clusters import Database
from tests.support.command import PHONE_HASH_KEY, complaint_of
from tests.support.harness import CHANNEL_OPTIONS, bearer
from tests.support.processes import PythonProcess, lives
from tests.support.served import Served, served

REQUEST = user_pb2.FindOrCreateUserRequest(phone_number="+919812340000", full_name="Asha Rao")
CONFIG = (contract.ROOT / "docs" / "service_config.json").read_text()
LOST = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
"""What a call gets that nobody has served: the second by grpc's core, when it comes with the listener's end."""
RETRYING = [("grpc.service_config", CONFIG), ("grpc.use_local_subchannel_pool", 1)]


@pytest.fixture(scope="module")
def lasting(worker_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("workers"), worker_database.service_url, workers=2) as server:
        yield server


@pytest.fixture
def service(lasting: Served) -> Served:
    """Two workers, whatever became of others before."""
    until(lambda: len(workers(lasting)) == 2)
    return lasting


def workers(server: Served) -> list[int]:
    """The processes that have said that they serve, and live."""
    return [pid for line in server.log if line["event"] == "serving" and lives(pid := int(str(line["pid"])))]


def is_replaced(server: Served, gone: int, count: int = 2) -> bool:
    """Whether so many serve again, without this one."""
    there = workers(server)
    return gone not in there and len(there) == count


def fork_server(server: Served) -> int:
    """The process that the newest worker was forked from."""
    return int(Path(f"/proc/{workers(server)[-1]}/stat").read_text().rpartition(")")[2].split()[1])


def numbers_of_workers(lines: list[dict[str, object]]) -> list[int]:
    """How many served, of two, after each change in the log."""
    changes = {"serving": 1, "worker stopped": -1}
    return list(itertools.accumulate((changes.get(str(line["event"]), 0) for line in lines), initial=2))


def until(condition: Callable[[], bool], seconds: float = 30) -> float:
    """Wait, at most so long; returns how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() < started + seconds, "it did not come to pass"
        time.sleep(0.005)
    return time.monotonic() - started


async def passes(condition: Callable[[], bool], seconds: float = 30) -> float:
    return await asyncio.to_thread(until, condition, seconds)


def ask(server: Served, path: str) -> tuple[int, str]:
    """What the metrics' port answers."""
    (port,) = [line["port"] for line in server.log if line["event"] == "metrics"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@asynccontextmanager
async def callers(
    server: Served, options: list[tuple[str, object]], count: int = 64
) -> AsyncIterator[Counter[grpc.StatusCode]]:
    """Callers, each on a connection of its own, who call again and again; yields what they get, by status.

    Each has had an answer before: to be cut off while it connects is another thing than to lose a call.
    """
    outcomes, stop, connected = Counter[grpc.StatusCode](), asyncio.Event(), asyncio.Barrier(count + 1)

    async def again() -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
            stub = user_pb2_grpc.UserServiceStub(channel)
            await stub.FindOrCreateUser(REQUEST, metadata=bearer(server.token), timeout=10)
            await connected.wait()
            while not stop.is_set():
                try:
                    await stub.FindOrCreateUser(REQUEST, metadata=bearer(server.token), timeout=10)
                    outcomes[grpc.StatusCode.OK] += 1
                except grpc.aio.AioRpcError as error:
                    outcomes[error.code()] += 1
                    await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(again()) for _ in range(count)]
    try:
        async with asyncio.timeout(20):
            await connected.wait()
            while outcomes.total() < 2 * count:
                await asyncio.sleep(0.01)
        yield outcomes
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 20)


async def test_a_killed_worker_costs_only_its_own_calls_and_is_replaced_within_a_second(service: Served) -> None:
    before = workers(service)  # which reads the log, and lets calls in flight end meanwhile
    async with callers(service, [*CHANNEL_OPTIONS]) as outcomes:
        os.kill(before[0], signal.SIGKILL)
        took = await passes(lambda: is_replaced(service, before[0]))
        assert took < 1 * max(1.0, os.getloadavg()[0])
        assert before[1] in workers(service), "its fellow was not touched"
        served_then = outcomes[grpc.StatusCode.OK]
        await passes(lambda: outcomes[grpc.StatusCode.OK] > served_then + 200)
    assert set(outcomes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert 0 < outcomes[grpc.StatusCode.UNAVAILABLE] <= 128


async def test_with_the_published_service_config_nobody_notices_a_killed_worker(service: Served) -> None:
    gone = workers(service)[0]
    async with callers(service, RETRYING) as outcomes:
        os.kill(gone, signal.SIGKILL)
        await passes(lambda: is_replaced(service, gone))
        served_then = outcomes[grpc.StatusCode.OK]
        await passes(lambda: outcomes[grpc.StatusCode.OK] > served_then + 200)
    assert set(outcomes) == {grpc.StatusCode.OK}


async def test_workers_do_not_miss_their_fork_server_and_those_after_it_get_another(service: Served) -> None:
    before, gone = workers(service), fork_server(service)
    async with callers(service, [*CHANNEL_OPTIONS]) as outcomes:
        os.kill(gone, signal.SIGKILL)
        served_then = outcomes[grpc.StatusCode.OK]
        await passes(lambda: not lives(gone) and outcomes[grpc.StatusCode.OK] > served_then + 200)
    assert set(outcomes) == {grpc.StatusCode.OK}
    assert workers(service) == before
    os.kill(before[0], signal.SIGKILL)
    await passes(lambda: is_replaced(service, before[0]))
    assert fork_server(service) not in {gone, service.supervisor}


async def test_what_is_installed_and_does_not_start_replaces_nobody(
    worker_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "installed"
    installed.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(installed))
    with served(tmp_path, worker_database.service_url, workers=1) as server:
        (before,), old = workers(server), fork_server(server)
        (installed / "protovalidate.py").write_text("raise ImportError")
        os.kill(server.supervisor, signal.SIGHUP)
        until(lambda: any(str(line["event"]).startswith("replacement given up") for line in server.log))
        assert workers(server) == [before]
        os.kill(before, signal.SIGKILL)
        until(lambda: is_replaced(server, before, 1))
        assert fork_server(server) == old, "who dies is replaced by what did start"
        (installed / "protovalidate.py").unlink()
        os.kill(server.supervisor, signal.SIGHUP)
        until(lambda: not lives(old), 60)
        assert len(workers(server)) == 1


def test_workers_of_one_fork_server_make_ids_of_their_own() -> None:
    code = """
        import os
        from banter_grpc.ids import new_id
        new_id()
        for _ in range(2):
            if os.fork() == 0:
                print(new_id().rpartition("-")[2], flush=True)
                os._exit(0)
            os.wait()
        print(new_id().rpartition("-")[2])
    """
    with PythonProcess(dedent(code)) as process:
        assert len(set(process.finish().splitlines())) == 3


async def test_sighup_replaces_all_one_by_one_and_nobody_notices(service: Served) -> None:
    async with callers(service, RETRYING) as outcomes:
        before, lines, old = workers(service), len(service.log), fork_server(service)
        os.kill(service.supervisor, signal.SIGHUP)
        await passes(lambda: len(workers(service)) == 2 and not set(workers(service)) & set(before), 60)
        counts = [count for count, _ in itertools.groupby(numbers_of_workers(service.log[lines:]))]
        assert counts == [2, 3, 2, 3, 2], "one more while one is replaced, and never one fewer"
        await passes(lambda: not lives(old))
        served_then = outcomes[grpc.StatusCode.OK]
        await passes(lambda: outcomes[grpc.StatusCode.OK] > served_then + 200)
    assert set(outcomes) == {grpc.StatusCode.OK}


async def test_a_service_with_one_worker_is_ready_all_through_its_replacement(
    worker_database: Database, tmp_path: Path
) -> None:
    with served(tmp_path, worker_database.service_url, workers=1) as server:
        assert ask(server, "/ready") == (200, "ready\n"), "who serves is ready"
        (before,) = workers(server)
        os.kill(server.supervisor, signal.SIGHUP)

        def is_gone() -> bool:
            assert ask(server, "/ready") == (200, "ready\n")
            return not lives(before)

        until(is_gone, 60)
        assert ask(server, "/ready") == (200, "ready\n")


async def test_a_replacement_costs_callers_without_retries_next_to_nothing(service: Served) -> None:
    """What a closing listener's queue loses: counted, and bounded."""
    async with callers(service, [*CHANNEL_OPTIONS]) as outcomes:
        before = workers(service)
        os.kill(service.supervisor, signal.SIGHUP)
        await passes(lambda: len(workers(service)) == 2 and not set(workers(service)) & set(before), 60)
    assert set(outcomes) <= {grpc.StatusCode.OK, *LOST}
    # None on a quiet machine; without the gate that holds calls until GOAWAY is out, a third of the callers lose one.
    assert outcomes.total() - outcomes[grpc.StatusCode.OK] <= 6


async def test_a_worker_whose_loop_is_silent_is_replaced(service: Served) -> None:
    before = workers(service)
    os.kill(before[0], signal.SIGSTOP)
    await passes(lambda: is_replaced(service, before[0]))
    assert before[1] in workers(service)
    assert any(line["event"] == "worker is silent, and is killed" for line in service.log)


def test_the_metrics_of_all_are_on_one_port_and_so_is_readiness(service: Served) -> None:
    until(lambda: ask(service, "/ready") == (200, "ready\n"))
    status, text = ask(service, "/metrics")
    assert status == 200
    for worker in ("0", "1"):
        assert f'rpc_server_calls_in_flight{{worker="{worker}"}}' in text
    assert text.count("# TYPE rpc_server_calls_in_flight gauge") == 1
    assert ask(service, "/")[0] == 404


def test_workers_end_when_their_supervisor_is_killed(worker_database: Database, tmp_path: Path) -> None:
    with served(tmp_path, worker_database.service_url, workers=2) as server:
        until(lambda: len(workers(server)) == 2)
        before = [*workers(server), fork_server(server)]
        os.kill(server.supervisor, signal.SIGKILL)
        until(lambda: not any(map(lives, before)), 20)


def test_a_service_that_stops_waits_for_who_is_being_replaced(worker_database: Database, tmp_path: Path) -> None:
    with served(tmp_path, worker_database.service_url, workers=1, drain_delay=1) as server:
        (old,) = workers(server)
        os.kill(server.supervisor, signal.SIGHUP)
        until(lambda: len(workers(server)) == 2, 60)
        os.kill(old, signal.SIGSTOP)
        os.kill(server.supervisor, signal.SIGTERM)
        until(lambda: workers(server) == [old])
        time.sleep(0.3)
        assert lives(server.supervisor)
        os.kill(old, signal.SIGCONT)
        until(lambda: not lives(server.supervisor))
        assert not lives(old)


def test_more_workers_than_the_database_has_room_for_are_refused(new_database: NewDatabase) -> None:
    issuer = {"issuer": "https://tests.invalid", "audience": "banter", "subject": "service", "keys": "/nowhere"}
    url = new_database().service_url
    line = complaint_of(
        "serve", "--workers", "99", database_url=url, issuers=json.dumps([issuer]), phone_hash_key=PHONE_HASH_KEY
    )
    assert "99 workers" in line
    assert "max_connections" in line


def test_expositions_are_merged_family_by_family() -> None:
    text = '# HELP a A.\n# TYPE a counter\na{code="OK"} 1.0\n# HELP b B.\n# TYPE b gauge\nb 2.0\n'
    assert merge({0: text, 3: text}) == (
        '# HELP a A.\n# TYPE a counter\na{worker="0",code="OK"} 1.0\na{worker="3",code="OK"} 1.0\n'
        '# HELP b B.\n# TYPE b gauge\nb{worker="0"} 2.0\nb{worker="3"} 2.0\n'
    )


def test_the_published_service_config_retries_what_the_contract_calls_safe() -> None:
    configured = {
        f"{name['service']}.{name['method']}" for each in json.loads(CONFIG)["methodConfig"] for name in each["name"]
    }
    assert configured == {m.full_name for m in contract.methods() if contract.policy(m).safe_to_retry}
