"""A user is erased while twenty callers use the account: nothing of him is left, and nothing else breaks."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import grpc.aio
import psycopg
import pytest
from banter.v1 import options_pb2, user_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from psycopg import errors, sql

from tests.conftest import NewDatabase
from tests.sql.personal_data import KEPT, UNREFERRED
from tests.support import contract
from tests.support.clusters import Database
from tests.support.harness import Failure, Metadata, Running, failure_of, running
from tests.support.requests import ENDING, unprepared

CALLERS = 20
GONE = frozenset({"CALLER_UNKNOWN", "CALLER_INACTIVE"})
"""What any call of an erased user may be answered, beside the reasons of its method."""


@dataclass
class Account:
    """A user who is about to be erased. `word` stands in all that he says of himself, and nowhere else."""

    user: user_pb2.User
    word: str
    answered: int = 0
    unexpected: list[tuple[str, Failure]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def columns(self) -> dict[str, str]:
        word = self.word
        return {
            "full_name": f"Asha {word}",
            "email": f"{word}@example.org",
            "username": word,
            "avatar": f"https://example.org/{word}.png",
            "bio": f"I am {word}.",
        }


def _same_number(account: Account) -> Message:
    return user_pb2.FindOrCreateUserRequest(phone_number=account.user.phone_number, full_name="Somebody New")


def _profile(account: Account) -> Message:
    return user_pb2.UpdateUserRequest(user=user_pb2.User(user_id=account.user.user_id, **account.columns))


REQUESTS: dict[str, Callable[[Account], Message]] = {
    "banter.v1.UserService.FindOrCreateUser": _same_number,
    "banter.v1.UserService.UpdateUser": _profile,
}
"""Requests that say more of a person than those of `tests/support/requests.py`, which the other RPCs are called with.

An RPC that stores words of a person's has one here, with the account's word in each."""


def _kinds(method: MethodDescriptor) -> list[int]:
    """The kinds of caller by which a method is called: each that it admits, staff only where no user is admitted."""
    admitted = set(contract.policy(method).callers)
    staff = admitted & {options_pb2.CALLER_KIND_MODERATOR, options_pb2.CALLER_KIND_ADMIN}
    plain = admitted & {options_pb2.CALLER_KIND_USER, options_pb2.CALLER_KIND_SERVICE}
    return sorted(plain or {max(staff)})


CALLS = [(method, kind) for method in contract.methods() if method.full_name not in ENDING for kind in _kinds(method)]


@pytest.fixture
def made(new_database: NewDatabase) -> Database:
    """A database with a table of what people write, as every one of theirs is."""
    made = new_database()
    with psycopg.connect(made.owner_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE diaries (user_id uuid NOT NULL REFERENCES living_users ON DELETE CASCADE, entry jsonb)"
        )
        connection.execute("GRANT INSERT, SELECT ON diaries TO banter_service")
    return made


@pytest.fixture
async def server(made: Database) -> AsyncIterator[Running]:
    async with running(made.owner_url, made.service_url) as server:
        yield server


async def use(banter: Running, account: Account, method: MethodDescriptor, metadata: Metadata) -> None:
    """Call a method about the account again and again, the last time when it is gone."""
    allowed = GONE | contract.promised_reasons(method)
    make = REQUESTS.get(method.full_name, lambda account: unprepared(method, account.user.user_id))
    channel = banter.channel
    path = f"/{method.containing_service.full_name}/{method.name}"
    last = False
    while not last:
        last = account.gone.is_set()
        body = make(account).SerializeToString()
        try:
            if method.server_streaming:
                async for _ in channel.unary_stream(path)(body, metadata=tuple(metadata), timeout=30):
                    pass
            else:
                await channel.unary_unary(path)(body, metadata=tuple(metadata), timeout=30)
        except grpc.aio.AioRpcError as error:
            failure = failure_of(error)
            if failure.reason not in allowed:
                account.unexpected.append((method.full_name, failure))
        account.answered += 1


async def write(url: str, account: Account) -> None:
    """Write into the person's diary until nobody is there who could have one."""
    entry = psycopg.types.json.Jsonb({"secret": [account.word]})
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            try:
                await connection.execute("INSERT INTO diaries VALUES (%s, %s)", [account.user.user_id, entry])
            except errors.ForeignKeyViolation:
                return


