"""Who may call what, made from the contract: every method by every kind of caller, over the wire."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import grpc.aio
import pytest
from banter.v1 import options_pb2
from google.protobuf.descriptor import MethodDescriptor

from banter_grpc.rpc.mint import DEV_ISSUER, mint
from tests.support import contract
from tests.support.harness import Metadata, Running, bearer, failure_of
from tests.support.requests import ENDING, prepare, request_for

PUBLIC, USER, MODERATOR, ADMIN, SERVICE = (
    options_pb2.CALLER_KIND_PUBLIC,
    options_pb2.CALLER_KIND_USER,
    options_pb2.CALLER_KIND_MODERATOR,
    options_pb2.CALLER_KIND_ADMIN,
    options_pb2.CALLER_KIND_SERVICE,
)
EXEMPT = {MODERATOR, ADMIN, SERVICE}
CALLERS = (
    "nobody",
    "garbage",
    "expired",
    "wrong audience",
    "unknown user",
    "deactivated user",
    "other user",
    "owner",
    "moderator",
    "admin",
    "service",
    "service for the owner",
    "service for another",
    "user for another",
)
BROKEN = {
    "garbage": "TOKEN_INVALID",
    "expired": "TOKEN_EXPIRED",
    "wrong audience": "TOKEN_INVALID",
    "unknown user": "CALLER_UNKNOWN",
    "deactivated user": "CALLER_INACTIVE",
    "user for another": "ON_BEHALF_OF_DENIED",
}
KINDS = {
    "other user": {PUBLIC, USER},
    "owner": {PUBLIC, USER},
    "moderator": {PUBLIC, USER, MODERATOR},
    "admin": {PUBLIC, USER, MODERATOR, ADMIN},
    "service": {PUBLIC, SERVICE},
    "service for the owner": {PUBLIC, USER},
    "service for another": {PUBLIC, USER},
}


@dataclass
class People:
    """One caller of each kind."""

    owner: str
    metadata: dict[str, Metadata]


@pytest.fixture(scope="module")
async def people(banter: Running) -> People:
    return await new_people(banter)


async def new_people(banter: Running) -> People:
    owner, other, idle = [(await banter.new_user()).user_id for _ in range(3)]
    await banter.set_columns(idle, is_active=False)
    await prepare(banter, owner)
    staff = {role: (await banter.new_user(role=role)).user_id for role in ("moderator", "admin")}
    for_owner, for_other = [("banter-on-behalf-of", owner)], [("banter-on-behalf-of", other)]
    return People(
        owner,
        {
            "nobody": (),
            "garbage": bearer("not.a.token"),
            "expired": bearer(_expired(banter, owner)),
            "wrong audience": bearer(banter.user_token(owner, audience="another service")),
            "unknown user": banter.as_user(str(uuid.uuid4())),
            "deactivated user": banter.as_user(idle),
            "other user": banter.as_user(other),
            "owner": banter.as_user(owner),
            "moderator": banter.as_user(staff["moderator"]),
            "admin": banter.as_user(staff["admin"]),
            "service": banter.as_service,
            "service for the owner": [*banter.as_service, *for_owner],
            "service for another": [*banter.as_service, *for_other],
            "user for another": [*banter.as_user(owner), *for_other],
        },
    )


def _expired(banter: Running, user_id: str) -> str:
    return mint(banter.key, DEV_ISSUER, "banter", user_id, 60, now=lambda: 1_600_000_000)


def expected(policy: options_pb2.Policy, who: str) -> str | None:
    """The reason why the caller is refused; None if he is let in."""
    if who in BROKEN:
        return BROKEN[who]
    callers = set(policy.callers)
    if who == "nobody":
        return None if PUBLIC in callers else "CREDENTIALS_MISSING"
    admitted_as = callers & KINDS[who]
    if not admitted_as:
        return "CALLER_NOT_ADMITTED"
    if policy.owner_field and not admitted_as & EXEMPT and who not in {"owner", "service for the owner"}:
        return "NOT_OWNER"
    return None


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("method", [pytest.param(m, id=m.full_name) for m in contract.methods()])
async def test_a_caller_is_let_in_or_refused_as_the_contract_says(
    banter: Running, people: People, method: MethodDescriptor, who: str
) -> None:
    if method.full_name in ENDING:
        people = await new_people(banter)
    path = f"/{method.containing_service.full_name}/{method.name}"
    call = banter.channel.unary_unary if not method.server_streaming else banter.channel.unary_stream
    request = (await request_for(banter, method, people.owner)).SerializeToString()
    reason: str | None = None
    try:
        answer = call(path)(request, metadata=tuple(people.metadata[who]), timeout=10)
        if method.server_streaming:
            async for _ in answer:
                break
        else:
            await answer
    except grpc.aio.AioRpcError as error:
        failure = failure_of(error)
        assert failure.code is not grpc.StatusCode.INTERNAL
        reason = failure.reason
    wanted = expected(contract.policy(method), who)
    if wanted is not None:
        assert reason == wanted
    else:
        assert reason is None or reason in contract.promised_reasons(method), "let in, if only to be told no"


def test_the_matrix_has_refusals_and_admissions_for_every_method() -> None:
    for method in contract.methods():
        outcomes: Sequence[str | None] = [expected(contract.policy(method), who) for who in CALLERS]
        assert None in outcomes, method.full_name
        assert any(outcomes), method.full_name
