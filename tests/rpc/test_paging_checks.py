"""The checks of paging find what they are for: a good list passes, and each fault is found by one of them."""

from __future__ import annotations

import io
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from banter.v1 import options_pb2
from buf.validate import validate_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from banter_grpc.pages import Page, Pages
from banter_grpc.rpc.admission import Admission
from banter_grpc.rpc.caller import Account, Authenticator, Caller, CallerCache, LookupKind
from banter_grpc.rpc.limits import Rate, RateLimits
from banter_grpc.rpc.methods import methods_of
from banter_grpc.rpc.mint import DEV_AUDIENCE, DEV_ISSUER, DevKey, dev_issuers, mint
from banter_grpc.rpc.policy import Policy
from banter_grpc.rpc.surroundings import Surroundings
from banter_grpc.rpc.telemetry.calls import CallLog
from banter_grpc.rpc.telemetry.logs import make_log
from banter_grpc.rpc.telemetry.metrics import Metrics
from banter_grpc.rpc.tokens import TokenVerifier
from banter_grpc.transport.grpc import GrpcServer
from tests.support import paging
from tests.support.harness import CHANNEL_OPTIONS, bearer
from tests.support.paging import CHECKS, ROWS, Subject

USERS = ("0199f3b2-6b1c-7c3e-9d5a-5d0c8f2a4e10", "0199f3b2-6b1c-7c3e-9d5a-5d0c8f2a4e11")


def _file() -> descriptor_pb2.FileDescriptorProto:
    """A service with one list, of things that are just their number."""
    file = descriptor_pb2.FileDescriptorProto(name="paging.proto", package="paging", syntax="proto3")
    file.dependency.append(validate_pb2.DESCRIPTOR.name)
    request = file.message_type.add(name="ListThingsRequest")
    for number, (name, kind) in enumerate((("query", 9), ("page_size", 5), ("page_token", 9), ("skip", 5)), 1):
        field = request.field.add(name=name, number=number, type=kind, label=1)  # type: ignore[arg-type]
        if kind == 5:
            field.options.Extensions[validate_pb2.field].int32.gte = 0
    file.message_type.add(name="Thing").field.add(name="number", number=1, type=3, label=1)
    response = file.message_type.add(name="ListThingsResponse")
    response.field.add(name="things", number=1, type=11, label=3, type_name=".paging.Thing")
    response.field.add(name="next_page_token", number=2, type=9, label=1)
    file.service.add(name="Things").method.add(
        name="ListThings", input_type=".paging.ListThingsRequest", output_type=".paging.ListThingsResponse"
    )
    return file


def service() -> ServiceDescriptor:
    pool = descriptor_pool.Default()
    try:
        return pool.FindServiceByName("paging.Things")
    except KeyError:
        pool.Add(_file())  # pyright: ignore[reportDeprecated]
        return pool.FindServiceByName("paging.Things")


METHOD = service().methods_by_name["ListThings"]
Request, Response = (message_factory.GetMessageClass(kind) for kind in (METHOD.input_type, METHOD.output_type))


