"""A running Banter server for tests, and callers of every kind."""

from __future__ import annotations

import io
import itertools
import json
import os
import secrets
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import psycopg
from banter.v1 import user_pb2, user_pb2_grpc, wallet_pb2_grpc
from google.rpc import error_details_pb2, status_pb2
from pydantic import SecretStr

from banter_grpc.config import Settings
from banter_grpc.jobs.job import Job
from banter_grpc.rpc.mint import DEV_AUDIENCE, DEV_ISSUER, DEV_SERVICE_ISSUER, DevKey, dev_issuers, mint
from banter_grpc.rpc.telemetry.logs import Log, make_log
from banter_grpc.server import Server
from tests.support.command import PHONE_HASH_KEY

Metadata = Sequence[tuple[str, str | bytes]]
_NUMBERS = itertools.count(int.from_bytes(os.urandom(4)) * 100)


def new_phone_number() -> str:
    """A number that no other test uses."""
    return f"+9198{next(_NUMBERS) % 10**8:08d}"


@dataclass
class Failure:
    """What a client learns of a refused call."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    metadata: dict[str, str]
    violations: list[tuple[str, str]]
    retry_seconds: float | None
    trailers: dict[str, str | bytes]
    size: int


def failure_of(error: grpc.aio.AioRpcError) -> Failure:
    """The parts of an error, and that it is well formed: one ErrorInfo, no more than one of the others."""
    trailers = dict(error.trailing_metadata() or ())
    raw = trailers.get("grpc-status-details-bin", b"")
    assert isinstance(raw, bytes)
    status = status_pb2.Status.FromString(raw)
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    found = [sum(detail.Unpack(message) for detail in status.details) for message in (info, bad, retry)]
    assert found[0] == 1 and found[1] <= 1 and found[2] <= 1, status
    assert sum(found) == len(status.details)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return Failure(
        error.code(),
        error.details() or "",
        info.reason,
        info.domain,
        dict(info.metadata),
        [(v.field, v.description) for v in bad.field_violations],
        retry.retry_delay.ToTimedelta().total_seconds() if found[2] else None,
        trailers,
        len(raw),
    )


async def refused(call: object) -> Failure:
    """The failure of a call that has to fail."""
    try:
        answer = await call  # type: ignore[misc]
    except grpc.aio.AioRpcError as error:
        return failure_of(error)
    raise AssertionError(f"not refused: {answer}")


@dataclass
class Running:
    """A server, and what tests need to call it and to look behind it."""

    server: Server
    key: DevKey
    owner_url: str
    events: Log
    log_stream: io.StringIO
    channel: grpc.aio.Channel
    users: user_pb2_grpc.UserServiceAsyncStub = field(init=False)
    wallets: wallet_pb2_grpc.WalletServiceAsyncStub = field(init=False)

    def __post_init__(self) -> None:
        self.users = user_pb2_grpc.UserServiceStub(self.channel)  # type: ignore[assignment]
        self.wallets = wallet_pb2_grpc.WalletServiceStub(self.channel)  # type: ignore[assignment]

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def user_token(self, user_id: str, *, ttl: float = 3600, audience: str = DEV_AUDIENCE) -> str:
        return mint(self.key, DEV_ISSUER, audience, user_id, ttl)

    def service_token(self, name: str = "tests") -> str:
        return mint(self.key, DEV_SERVICE_ISSUER, DEV_AUDIENCE, name, 3600)

    def as_user(self, user_id: str) -> Metadata:
        return bearer(self.user_token(user_id))

    @property
    def as_service(self) -> Metadata:
        return bearer(self.service_token())

    @property
    def log(self) -> list[dict[str, object]]:
        """What the server has logged so far."""
        self.events.flush()
        return [json.loads(line) for line in self.log_stream.getvalue().splitlines()]

    def logged(self, request_id: str) -> list[dict[str, object]]:
        """What it has logged of one call."""
        return [line for line in self.log if line.get("request_id") == request_id]

    async def new_user(self, **columns: object) -> user_pb2.User:
        """A new user; `columns` (role, is_active, email, ...) are set behind the server's back, at once known to it."""
        answer = await self.users.FindOrCreateUser(
            user_pb2.FindOrCreateUserRequest(phone_number=new_phone_number(), full_name="Asha Rao"),
            metadata=self.as_service,
        )
        user_id = answer.user.user_id
        if columns:
            await self.set_columns(user_id, **columns)
        answer = await self.users.GetUser(user_pb2.GetUserRequest(user_id=user_id), metadata=self.as_service)
        return answer.user

    async def set_columns(self, user_id: str, **columns: object) -> None:
        async with await psycopg.AsyncConnection.connect(self.owner_url, autocommit=True) as connection:
            names = psycopg.sql.SQL(", ").join(
                psycopg.sql.SQL("{} = {}").format(psycopg.sql.Identifier(name), psycopg.sql.Literal(value))
                for name, value in columns.items()
            )
            await connection.execute(
                psycopg.sql.SQL("UPDATE users SET {} WHERE id = {}").format(
                    names, psycopg.sql.Literal(uuid.UUID(user_id))
                )
            )
        self.server.callers.evict(user_id)

    async def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement as the database's owner, behind the server's back."""
        async with await psycopg.AsyncConnection.connect(self.owner_url, autocommit=True) as connection:
            cursor = await connection.execute(statement.encode(), values)
            return await cursor.fetchall() if cursor.description else []


def bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


@asynccontextmanager
async def running(
    owner_url: str, service_url: str, jobs: Sequence[Job] | None = None, **settings: object
) -> AsyncIterator[Running]:
    """A server of these settings, on a port of its own, until the context ends. It runs these jobs, or none."""
    key = DevKey(secrets.token_bytes(32))
    defaults: dict[str, object] = {
        "port": 0,
        "database_url": SecretStr(service_url),
        "phone_hash_key": SecretStr(PHONE_HASH_KEY),
        "log_format": "json",
        "rate_read": 1e6,
        "rate_write": 1e6,
        "rate_costly": 1e6,
        "read_lanes": 2,
        "write_lanes": 4,
        "connections": 12,
        "reflection": True,
        "drain": 10.0,
        "jobs": jobs is not None,
    }
    stream = io.StringIO()
    made = Settings(**{**defaults, **settings})  # type: ignore[arg-type]
    log = make_log("json", "debug", stream)
    async with (
        Server(made, log, dev_issuers(key), jobs=jobs or ()) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=CHANNEL_OPTIONS) as channel,
    ):
        yield Running(server, key, owner_url, log, stream, channel)


def over_pool(size: int) -> dict[str, object]:
    """Settings: everything over the pool, of so many connections."""
    return {"way": "pool", "connections": size + 2}


def over_lanes(each: int) -> dict[str, object]:
    """Settings: so many lanes for reads and as many for writes."""
    return {"way": "lanes", "read_lanes": each, "write_lanes": each, "connections": 2 * each + 3}


CHANNEL_OPTIONS = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
"""Nothing is retried or shared behind a test's back."""
