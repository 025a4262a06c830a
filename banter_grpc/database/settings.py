"""How the service connects."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from banter_grpc.database.errors import UnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """The pool's settings; times in seconds.

    The timeouts of the server (`statement_timeout` to `client_check_interval`) and the `role` are sent with each
    connection; None leaves one out, as behind PgBouncer, where all of them are the login's own settings.
    """

    url: str
    instance: str = ""
    """The name of this process in ``pg_stat_activity``; host and process number if empty."""
    purpose: str = "pool"
    """What its connections are for, beside that name."""
    size: int = 16
    """The most connections."""
    min_size: int = 4
    """Connections kept open when nothing is to do."""
    max_waiting: int = 512
    """The most units that wait for a connection; more are refused."""
    wait: float = 2.0
    """The longest that one waits."""
    connect_timeout: float = 5.0
    """The longest that `Database.open` tries."""
    max_lifetime: float = 1800.0
    """When a connection is replaced, so that no server process grows old."""
    max_idle: float = 300.0
    """When a connection above `min_size` is closed for want of work."""
    statement_timeout: float | None = 15.0
    lock_timeout: float | None = 5.0
    idle_in_transaction_timeout: float | None = 5.0
    reader_timeout: float = 60.0
    """How long the server waits for the reader of a stream to take the next batch."""
    client_check_interval: float | None = 1.0
    """How often a server process looks whether its client is still there while a query runs."""
    role: str | None = None
    """The role to become, where the URL logs in as another that may."""
    prepares: bool = True
    """Whether statements are prepared; PgBouncer below 1.22 can't keep them."""

    def __post_init__(self) -> None:
        if self.size < 1 or self.max_waiting < 1 or self.min_size < 0:
            raise ValueError("size and max_waiting are at least 1, and min_size at least 0")


def connection_string(settings: PoolSettings, purpose: str) -> str:
    """What libpq is given for a connection that serves `purpose`; raises `UnavailableError` for a URL it can't read."""
    instance = settings.instance or f"{socket.gethostname()}-{os.getpid()}"
    timeouts = {
        "statement_timeout": settings.statement_timeout,
        "lock_timeout": settings.lock_timeout,
        "idle_in_transaction_session_timeout": settings.idle_in_transaction_timeout,
        "client_connection_check_interval": settings.client_check_interval,
    }
    options = [f"-c {name}={round(seconds * 1000)}" for name, seconds in timeouts.items() if seconds is not None]
    if settings.role:
        options.append(f"-c role={settings.role}")
    try:
        given = conninfo_to_dict(settings.url)
        return make_conninfo(
            settings.url,
            application_name=f"banter/{instance[:40]}/{purpose}",
            client_encoding="utf8",
            options=" ".join([*filter(None, [str(given.get("options") or "")]), *options]) or None,
            connect_timeout=given.get("connect_timeout", 3),
            # A peer that is gone without a word is noticed, not waited for.
            keepalives_idle=given.get("keepalives_idle", 30),
            tcp_user_timeout=given.get("tcp_user_timeout", 10_000),
        )
    except psycopg.ProgrammingError as error:
        raise UnavailableError("the database URL can't be read: write postgresql://user:password@host/name") from error
