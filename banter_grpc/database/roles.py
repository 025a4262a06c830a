"""The role that the service runs under. Roles belong to a cluster: they are made here, and migrations only grant."""

from __future__ import annotations

from typing import TypeAlias

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from banter_grpc.foreseen import ForeseenError

SERVICE = "banter_service"
"""The service's role: it may do what migrations grant to it, and owns nothing."""

Connection: TypeAlias = psycopg.Connection[TupleRow]


class RoleError(ForeseenError):
    """The roles can't be made; the text is one line that says what to do."""


def bootstrap(owner_url: str, *, login: bool) -> None:
    """Make the service's role where it is missing, and let the owner act as it. Repeating it changes nothing.

    `login` lets the role log in itself; a deployment brings its own logins and says no.
    """
    with connect(owner_url) as connection:
        ensure(connection, login=login)


def ensure(connection: Connection, *, login: bool) -> None:
    """`bootstrap` on a connection of the owner, in autocommit. Raises `RoleError` when the owner may not."""
    row = connection.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [SERVICE]).fetchone()
    try:
        if row is None:
            _create(connection, login=login)
        elif login and not row[0]:
            connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(SERVICE)))
        if not _may_act(connection):
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(SERVICE)))
    except errors.InsufficientPrivilege:
        owner = _current_user(connection)
        needed = [f"GRANT {SERVICE} TO {owner};"]
        if row is None:
            needed.insert(0, f"CREATE ROLE {SERVICE} {'LOGIN' if login else 'NOLOGIN'};")
        elif login and not row[0]:
            needed.insert(0, f"ALTER ROLE {SERVICE} LOGIN;")
        raise RoleError(f"{owner} may not manage roles: let an administrator run: {' '.join(needed)}") from None


def parsed(url: str) -> dict[str, str | int | None]:
    """What the URL says, by libpq's names; raises `RoleError`, one line without the password, if it says nothing."""
    try:
        return dict(conninfo_to_dict(url))
    except psycopg.ProgrammingError:
        raise RoleError(
            "the database URL can't be read: it looks like postgresql://user:password@host/database"
        ) from None


def connect(url: str) -> Connection:
    """A connection in autocommit; raises `RoleError`, one line without the password, when there is none."""
    timeout = parsed(url).get("connect_timeout", 10)
    try:
        return psycopg.connect(url, autocommit=True, application_name="banter migrations", connect_timeout=timeout)
    except psycopg.OperationalError as error:
        lines = str(error).strip().splitlines() or ["no reason given"]
        raise RoleError(
            f"no connection to the database: {lines[0]} (check the URL, and that the server runs)"
        ) from None


def _create(connection: Connection, *, login: bool) -> None:
    try:
        statement = sql.SQL("CREATE ROLE {} LOGIN" if login else "CREATE ROLE {} NOLOGIN")
        connection.execute(statement.format(sql.Identifier(SERVICE)))
    except (errors.DuplicateObject, errors.UniqueViolation):
        pass  # another process was faster


def _current_user(connection: Connection) -> str:
    row = connection.execute("SELECT quote_ident(current_user)").fetchone()
    return str(row[0]) if row else ""


def _may_act(connection: Connection) -> bool:
    """True when the current user may SET ROLE to the service's; from version 16 on that is a right of its own."""
    right = "SET" if connection.info.server_version >= 160000 else "MEMBER"
    row = connection.execute("SELECT pg_has_role(current_user, %s, %s)", [SERVICE, right]).fetchone()
    return row is not None and bool(row[0])
