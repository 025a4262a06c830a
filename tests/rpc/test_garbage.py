"""Whatever is sent to whatever RPC: the answer is one, or a refusal that the contract promises.

`BANTER_NIGHTLY=1` sends 10,000 requests that are others each time; a failure prints what repeats it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from banter.v1 import user_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import DecodeError, Message
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, DrawFn, SearchStrategy

from banter_grpc.errors.user import user_not_found
from banter_grpc.rpc.caller import Caller
from tests.support import contract, garbage
from tests.support.harness import Metadata, Running
from tests.support.nightly import NIGHTLY
from tests.support.outcomes import Outcome, is_promised, outcome_of
from tests.support.probe import probe
from tests.support.requests import unprepared

REQUESTS = 10_000 if NIGHTLY else 900
METHODS = list(contract.methods())
KINDS = ("user", "admin", "service")
EXAMPLES = settings(
    max_examples=-(-REQUESTS // (len(METHODS) * len(KINDS))),
    derandomize=not NIGHTLY,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


class People:
    """A user and an admin to send garbage as; who was erased by it is replaced."""

    def __init__(self, banter: Running) -> None:
        self._banter = banter
        self.metadata: dict[str, Metadata] = {"service": banter.as_service}
        self.user_id = ""

    async def complete(self) -> None:
        if "user" not in self.metadata:
            self.user_id = (await self._banter.new_user()).user_id
            self.metadata["user"] = self._banter.as_user(self.user_id)
        if "admin" not in self.metadata:
            admin = await self._banter.new_user(role="admin")
            self.metadata["admin"] = self._banter.as_user(admin.user_id)

    def note(self, kind: str, outcome: Outcome) -> None:
        if outcome.reason in {"CALLER_UNKNOWN", "CALLER_INACTIVE"}:
            self.metadata.pop(kind, None)


@pytest.fixture
def people(banter: Running) -> People:
    return People(banter)


@pytest.fixture
def no_defect(banter: Running) -> Iterator[None]:
    before = len(banter.log)
    yield
    assert [line for line in banter.log[before:] if line.get("event") == "defect"] == []


@pytest.mark.usefixtures("no_defect")
@pytest.mark.parametrize("method", [pytest.param(method, id=method.full_name) for method in METHODS])
@EXAMPLES
@given(data=st.data())
async def test_garbage_gets_an_answer_or_a_promised_refusal(
    banter: Running, people: People, method: MethodDescriptor, data: DataObject
) -> None:
    await people.complete()
    body = data.draw(garbage.requests(unprepared(method, people.user_id)), "request")
    for kind in KINDS:
        outcome = await outcome_of(banter.channel, method, body, people.metadata[kind])
        note(f"as {kind}: {outcome}")
        assert is_promised(outcome, contract.promised_reasons(method))
        people.note(kind, outcome)


def sample(strategy: SearchStrategy[Any], count: int = 300) -> list[Any]:
    """Some of what a strategy makes, the same ones each time."""
    found: list[Any] = []

    @settings(EXAMPLES, max_examples=count, derandomize=True, phases=[Phase.generate])
    @given(strategy)
    def collect(made: object) -> None:
        found.append(made)

    collect()
    return found


def everything() -> Descriptor:
    """A message type with a field of every kind."""
    file = descriptor_pb2.FileDescriptorProto(name="garbage.proto", package="garbage", syntax="proto3")
    well_known = [f".google.protobuf.{name}" for name in ("Timestamp", "Duration", "FieldMask", "Struct", "Value")]
    file.dependency.extend(
        f"google/protobuf/{name}.proto" for name in ("timestamp", "duration", "field_mask", "struct")
    )
    colour = file.enum_type.add(name="Colour")
    colour.value.add(name="COLOUR_UNSPECIFIED", number=0)
    colour.value.add(name="COLOUR_RED", number=1)
    message = file.message_type.add(name="Everything")
    message.oneof_decl.add(name="either")
    entry = message.nested_type.add(name="TreesEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=9, label=1)
    entry.field.add(name="value", number=2, type=11, label=1, type_name=".garbage.Everything")
    numbers = iter(range(1, 100))
    for kind in (number for number in range(1, 19) if number not in (10, 11, 14)):  # groups, messages, enums
        for label in (1, 3):
            message.field.add(name=f"of_{kind}_{label}", number=next(numbers), type=kind, label=label)  # type: ignore[arg-type]
    for name, kind, label in (
        *((f"known_{number}", name, 1) for number, name in enumerate(well_known)),
        *((f"many_{number}", name, 3) for number, name in enumerate(well_known)),
        ("tree", ".garbage.Everything", 1),
        ("forest", ".garbage.Everything", 3),
        ("trees", ".garbage.Everything.TreesEntry", 3),
    ):
        message.field.add(name=name, number=next(numbers), type=11, label=label, type_name=kind)  # type: ignore[arg-type]
    message.field.add(name="colour", number=next(numbers), type=14, label=1, type_name=".garbage.Colour")
    for name in ("left", "right"):
        message.field.add(name=name, number=next(numbers), type=9, label=1, oneof_index=0)
    pool = descriptor_pool.Default()
    try:
        return pool.FindMessageTypeByName("garbage.Everything")
    except KeyError:
        pool.Add(file)  # pyright: ignore[reportDeprecated]
        return pool.FindMessageTypeByName("garbage.Everything")


def all_within(message: Message) -> Iterator[tuple[FieldDescriptor, object]]:
    """Each field that is set, and its value, in a message and all below it."""
    for field, value in message.ListFields():
        yield field, value
        entries = field.message_type is not None and field.message_type.GetOptions().map_entry
        below = list(value.values()) if entries else list(value) if field.is_repeated else [value]
        for each in below:
            if isinstance(each, Message):
                yield from all_within(each)


@st.composite
def spoiled(draw: DrawFn, kind: Descriptor, name: str) -> Message:
    message = message_factory.GetMessageClass(kind)()
    garbage.spoil(draw, message, kind.fields_by_name[name])
    return message


def test_every_kind_of_field_gets_garbage() -> None:
    kind = everything()
    for field in kind.fields:
        found = sample(spoiled(kind, field.name), 15)
        assert any(field in dict(all_within(message)) for message in found), field.name


def test_garbage_is_of_the_worst_sort() -> None:
    kind = everything()

    def all_of(name: str) -> dict[str, list[Any]]:
        seen: dict[str, list[Any]] = {}
        for message in sample(spoiled(kind, name), 200):
            for field, value in all_within(message):
                seen.setdefault(field.full_name, []).append(value)
        return seen

    (texts,) = all_of("of_9_1").values()
    assert any("\x00" in text for text in texts) and any(len(text) > 10_000 for text in texts)
    assert {1, 2, -1, 2**31 - 1} <= set(*all_of("colour").values())
    assert {-(2**63), 2**63 - 1} <= set(all_of("known_0")["google.protobuf.Timestamp.seconds"])
    assert any(len(values) > 1000 for values in all_of("of_9_3")["garbage.Everything.of_9_3"])
    assert any("colour" in mask.paths for mask in all_of("known_2")["garbage.Everything.known_2"])
    json = all_of("known_4")
    assert any(math.isnan(number) for number in json["google.protobuf.Value.number_value"])
    assert any(depth_of(value) >= 40 for value in json["garbage.Everything.known_4"])


def depth_of(value: struct_pb2.Value) -> int:
    return 1 + max((depth_of(each) for each in value.list_value.values), default=0)


def test_a_valid_request_is_changed_a_little_or_much() -> None:
    valid = user_pb2.UpdateUserRequest(user=user_pb2.User(user_id="a", bio="b", timezone="c"))
    bodies = sample(garbage.requests(valid))
    decoded, undecodable = [], 0
    for body in bodies:
        try:
            decoded.append(user_pb2.UpdateUserRequest.FromString(body))
        except DecodeError:
            undecodable += 1
    assert undecodable > 10
    assert len({bytes(body) for body in bodies}) > 150
    nearly = [request for request in decoded if (request.user.user_id, request.user.timezone) == ("a", "c")]
    assert len(nearly) > 50, "what differs in one field goes further than what differs in all"
    assert any(request.user.bio not in {"", "b"} for request in nearly)
    assert any(len(body) > 2**20 for body in bodies)


@pytest.fixture(scope="module")
def bodies() -> list[bytes]:
    valid = user_pb2.FindOrCreateUserRequest(phone_number="+919876500001", full_name="Asha Rao")
    return sample(garbage.requests(valid), 150)


async def sane(request: Message, _caller: Caller) -> Message:
    return user_pb2.FindOrCreateUserResponse()


async def takes_no_nul(request: Message, _caller: Caller) -> Message:
    assert isinstance(request, user_pb2.FindOrCreateUserRequest)
    if "\x00" in request.phone_number:
        raise ValueError(request.phone_number)
    return user_pb2.FindOrCreateUserResponse()


async def waits_for_ever(request: Message, _caller: Caller) -> Message:
    assert isinstance(request, user_pb2.FindOrCreateUserRequest)
    if request.timezone:
        await asyncio.Event().wait()
    return user_pb2.FindOrCreateUserResponse()


async def says_what_it_never_promised(request: Message, _caller: Caller) -> Message:
    assert isinstance(request, user_pb2.FindOrCreateUserRequest)
    if not request.full_name:
        raise user_not_found("x")
    return user_pb2.FindOrCreateUserResponse()


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize(
    ("handler", "found"),
    [
        (sane, set()),
        (takes_no_nul, {"INTERNAL"}),
        (waits_for_ever, {"DEADLINE_EXCEEDED"}),
        (says_what_it_never_promised, {"USER_NOT_FOUND"}),
    ],
)
async def test_a_faulty_handler_does_not_pass(
    handler: Callable[[Message, Caller], Awaitable[Message]], found: set[str], stream: bool, bodies: list[bytes]
) -> None:
    async def watch(request: Message, caller: Caller) -> AsyncIterator[Message]:
        yield user_pb2.FindOrCreateUserResponse()
        yield await handler(request, caller)

    deadline = 0.5 if found == {"DEADLINE_EXCEEDED"} else 20
    async with probe(handler, watch, max_in_flight=len(bodies), max_bytes=2**20, deadline=deadline) as server:
        method = server.service.methods_by_name["Watch" if stream else "Do"]
        outcomes = await asyncio.gather(*(outcome_of(server.channel, method, body, ()) for body in bodies))
    assert {outcome.reason for outcome in outcomes if not is_promised(outcome, {"TIMEZONE_UNKNOWN"})} == found
    assert {"", "REQUEST_UNDECODABLE", "REQUEST_INVALID", "REQUEST_TOO_LARGE"} <= {
        outcome.reason for outcome in outcomes
    }
