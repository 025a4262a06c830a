"""What operators see of a running server, and what nobody may see there."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from banter.v1 import user_pb2
from prometheus_client import generate_latest

from banter_grpc.rpc.telemetry.lines import LineWriter
from banter_grpc.rpc.telemetry.logs import make_log, take_over_libraries
from tests.conftest import NewDatabase
from tests.support.harness import refused, running

SECRETS = ("+9198765", "Canary Name", "canary@example.org", "canary-uid", "canary_handle", "Canary bio")


async def test_the_metrics_of_calls_queries_and_connections_are_there(new_database: NewDatabase) -> None:
    database = new_database()
    async with running(database.owner_url, database.service_url) as banter:
        user = await banter.new_user()
        request = user_pb2.GetUserRequest(user_id=str(uuid.uuid4()))
        await refused(banter.users.GetUser(request, metadata=banter.as_user(user.user_id)))
        metrics = generate_latest(banter.server.metrics.registry).decode()
        for sample in (
            'rpc_server_call_duration_seconds_count{code="NOT_FOUND",method="/banter.v1.UserService/GetUser"} 1.0',
            "rpc_server_calls_in_flight 0.0",
            'query="insert_user+link_firebase_uid+grant_signup+get_user_by_phone_number"} 1.0',
            'db_query_duration_seconds_count{query="find_caller_by_user_id"} 1.0',
            "db_pool_connections ",
            "db_pool_connections_in_use ",
            "db_pool_waiting ",
            "db_pool_wait_seconds_count ",
        ):
            assert sample in metrics, sample


async def test_metrics_are_served_on_their_port(new_database: NewDatabase, unused_tcp_port: int) -> None:
    database = new_database()
    async with running(database.owner_url, database.service_url, metrics_port=unused_tcp_port):
        url = f"http://127.0.0.1:{unused_tcp_port}/metrics"
        answer = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=5).read().decode())
        assert "rpc_server_calls_in_flight" in answer


async def test_a_slow_query_is_logged_by_name_and_duration(new_database: NewDatabase) -> None:
    database = new_database()
    async with running(database.owner_url, database.service_url, slow_query_ms=300) as banter:
        user = await banter.new_user()
        assert not [line for line in banter.log if line["event"] == "slow query"]
        request = user_pb2.GetUserRequest(user_id=user.user_id)
        async with await psycopg.AsyncConnection.connect(database.owner_url) as blocker:
            await blocker.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            held = asyncio.ensure_future(banter.users.GetUser(request, metadata=banter.as_service))
            await asyncio.sleep(0.4)
        await held
        (line,) = [line for line in banter.log if line["event"] == "slow query"]
        assert line["queries"] == ["get_user"]
        assert isinstance(line["duration_ms"], float)
        assert user.user_id not in json.dumps(line)


async def test_nothing_personal_and_no_token_is_ever_logged(new_database: NewDatabase) -> None:
    """Whatever happens: success, refusal, conflict, defect; at the most talkative level."""
    database = new_database()
    async with running(database.owner_url, database.service_url, slow_query_ms=0) as banter:
        create = user_pb2.FindOrCreateUserRequest(
            phone_number="+919876500017", full_name="Canary Name", firebase_uid="canary-uid"
        )
        user = (await banter.users.FindOrCreateUser(create, metadata=banter.as_service)).user
        other = await banter.new_user()
        new = user_pb2.User(email="canary@example.org", username="canary_handle", bio="Canary bio")
        for each in (user, other):  # the second one is refused: both are taken
            new.user_id = each.user_id
            call = banter.users.UpdateUser(user_pb2.UpdateUserRequest(user=new), metadata=banter.as_user(each.user_id))
            await (call if each is user else refused(call))
        new.birth_date = "canary"
        bad = user_pb2.UpdateUserRequest(user=new)
        await refused(banter.users.UpdateUser(bad, metadata=banter.as_user(other.user_id)))
        async with await psycopg.AsyncConnection.connect(database.owner_url, autocommit=True) as connection:
            await connection.execute("ALTER TABLE users ADD CONSTRAINT users_bio_check_2 CHECK (bio <> 'Canary bio!')")
        new = user_pb2.User(user_id=user.user_id, bio="Canary bio!")
        failure = await refused(
            banter.users.UpdateUser(user_pb2.UpdateUserRequest(user=new), metadata=banter.as_user(user.user_id))
        )
        assert failure.reason == "INTERNAL"
        (defect,) = [line for line in banter.log if line["event"] == "defect"]
        assert "CheckViolation [23514]" in str(defect["faults"])
        text = banter.log_stream.getvalue()
        for secret in (*SECRETS, banter.user_token(user.user_id)[-20:], banter.service_token()[-20:]):
            assert secret not in text


class TestLines:
    def test_every_line_is_written_once_and_in_order(self) -> None:
        stream = io.StringIO()
        writer = LineWriter(stream)
        for number in range(10_000):
            writer.write(b"%d\n" % number)
        writer.close()
        assert stream.getvalue().split() == [str(number) for number in range(10_000)]

    def test_a_reader_that_is_gone_stops_nobody(self) -> None:
        class Broken(io.StringIO):
            def write(self, _text: str) -> int:
                raise BrokenPipeError

        writer = LineWriter(Broken())
        writer.write(b"lost\n")
        writer.flush()
        writer.close()

    def test_lines_of_many_threads_do_not_mix(self) -> None:
        stream = io.StringIO()
        log = make_log("json", "info", stream)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: log.info("event", number=number), range(500)))
        log.flush()
        assert sorted(json.loads(line)["number"] for line in stream.getvalue().splitlines()) == list(range(500))

    def test_below_its_level_nothing_is_said(self) -> None:
        stream = io.StringIO()
        log = make_log("json", "warning", stream)
        log.info("no")
        log.debug("no")
        log.warning("yes", field="x")
        log.flush()
        (line,) = stream.getvalue().splitlines()
        assert {"level": "warning", "event": "yes", "field": "x"}.items() <= json.loads(line).items()

    @pytest.mark.parametrize("form", ["json", "console"])
    def test_libraries_are_logged_in_the_same_form_without_their_tracebacks(self, form) -> None:
        stream, root = io.StringIO(), logging.getLogger()
        before = root.handlers[:], root.level
        try:
            take_over_libraries(form, stream)
            logging.getLogger("some.library").error("it failed", exc_info=ValueError("+919876543210"))
            logging.getLogger("some.library").info("chatter")
        finally:
            root.handlers[:], root.level = before
        said = stream.getvalue()
        assert "+91" not in said
        assert "chatter" not in said
        expected = {"level": "error", "event": "it failed", "logger": "some.library", "exception": "ValueError"}
        if form == "json":
            (line,) = said.splitlines()
            assert expected.items() <= json.loads(line).items()
        else:
            assert all(word in said for word in expected.values())


@pytest.mark.parametrize("form", ["json", "console"])
def test_both_forms_say_the_event_and_its_fields(form) -> None:
    stream = io.StringIO()
    log = make_log(form, "info", stream)
    log.info("something", answer=42)
    log.flush()
    assert "something" in stream.getvalue()
    assert "42" in stream.getvalue()
