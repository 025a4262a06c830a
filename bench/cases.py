"""What is measured: each RPC with its requests, its answer's check, and its statements for the ceiling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from banter.v1 import user_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from banter_grpc.database.queries import user as queries
from banter_grpc.database.statement import Step

USERS: Final = 10_000
FIRST: Final = 100_000_000_000
"""What the first user's id ends with."""
PREFIX: Final = "0199f3b2-6b1c-7c3e-9d5a-"
"""What the users' ids begin with."""
ANY: Final = "any user"
"""As a parameter of a step: the id of a user, another one each time."""

_SERVICE: Final = "/banter.v1.UserService"
_BATCH: Final = 50
_BIO: Final = "Sings, and listens to those who sing. "

_SEED = """
INSERT INTO users (
    id, phone_number, country_code, full_name, email, username, avatar, bio, gender, birth_date, firebase_uid,
    timezone, create_time, update_time
)
SELECT
    (%s || n)::uuid,
    '+91' || n,
    '+91',
    'Asha Rao ' || n,
    'asha.' || n || '@example.org',
    'asha.' || n,
    'https://cdn.example.org/avatars/' || n || '.webp',
    'Sings, and listens to those who sing.',
    'female',
    '1998-02-28',
    'firebase-' || n,
    'Asia/Kolkata',
    clock(),
    clock()
FROM generate_series(%s, %s) AS n
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One RPC as it is measured.

    `request(n)` is the request of the n-th client: h2load sends one all its life. `accepts` tells whether an answer is
    the one that the first client's request asks for. `steps` are what the RPC runs on the database, in one unit.
    """

    name: str
    title: str
    path: str
    request: Callable[[int], bytes]
    accepts: Callable[[bytes], bool]
    steps: Sequence[Step[Any]]
    writes: bool = False
    spread: bool = False
    """Whether each client has a request of its own."""


def user_id(number: int) -> str:
    """The id of the n-th user, from 0 on."""
    return f"{PREFIX}{FIRST + number}"


def seed(owner_url: str) -> None:
    """Fill the database with users, and let the planner know them."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(_SEED, [PREFIX, FIRST, FIRST + USERS - 1])
        connection.execute("VACUUM ANALYZE users")
        connection.execute("CHECKPOINT")


def all_cases() -> tuple[Case, ...]:
    """In the order in which they are measured."""
    return _get_user(), _batch_get_users(), _update_user(), _update_one_user()


def _get_user() -> Case:
    found = user_id(USERS // 2)

    def accepts(answer: bytes) -> bool:
        user = user_pb2.GetUserResponse.FromString(answer).user
        return user.user_id == found and bool(user.phone_number)

    return Case(
        name="GetUser",
        title="GetUser",
        path=f"{_SERVICE}/GetUser",
        request=lambda _: user_pb2.GetUserRequest(user_id=found).SerializeToString(),
        accepts=accepts,
        steps=[queries.get_user(user_id=found)],
    )


def _batch_get_users() -> Case:
    found = [user_id(number * (USERS // _BATCH)) for number in range(_BATCH)]

    def accepts(answer: bytes) -> bool:
        return [user.user_id for user in user_pb2.BatchGetUsersResponse.FromString(answer).users] == found

    return Case(
        name="BatchGetUsers",
        title=f"BatchGetUsers of {_BATCH}",
        path=f"{_SERVICE}/BatchGetUsers",
        request=lambda _: user_pb2.BatchGetUsersRequest(user_ids=found).SerializeToString(),
        accepts=accepts,
        steps=[queries.batch_get_users(user_ids=found)],
    )


def _update_user() -> Case:
    step = USERS // 256  # far apart: on pages of their own
    return Case(
        name="UpdateUser",
        title="UpdateUser, many users",
        path=f"{_SERVICE}/UpdateUser",
        request=lambda client: _update(user_id(client % 256 * step)),
        accepts=_updated(user_id(0)),
        steps=_update_steps(ANY),
        writes=True,
        spread=True,
    )


def _update_one_user() -> Case:
    one = user_id(USERS // 2)
    return Case(
        name="UpdateUser-one",
        title="UpdateUser, one user",
        path=f"{_SERVICE}/UpdateUser",
        request=lambda _: _update(one),
        accepts=_updated(one),
        steps=_update_steps(one),
        writes=True,
    )


def _update(found: str) -> bytes:
    user = user_pb2.User(user_id=found, bio=_BIO + found)
    return user_pb2.UpdateUserRequest(user=user, update_mask=FieldMask(paths=["bio"])).SerializeToString()


def _updated(found: str) -> Callable[[bytes], bool]:
    return lambda answer: user_pb2.UpdateUserResponse.FromString(answer).user.bio == _BIO + found


def _update_steps(found: str) -> Sequence[Step[Any]]:
    update = queries.update_user(
        user_id=found,
        mask=["bio"],
        full_name=None,
        email=None,
        username=None,
        avatar=None,
        bio=_BIO + user_id(0),
        gender=None,
        birth_date=None,
        timezone=None,
    )
    return [update, queries.get_user(user_id=found)]
