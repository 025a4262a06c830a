"""From `sql/*.sql` to typed modules: what PostgreSQL says of each query decides the types.

The modules are committed, so that the service needs no database to start and a reader sees what a query gives.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import psycopg
from psycopg import pq

from banter_grpc.database import rendering
from banter_grpc.database.rendering import Column, Described, Parameter
from banter_grpc.database.sqlfile import Query, QueryError, SqlFile, parse_folder

_SCALARS: Final = {
    "bool": "bool",
    "bytea": "bytes",
    "float8": "float",
    "int2": "int",
    "int4": "int",
    "int8": "int",
    "text": "str",
    "varchar": "str",
}
_RESULTS: Final = {**_SCALARS, **{f"{name}[]": f"list[{python}]" for name, python in _SCALARS.items()}}
_GIVEN: Final = {**_SCALARS, "uuid": "str", "date": "str", "json": "str", "jsonb": "str"}
_PARAMETERS: Final = {**_GIVEN, **{f"{name}[]": f"Sequence[{python}]" for name, python in _GIVEN.items()}}
_TUPLE: Final = frozenset({"count", "index"})
"""A row is a tuple, which has methods of these names."""


def generate(sql_dir: Path, out_dir: Path, url: str) -> list[Path]:
    """Write the module of each file and remove those whose file is gone; return what changed.

    `url` is of a database that has every migration; nothing in it is changed. Raises `QueryError`.
    """
    changed = _differences(sql_dir, out_dir, url)
    out_dir.mkdir(parents=True, exist_ok=True)
    for path, text in changed.items():
        if text is None:
            path.unlink()
        else:
            path.write_text(text, encoding="utf-8")
    return list(changed)


def stale(sql_dir: Path, out_dir: Path, url: str) -> list[Path]:
    """The modules that `generate` would write or remove. Raises `QueryError`."""
    return list(_differences(sql_dir, out_dir, url))


def _differences(sql_dir: Path, out_dir: Path, url: str) -> dict[Path, str | None]:
    """The text that each module should have and has not; None for one that should not be there."""
    wanted = {out_dir / f"{file.path.stem}.py": text for file, text in _modules(parse_folder(sql_dir), url)}
    found = {path: path.read_text(encoding="utf-8") for path in out_dir.glob("*.py") if path.name != "__init__.py"}
    changed: dict[Path, str | None] = {path: text for path, text in wanted.items() if found.get(path) != text}
    changed |= {path: None for path, text in found.items() if path not in wanted and rendering.MARK in text}
    return dict(sorted(changed.items()))


def _modules(files: Iterable[SqlFile], url: str) -> list[tuple[SqlFile, str]]:
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.Error as error:
        raise QueryError(Path("database"), 0, f"cannot connect to describe the queries: {error}") from None
    with connection:
        types = _type_names(connection)
        return [(file, _module(file, connection, types)) for file in files]


def _module(file: SqlFile, connection: psycopg.Connection, types: Mapping[int, str]) -> str:
    described = [_describe(query, connection, types) for query in file.queries]
    rows: dict[str, Described] = {}
    for each in described:
        first = rows.setdefault(each.row, each)
        if each.row and each.columns != first.columns:
            each.query.refuse(
                f"its columns differ from those of {first.query.name}: make them equal, or rename its row"
            )
    return rendering.module(file, described)


def _type_names(connection: psycopg.Connection) -> dict[int, str]:
    """What PostgreSQL calls each type of its own, arrays like ``text[]``, and of ours (which no query gives)."""
    rows = connection.execute(
        "SELECT t.oid, coalesce(e.typname || '[]', t.typname) FROM pg_type AS t"
        " LEFT JOIN pg_type AS e ON t.typelem = e.oid AND t.typcategory = 'A'"
    )
    return dict(rows)


def _describe(query: Query, connection: psycopg.Connection, types: Mapping[int, str]) -> Described:
    """Ask PostgreSQL for the types of a query; refuse what the generated code could not hold."""
    prepared = connection.pgconn.prepare(b"", query.sql.encode())
    if prepared.status != pq.ExecStatus.COMMAND_OK:
        _refuse_failed(query, prepared)
    result = connection.pgconn.describe_prepared(b"")
    parameters = [
        Parameter(name, _parameter(query, name, types[result.param_type(number)]), name in query.optional)
        for number, name in enumerate(query.parameters)
    ]
    columns: list[Column] = []
    if query.cardinality != "exec":
        names = [(result.fname(number) or b"").decode() for number in range(result.nfields)]
        _check_names(query, names)
        columns = [
            Column(name, _column(query, name, types[result.ftype(number)]), name not in query.not_null)
            for number, name in enumerate(names)
        ]
    writes = not query.reads or _calls_volatile(query, connection)
    if query.repeatable and not writes:
        query.refuse("what only reads is repeatable by itself: take `-- repeatable` away")
    return Described(query, tuple(parameters), tuple(columns), writes)


def _refuse_failed(query: Query, result: pq.abc.PGresult) -> None:
    message = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode()
    position = int(result.error_field(pq.DiagnosticField.STATEMENT_POSITION) or 1)
    hint = (result.error_field(pq.DiagnosticField.MESSAGE_HINT) or b"").decode()
    line = query.sql_line + query.sql[: position - 1].count("\n")
    query.refuse(f"PostgreSQL refuses it: {message}{'; ' if hint else ''}{hint}", line)


def _check_names(query: Query, names: list[str]) -> None:
    if not names:
        query.refuse("it returns no columns: make it `:exec`, or add RETURNING")
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_") or name in _TUPLE:
            query.refuse(f"a row class can't have a column {name}: rename it with AS")
        if names.count(name) > 1:
            query.refuse(f"two columns are called {name}: rename one with AS")
    for name in query.not_null:
        if name not in names:
            query.refuse(f"no column is called {name}: take it from `-- not null`")


def _column(query: Query, name: str, kind: str) -> str:
    if kind not in _RESULTS:
        query.refuse(f"column {name} is {kind}: cast it to one of {', '.join(_SCALARS)}, or an array of it")
    return _RESULTS[kind]


def _parameter(query: Query, name: str, kind: str) -> str:
    if kind not in _PARAMETERS:
        query.refuse(f"parameter {name} is {kind}: cast it first to one of {', '.join(_GIVEN)}, or an array of it")
    return _PARAMETERS[kind]


def _calls_volatile(query: Query, connection: psycopg.Connection) -> bool:
    """Whether it calls a function that may write: such a query is not taken for one that only reads."""
    found = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_proc WHERE proname = ANY(%s::text[]) AND provolatile = 'v')",
        [list(query.functions)],
    )
    return found.fetchone() == (True,)