class Things:
    """A list with a fault, or without."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.rows = [10 * number for number in range(1, ROWS + 1)]
        self._new = itertools.count(1)
        maximum = 1000 if fault == "takes any size" else 6
        self._pages = Pages(3 if fault == "has another default" else 4, maximum)
        self._pages.load(secrets.token_bytes(32))

    async def add(self, count: int) -> None:
        """At both ends and in between."""
        for number in itertools.islice(self._new, count):
            self.rows += [-number, 10 * number + 1, 1000 + number]
        self.rows.sort()

    async def ListThings(self, request: Any, caller: Caller) -> Message:
        page = self._open(request, caller)
        if self.fault == "counts":
            rows = self.rows[page.cursor[0] :]
            shown, token = page.cut(rows[: page.limit], lambda row: (page.cursor[0] + page.size,))
        else:
            rows = [row for row in self.rows if row > page.cursor[0]][
                0 if self.fault == "skips not" else request.skip :
            ]
            shown, token = page.cut(rows[: page.limit], lambda row: (row,))
        if self.fault == "loses the last of a page" and token:
            shown = shown[:-1]
        if self.fault == "turns pages round":
            shown = shown[::-1]
        if self.fault == "has no last page" and shown and not token:
            token = page.cut([0] * page.limit, lambda row: (self.rows[-1],))[1]
        return Response(things=[{"number": row} for row in shown], next_page_token=token)

    def _open(self, request: Any, caller: Caller) -> Page:
        bound = Request()
        bound.CopyFrom(request)
        if self.fault == "binds no arguments":
            bound.ClearField("query")
        actor_id = None if self.fault == "binds no caller" else caller.actor_id
        first = (0,) if self.fault == "counts" else (-1000,)
        if self.fault == "takes changed tokens":
            try:
                return self._pages.open(bound, actor_id, first)
            except Exception:
                bound.ClearField("page_token")
        return self._pages.open(bound, actor_id, first)


@asynccontextmanager
async def serving(things: Things) -> AsyncIterator[Subject]:
    async def account(_kind: LookupKind, subject: str) -> Account:
        return Account(subject, "user", is_active=True)

    key = DevKey(secrets.token_bytes(32))
    read = int(options_pb2.RATE_CLASS_READ)
    surroundings = Surroundings(
        Admission(100, 100, lambda: 0),
        Authenticator(TokenVerifier(dev_issuers(key)), CallerCache(account)),
        RateLimits({read: Rate(1e6, 1e6)}, {}, time.monotonic),
        CallLog(make_log("json", "debug", io.StringIO()), Metrics()),
        10_000,
    )
    policy = Policy(frozenset({options_pb2.CALLER_KIND_USER}), read, 20.0, 20.0)
    methods = methods_of(service(), things, policy_of=lambda _: policy)
    server = GrpcServer(methods, surroundings, "127.0.0.1", 0, max_message_bytes=10_000)
    await server.start()
    tokens = [mint(key, DEV_ISSUER, DEV_AUDIENCE, user, 3600) for user in USERS]
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=CHANNEL_OPTIONS) as channel:

            async def ask(request: Message, who: int) -> Message:
                call = channel.unary_unary("/paging.Things/ListThings")
                answer = await call(request.SerializeToString(), metadata=tuple(bearer(tokens[who])), timeout=30)
                return Response.FromString(answer)

            async def expected() -> list[str]:
                return [str(row) for row in things.rows]

            yield Subject(
                METHOD,
                ask,
                lambda _: Request(),
                None if things.fault == "has no other arguments" else Request(query="a"),
                things.add,
                expected,
                lambda thing: str(thing.number),
                4,
                6,
            )
    finally:
        await server.stop(1.0)


def test_a_list_is_known_by_its_tokens() -> None:
    assert paging.is_list(METHOD)
    assert paging.items_of(METHOD).name == "things"


async def test_a_good_list_passes() -> None:
    async with serving(Things("")) as subject:
        for check in CHECKS:
            await check(subject)


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("counts", paging.inserts_hide_nobody_and_show_nobody_twice),
        ("loses the last of a page", paging.all_pages_together_are_the_list),
        ("turns pages round", paging.all_pages_together_are_the_list),
        ("has no last page", paging.all_pages_together_are_the_list),
        ("takes any size", paging.the_size_of_a_page_is_bounded),
        ("has another default", paging.the_size_of_a_page_is_bounded),
        ("binds no caller", paging.a_token_is_good_for_its_list_only),
        ("binds no arguments", paging.a_token_is_good_for_its_list_only),
        ("takes changed tokens", paging.a_token_is_good_for_its_list_only),
        ("has no other arguments", paging.a_token_is_good_for_its_list_only),
        ("skips not", paging.skipping_leaves_out_so_many),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_fault_is_found(fault: str, check: Callable[[Subject], Awaitable[None]]) -> None:
    async with serving(Things(fault)) as subject:
        with pytest.raises(AssertionError):
            await check(subject)
