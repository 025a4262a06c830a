"""What a command asks of a database's URL, or of the database itself, before it is used."""

from __future__ import annotations

from psycopg import pq
from psycopg.conninfo import make_conninfo

from banter_grpc.database.roles import SERVICE, connect, parsed

_SAFETY = ("fsync", "full_page_writes", "synchronous_commit")


def as_service(owner_url: str) -> str:
    """The same database for the service: logs in as the owner and becomes `banter_service` at once."""
    options = str(parsed(owner_url).get("options") or "")
    return make_conninfo(owner_url, options=f"{options} -c role={SERVICE}".strip())


def described(url: str) -> str:
    """The database in words, for people: who, where, and no password."""
    found = parsed(url)
    where = found.get("host") or found.get("hostaddr") or "this machine"
    port = f":{found['port']}" if found.get("port") else ""
    return f"{found.get('dbname') or found.get('user') or 'the default one'} on {where}{port}"


def environment(url: str) -> dict[str, str]:
    """The URL as libpq's environment variables: in the arguments of a program everybody could read the password."""
    parsed(url)
    options = pq.Conninfo.parse(url.encode())
    return {each.envvar.decode(): each.val.decode() for each in options if each.envvar and each.val is not None}


def unsafe_settings(url: str) -> list[str]:
    """The settings by which this server may lose what it has committed. Raises `RoleError` without a connection."""
    with connect(url) as connection:
        rows = connection.execute(
            "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = 'off' ORDER BY name", [list(_SAFETY)]
        )
        return [name for (name,) in rows]


def free_connections(url: str) -> int:
    """How many connections the service may have at most. Raises `RoleError` without a connection."""
    with connect(url) as connection:
        row = connection.execute(
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
        ).fetchone()
        assert row is not None
        return int(row[0])
