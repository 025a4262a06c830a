"""What surrounds a handler: each layer, over the wire."""

from __future__ import annotations

import asyncio
import re
import time
import uuid

import grpc
import pytest
from banter.v1 import user_pb2
from google.protobuf import json_format
from google.protobuf.message import Message

from banter_grpc.rpc.limits import Rate
from tests.support.harness import failure_of, refused
from tests.support.probe import DEADLINE, MAXIMUM, probe

VALID = user_pb2.FindOrCreateUserRequest(phone_number="+919812345678", full_name="Asha Rao").SerializeToString()
OK = user_pb2.FindOrCreateUserResponse(created=True)


async def answers(_request: Message, _caller: object) -> Message:
    return OK


class TestAdmission:
    async def test_beyond_the_calls_in_flight_others_are_refused_within_10_ms(self) -> None:
        release, entered = asyncio.Event(), asyncio.Semaphore(0)

        async def wait(_request: Message, _caller: object) -> Message:
            entered.release()
            await release.wait()
            return OK

        async with probe(wait, max_in_flight=3) as server:
            held = [asyncio.ensure_future(server.do(VALID, timeout=5)) for _ in range(3)]
            for _ in held:
                await asyncio.wait_for(entered.acquire(), 5)
            took = []
            for _ in range(20):
                started = time.perf_counter()
                failure = await refused(server.do(VALID))
                took.append(time.perf_counter() - started)
                assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_BUSY")
                assert failure.retry_seconds and 0 < failure.retry_seconds < 1
                assert int(failure.trailers["grpc-retry-pushback-ms"]) == round(failure.retry_seconds * 1000)
            assert sorted(took)[10] < 0.010
            release.set()
            assert await asyncio.gather(*held) == [OK.SerializeToString()] * 3
            assert await server.do(VALID) == OK.SerializeToString()
            assert server.admission.in_flight == 0

    async def test_while_many_wait_for_the_database_others_are_refused(self) -> None:
        async with probe(answers, max_waiting=5) as server:
            server.waiting[0] = 5
            assert (await refused(server.do(VALID))).reason == "SERVER_BUSY"
            server.waiting[0] = 4
            assert await server.do(VALID) == OK.SerializeToString()


