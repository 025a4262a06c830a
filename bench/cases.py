"""What is measured: each RPC with its request, its answer's check, and its statement for the ceiling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from banter.v1 import user_pb2

from banter_grpc.database.queries import user as queries
from banter_grpc.database.statement import Step

_USERS = 10_000

_SEED = """
INSERT INTO users (
    id, phone_number, country_code, full_name, email, username, avatar, bio, gender, birth_date, firebase_uid,
    timezone, create_time, update_time
)
SELECT
    md5('user ' || n)::uuid,
    '+9198' || lpad(n::text, 8, '0'),
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
FROM generate_series(1, %s) AS n
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One RPC as it is measured.

    `accepts` tells whether an answer is the one that the request asks for. `step` is what the RPC runs on the
    database, with the same parameters.
    """

    name: str
    path: str
    request: bytes
    accepts: Callable[[bytes], bool]
    step: Step[Any]


def seed(owner_url: str) -> None:
    """Fill the database with users, and let the planner know them."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(_SEED, [_USERS])
        connection.execute("VACUUM ANALYZE users")
        connection.execute("CHECKPOINT")


def get_user(owner_url: str) -> Case:
    """`GetUser` of one user with a full profile."""
    with psycopg.connect(owner_url) as connection:
        row = connection.execute("SELECT id::text FROM users ORDER BY id OFFSET %s LIMIT 1", [_USERS // 2]).fetchone()
    assert row is not None, "the database was seeded"
    user_id: str = row[0]

    def accepts(answer: bytes) -> bool:
        user = user_pb2.GetUserResponse.FromString(answer).user
        return user.user_id == user_id and bool(user.phone_number)

    return Case(
        name="GetUser",
        path="/banter.v1.UserService/GetUser",
        request=user_pb2.GetUserRequest(user_id=user_id).SerializeToString(),
        accepts=accepts,
        step=queries.get_user(user_id=user_id),
    )