async def erase(banter: Running, account: Account) -> None:
    """Delete the account once it is in full use."""
    while account.answered < 5 * CALLERS:
        await asyncio.sleep(0.005)
    request = user_pb2.DeleteUserRequest(user_id=account.user.user_id, forfeit_balance=True)
    await banter.users.DeleteUser(request, metadata=banter.as_user(account.user.user_id))
    account.gone.set()


async def new_account(banter: Running) -> Account:
    word = f"c{uuid.uuid4().hex[:20]}"
    columns = Account(user_pb2.User(), word).columns
    return Account(await banter.new_user(**columns, firebase_uid=f"uid-{word}", birth_date="1990-05-17"), word)


def tables_with(url: str, word: str) -> set[str]:
    """The tables of the database, partitions too, with a row in which the word is: in a text, jsonb or bytea."""
    search = sql.SQL("SELECT EXISTS (SELECT FROM {0} AS t WHERE t::text LIKE {1} OR t::text LIKE {2})")
    patterns = [sql.Literal(f"%{text}%") for text in (word, word.encode().hex())]
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT nspname, relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE relkind IN ('r', 'm') AND nspname <> 'information_schema' AND nspname !~ '^pg_'"
        ).fetchall()
        return {
            name
            for schema, name in tables
            if connection.execute(search.format(sql.Identifier(schema, name), *patterns)).fetchone() == (True,)
        }


async def profiles(banter: Running, users: list[user_pb2.User]) -> list[user_pb2.User]:
    request = user_pb2.BatchGetUsersRequest(user_ids=[user.user_id for user in users])
    return list((await banter.users.BatchGetUsers(request, metadata=banter.as_service)).users)


async def test_nothing_of_a_person_is_left_who_is_erased_while_twenty_use_the_account(
    server: Running, made: Database
) -> None:
    admin = await server.new_user(role="admin")
    others = [(await new_account(server)).user for _ in range(3)]
    before = await profiles(server, others)
    erased: list[Account] = []
    for _ in range(3):
        account = await new_account(server)
        erased.append(account)
        by_kind = {
            options_pb2.CALLER_KIND_USER: server.as_user(account.user.user_id),
            options_pb2.CALLER_KIND_SERVICE: server.as_service,
        }
        assert {"users"} <= tables_with(made.owner_url, account.word), "the search finds what is there"
        calls = itertools.islice(itertools.cycle(CALLS), max(CALLERS, len(CALLS)))
        async with asyncio.timeout(60):
            await asyncio.gather(
                *(
                    use(server, account, method, by_kind.get(kind, server.as_user(admin.user_id)))
                    for method, kind in calls
                ),
                write(made.service_url, account),
                erase(server, account),
            )
        assert account.unexpected == []
    outliving = {column.partition(".")[0] for column in (*KEPT, *UNREFERRED)} - {"living_users"}
    for account in erased:
        assert tables_with(made.owner_url, account.word) == set()
        assert tables_with(made.owner_url, account.user.user_id) - outliving == {"users"}
    assert await profiles(server, others) == before
    assert [line for line in server.log if line.get("code") in {"INTERNAL", "UNKNOWN"}] == []
    assert not any(account.word in str(server.log) for account in erased)
    with psycopg.connect(made.owner_url) as connection:
        deadlocks = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        assert deadlocks.fetchone() == (0,)


@pytest.mark.parametrize("column", ["text", "jsonb", "bytea"])
def test_the_search_finds_a_word_wherever_it_is(made: Database, column: str) -> None:
    value = {"text": "'a canary sings'", "jsonb": """'{"a": ["a canary"]}'""", "bytea": "'my canary'::bytea"}[column]
    with psycopg.connect(made.owner_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE parts (at int, said {column}) PARTITION BY RANGE (at)".encode())
        connection.execute("CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (2)")
        connection.execute(f"INSERT INTO parts VALUES (1, {value})".encode())
    assert tables_with(made.owner_url, "canary") == {"parts_1"}