class TestDeadlines:
    async def test_a_call_without_a_deadline_gets_the_policys(self) -> None:
        cancelled = asyncio.Event()

        async def wait(_request: Message, _caller: object) -> Message:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                cancelled.set()
                raise
            return OK

        async with probe(wait) as server:
            started = time.perf_counter()
            failure = await refused(server.do(VALID))
            assert DEADLINE <= time.perf_counter() - started < DEADLINE + 1
            assert (failure.code, failure.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
            assert failure.metadata == {"deadline": "0.3s"}
            assert "at most 0.6 s" in failure.message
            assert cancelled.is_set()

    async def test_no_client_gets_more_than_the_policys_maximum(self) -> None:
        async def wait(_request: Message, _caller: object) -> Message:
            await asyncio.sleep(30)
            return OK

        async with probe(wait) as server:
            started = time.perf_counter()
            failure = await refused(server.do(VALID, timeout=20))
            assert MAXIMUM <= time.perf_counter() - started < MAXIMUM + 1
            assert failure.reason == "DEADLINE_EXCEEDED"

    async def test_a_call_that_ends_in_time_is_not_hit_by_its_timer(self) -> None:
        async def just(_request: Message, _caller: object) -> Message:
            await asyncio.sleep(0.001)
            return OK

        async with probe(just) as server:
            assert await asyncio.gather(*(server.do(VALID, timeout=5) for _ in range(50)))

    async def test_the_handler_of_a_client_that_went_is_cancelled(self) -> None:
        entered, cancelled = asyncio.Event(), asyncio.Event()

        async def wait(_request: Message, _caller: object) -> Message:
            entered.set()
            try:
                await asyncio.sleep(30)
            finally:
                cancelled.set()
            return OK

        async with probe(wait) as server:
            call = server.do(VALID, timeout=0.5)
            await asyncio.wait_for(entered.wait(), 5)
            call.cancel()
            await asyncio.wait_for(cancelled.wait(), 0.1)
            while server.admission.in_flight:
                await asyncio.sleep(0.001)
            assert [line["code"] for line in server.log] == ["CANCELLED"]


class TestRequests:
    async def test_bytes_that_are_no_request_are_refused_in_our_words(self) -> None:
        async with probe(answers) as server:
            failure = await refused(server.do(b"\xff\xff\xff"))
            assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_UNDECODABLE")
            assert failure.metadata == {"type": "banter.v1.FindOrCreateUserRequest"}

    async def test_an_unknown_method_is_refused_in_our_words(self) -> None:
        async with probe(answers) as server:
            for path in ("/probe.Probe/Undo", "/nobody.Service/Do", "/nonsense"):
                failure = await refused(server.do(b"", path=path))
                assert (failure.code, failure.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_UNKNOWN")
            assert {line["method"] for line in server.log} == {"unknown"}, "a label that clients choose is unbounded"

    async def test_a_request_that_is_too_long_is_refused_in_our_words(self) -> None:
        async with probe(answers, max_bytes=1000) as server:
            long = user_pb2.FindOrCreateUserRequest(full_name="x" * 1500).SerializeToString()
            failure = await refused(server.do(long))
            assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE")
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await server.do(b"x" * 10_000)
            assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, "far longer: by the core"
            assert await server.do(VALID) == OK.SerializeToString()

    async def test_all_violations_are_named_as_far_as_they_fit(self) -> None:
        async with probe(answers) as server:
            bad = user_pb2.FindOrCreateUserRequest(
                phone_number="", full_name=" ", timezone="", country_code="91", firebase_uid="ü"
            )
            failure = await refused(server.do(bad.SerializeToString()))
            assert failure.reason == "REQUEST_INVALID"
            assert failure.metadata == {"count": "5"}
            assert {field for field, _ in failure.violations} == {
                "phone_number",
                "full_name",
                "timezone",
                "country_code",
                "firebase_uid",
            }
            assert failure.message.startswith("phone_number: ")
            assert failure.message.endswith("; and 2 more")


class TestRateLimits:
    async def test_a_caller_beyond_his_budget_is_told_when_to_come_back(self) -> None:
        async with probe(answers, rate=Rate(10, 5)) as server:
            for _ in range(5):
                await server.do(VALID)
            failure = await refused(server.do(VALID))
            assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
            assert failure.metadata == {"rate_class": "read", "per_second": "10"}
            assert failure.retry_seconds == pytest.approx(0.1)
            assert failure.trailers["grpc-retry-pushback-ms"] == "100"


class TestErrors:
    @pytest.mark.parametrize(
        "error",
        [
            RuntimeError("the number is +919812345678"),
            KeyError("asha@example.org"),
            asyncio.CancelledError(),
            SystemExit(3),
            KeyboardInterrupt(),
            BaseExceptionGroup("many", [ValueError("secret")]),
        ],
        ids=lambda error: type(error).__name__,
    )
    async def test_a_defect_says_nothing_but_an_id(self, error: BaseException) -> None:
        async def fail(_request: Message, _caller: object) -> Message:
            raise error

        async with probe(fail) as server:
            failure = await refused(server.do(VALID, timeout=5))
            assert (failure.code, failure.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
            request_id = failure.metadata["request_id"]
            assert failure.message == f"internal error; report x-request-id {request_id}"
            assert failure.trailers["x-request-id"] == request_id
            defect, line = server.log
            assert (defect["event"], defect["request_id"]) == ("defect", request_id)
            assert type(error).__name__ in str(defect["faults"])
            assert line["code"] == "INTERNAL"
            logged = server.log_stream.getvalue()
            for secret in ("+9198", "asha@", "secret", "Asha"):
                assert secret not in logged
            assert defect["request"] == {"phone_number": "[redacted]", "full_name": "[redacted]"}

    async def test_a_handlers_own_timeout_is_a_defect_and_no_cancellation(self) -> None:
        async def fail(_request: Message, _caller: object) -> Message:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(5)
            return OK

        async with probe(fail) as server:
            assert (await refused(server.do(VALID))).reason == "INTERNAL"


class TestStreams:
    async def test_a_stream_is_sent_as_it_is_made_and_ends_with_its_trailers(self) -> None:
        async def count(_request: Message, _caller: object):
            for number in range(3):
                yield user_pb2.FindOrCreateUserResponse(user=user_pb2.User(age=number))

        async with probe(watch=count) as server:
            call = server.watch(VALID)
            ages = [user_pb2.FindOrCreateUserResponse.FromString(message).user.age async for message in call]
            assert ages == [0, 1, 2]
            assert "x-request-id" in dict(await call.trailing_metadata())

    async def test_a_stream_that_fails_in_the_middle_says_so(self) -> None:
        async def fail(_request: Message, _caller: object):
            yield OK
            raise ValueError("no more")

        async with probe(watch=fail) as server:
            call, received = server.watch(VALID), 0
            with pytest.raises(grpc.aio.AioRpcError) as error:
                async for _ in call:
                    received += 1
            assert received == 1
            assert failure_of(error.value).reason == "INTERNAL"

    async def test_a_stream_whose_reader_went_is_closed(self) -> None:
        closed = asyncio.Event()

        async def endless(_request: Message, _caller: object):
            try:
                while True:
                    yield OK
                    await asyncio.sleep(0.001)
            finally:
                closed.set()

        async with probe(watch=endless) as server:
            call = server.watch(VALID)
            await call.read()
            call.cancel()
            await asyncio.wait_for(closed.wait(), 1)

    async def test_a_bad_request_of_a_stream_is_refused(self) -> None:
        async def never(_request: Message, _caller: object):
            raise AssertionError
            yield OK

        async with probe(watch=never) as server:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                async for _ in server.watch(b"\xff"):
                    pass
            assert failure_of(error.value).reason == "REQUEST_UNDECODABLE"


class TestTelemetry:
    async def test_a_call_leaves_one_line_and_one_measurement(self) -> None:
        async with probe(answers) as server:
            call = server.do(VALID, metadata=(("x-request-id", "abc-123"),))
            await call
            assert dict(await call.trailing_metadata())["x-request-id"] == "abc-123"
            (line,) = server.log
            assert line["event"] == "call"
            assert (line["method"], line["code"], line["request_id"]) == ("/probe.Probe/Do", "OK", "abc-123")
            assert line["peer"] == "ipv4:127.0.0.1"
            assert isinstance(line["duration_ms"], float)
            count = server.metrics.registry.get_sample_value(
                "rpc_server_call_duration_seconds_count", {"method": "/probe.Probe/Do", "code": "OK"}
            )
            assert count == 1

    @pytest.mark.parametrize("given", ["with space", "x" * 129, ""])
    async def test_an_unfit_request_id_is_replaced(self, given: str) -> None:
        async with probe(answers) as server:
            call = server.do(VALID, metadata=(("x-request-id", given),))
            await call
            made = dict(await call.trailing_metadata())["x-request-id"]
            assert uuid.UUID(str(made)).version == 7

    async def test_no_error_outgrows_4_kib(self) -> None:
        async def refuse(_request: Message, _caller: object) -> Message:
            from banter_grpc.errors import Refusal, Violation

            violations = [Violation(f"names[{n}]", "is " + "very " * 100 + "bad") for n in range(200)]
            raise Refusal("REQUEST_INVALID", "x" * 5000, violations=violations, count="200")

        async with probe(refuse) as server:
            failure = await refused(server.do(VALID))
            assert failure.size <= 4096
            assert 1 <= len(failure.violations) < 200
            assert failure.metadata["count"] == "200"
            assert len(failure.message) <= 600


def test_what_is_redacted_is_what_the_contract_marks() -> None:
    from banter_grpc.rpc.telemetry.redaction import redacted

    request = user_pb2.UpdateUserRequest(
        user=user_pb2.User(user_id=str(uuid.uuid4()), full_name="Asha", phone_number="+91", timezone="Asia/Kolkata")
    )
    assert json_format.MessageToDict(request)["user"]["fullName"] == "Asha"
    shown = redacted(request)
    assert shown == {
        "user": {
            "user_id": request.user.user_id,
            "full_name": "[redacted]",
            "phone_number": "[redacted]",
            "timezone": "Asia/Kolkata",
        }
    }
    assert not re.search("Asha[^/]", str(shown).replace("Asia", ""))
