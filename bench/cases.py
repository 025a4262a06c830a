"""What is measured: each RPC with its requests, its answer's check, and its statements for the ceiling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from banter.v1 import user_pb2, wallet_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from banter_grpc.database.queries import user as queries
from banter_grpc.database.queries import wallet as wallet_queries
from banter_grpc.database.statement import Step
from bench.load import Fresh

USERS: Final = 10_000
FIRST: Final = 100_000_000_000
"""What the first user's id ends with."""
PREFIX: Final = "0199f3b2-6b1c-7c3e-9d5a-"
"""What the users' ids begin with."""
ANY: Final = "any_user"
"""As a parameter of a step: the id of a user, another one each time."""
NEW: Final = "new_text"
"""As a parameter of a step: 32 hexadecimal digits, others each time, and the same in one unit; also a UUID."""

_SERVICE: Final = "/banter.v1.UserService"
_WALLETS: Final = "/banter.v1.WalletService"
_PROVIDER, _COINS = "bench", 100
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

    Where each call has to be unlike all others, `fresh` says how, and the query `made` counts what they have made.
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
    fresh: Fresh | None = None
    made: LiteralString | None = None


def user_id(number: int) -> str:
    """The id of the n-th user, from 0 on."""
    return f"{PREFIX}{FIRST + number}"


def seed(owner_url: str) -> None:
    """Fill the database with users, and let the planner know them."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(_SEED, [PREFIX, FIRST, FIRST + USERS - 1])
        connection.execute("VACUUM ANALYZE users, wallets")
        connection.execute("CHECKPOINT")


def all_cases() -> tuple[Case, ...]:
    """In the order in which they are measured."""
    return _get_user(), _batch_get_users(), _update_user(), _update_one_user(), _purchase(), _purchase_of_one()


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


def _purchase() -> Case:
    return _purchases("PurchaseCoins", "PurchaseCoins, many users", user_id, USERS, ANY)


def _purchase_of_one() -> Case:
    one = user_id(USERS // 2)
    return _purchases("PurchaseCoins-one", "PurchaseCoins, one user", lambda _: one, 1, one)


def _purchases(name: str, title: str, buyer: Callable[[int], str], buyers: int, found: str) -> Case:
    """Payments of `buyers` users in turn; the ceiling's are of the user `found`."""

    def request(client: int) -> bytes:
        bought = wallet_pb2.PurchaseCoinsRequest(user_id=buyer(client), provider=_PROVIDER, coins=_COINS)
        return bought.SerializeToString()

    def accepts(answer: bytes) -> bool:
        made = wallet_pb2.PurchaseCoinsResponse.FromString(answer).transaction
        return (made.user_id, made.amount) == (buyer(0), _COINS) and made.balance_after >= _COINS

    purchase = wallet_queries.purchase_coins(
        provider=_PROVIDER, payment_id=NEW, user_id=found, coins=_COINS, transaction_id=NEW, actor_id=user_id(0)
    )
    return Case(
        name=name,
        title=title,
        path=f"{_WALLETS}/PurchaseCoins",
        request=request,
        accepts=accepts,
        steps=[wallet_queries.lock_wallet(user_id=found, kind="coins"), purchase],
        writes=True,
        fresh=Fresh(wallet_pb2.PurchaseCoinsRequest.PAYMENT_ID_FIELD_NUMBER, buyers),
        made="SELECT count(*) FROM transactions WHERE kind = 'purchase'",
    )
