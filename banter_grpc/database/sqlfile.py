"""Files of named queries: what `sql/<stem>.sql` says, before any database is asked.

A file begins with a comment on itself; then come its queries. A query is its header, one statement, and a semicolon::

    -- name: list_messages :many
    -- One page of a conversation, newest first. No row: not a member.
    -- index: messages_pkey
    -- not null: seq, sender_id
    SELECT ... WHERE conversation_id = $conversation_id::uuid;

The cardinality is ``:one`` (a row or None), ``:many`` (a list) or ``:exec`` (a count). Lines of the header that begin
with none of these words are the comment, which every query has:

``index``
    The indexes that its plan uses, as a test checks. Only an ``INSERT`` needs none.
``plan``
    Instead of ``index``: why its plan is not checked.
``row``
    The name of its row class, for queries that share one; their columns must be the same.
``not null``, ``optional``
    The columns that are never null, and the parameters that may be.
``repeatable``
    Why a query that writes may be sent again when the connection broke before its answer.
``collides``
    The unique keys that two of it meet at when they do the same thing at once: the loser is sent again, and finds what
    the winner did.
``way``
    ``own``: it needs a connection of its own.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, NoReturn

from banter_grpc.database.sqltext import Kind, Token, tokens
from banter_grpc.foreseen import ForeseenError

_NAME: Final = re.compile(r"-- name: ([a-z][a-z0-9_]*) :(one|many|exec)")
_WORD: Final = re.compile(r"-- ([a-z_]+(?: [a-z_]+)?):(?: (.*))?")
_IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_]*")
_WORDS: Final = ("index", "plan", "row", "not null", "optional", "repeatable", "collides", "way")
_WRITES: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
_LOCKS: Final = frozenset({"UPDATE", "NO", "SHARE", "KEY"})

_BEGINNINGS: Final = frozenset({"SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "TABLE", "NOTIFY"})
_LOCAL: Final = (["SET", "LOCAL"], ["SET", "CONSTRAINTS"])
_Refuse = Callable[..., NoReturn]


class QueryError(ForeseenError):
    """A query that is refused: one line that names the file and the line, and says what to do."""

    def __init__(self, path: Path, line: int, what: str) -> None:
        super().__init__(f"{path}:{line}: {what}")


@dataclass(frozen=True, slots=True)
class Query:
    """One query as its file says it; `sql` has ``$1`` where the file has names, and `parameters` are those names."""

    path: Path
    line: int
    name: str
    cardinality: str
    comment: str
    sql: str
    sql_line: int
    parameters: tuple[str, ...]
    functions: tuple[str, ...]
    reads: bool
    index: tuple[str, ...]
    plan: str
    row: str
    not_null: tuple[str, ...]
    optional: tuple[str, ...]
    repeatable: str
    collides: tuple[str, ...]
    own: bool

    def refuse(self, what: str, line: int | None = None) -> NoReturn:
        """Raise the refusal of this query."""
        raise QueryError(self.path, line or self.line, f"{self.name}: {what}")


@dataclass(frozen=True, slots=True)
class SqlFile:
    """A file of queries; `comment` is what stands before the first."""

    path: Path
    comment: str
    queries: tuple[Query, ...]


def parse(path: Path) -> SqlFile:
    """Read one file; raises `QueryError`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("-- name:")]
    first = starts[0] if starts else len(lines)
    for number, line in enumerate(lines[:first]):
        if line and not line.startswith("--"):
            raise QueryError(path, number + 1, "SQL before the first query: give it a header, `-- name: x :one`")
    comment = " ".join(line.removeprefix("--").strip() for line in lines[:first] if line)
    if not comment:
        raise QueryError(path, 1, "say in a comment at the top what the queries of this file are for")
    parts = zip(starts, [*starts[1:], len(lines)], strict=True)
    queries = tuple(_query(path, start, lines[start:end]) for start, end in parts)
    _refuse_repeated(queries)
    return SqlFile(path, comment, queries)


def parse_folder(folder: Path) -> list[SqlFile]:
    """Read every file of a folder; names of queries are unique in all of it. Raises `QueryError`."""
    files = [parse(path) for path in sorted(folder.glob("*.sql"))]
    if not files:
        raise QueryError(folder, 0, "no *.sql file is here: give the folder of the queries")
    _refuse_repeated([query for file in files for query in file.queries])
    return files


def _refuse_repeated(queries: Sequence[Query]) -> None:
    seen: dict[str, Query] = {}
    for query in queries:
        if other := seen.get(query.name):
            query.refuse(f"the name is taken by {other.path}:{other.line}: choose another")
        seen[query.name] = query


def _query(path: Path, start: int, lines: list[str]) -> Query:
    """The query whose header begins `lines`, the first of which is line `start` of the file, counted from 0."""
    match = _NAME.fullmatch(lines[0].rstrip())
    if match is None:
        raise QueryError(path, start + 1, "write the header as `-- name: lower_case_name :one`, or `:many`, or `:exec`")
    name = match[1]

    def refuse(what: str, offset: int = 0) -> NoReturn:
        raise QueryError(path, start + 1 + offset, f"{name}: {what}")

    if keyword.iskeyword(name):
        refuse("the name is a word of Python: choose another")
    body = next((number for number, line in enumerate(lines[1:], 1) if line and not line.startswith("--")), None)
    if body is None:
        refuse("no SQL follows the header: write the statement, or take the header away")
    words, comment = _header(lines[1:body], refuse)
    try:
        found = list(tokens("\n".join(lines[body:]).rstrip()))
    except ValueError as error:
        refuse(f"{error}: close it", body)
    sql, parameters = _number(_one_statement(found, refuse, body), refuse, body)
    query = Query(
        path=path,
        line=start + 1,
        name=name,
        cardinality=match[2],
        comment=comment,
        sql=sql,
        sql_line=start + 1 + body,
        parameters=parameters,
        functions=_functions(found),
        reads=_reads(found),
        index=_names(words.get("index", "")),
        plan=words.get("plan", ""),
        row=words.get("row", ""),
        not_null=_names(words.get("not null", "")),
        optional=_names(words.get("optional", "")),
        repeatable=words.get("repeatable", ""),
        collides=_names(words.get("collides", "")),
        own="way" in words,
    )
    _check(query, words, found)
    return query


def _header(lines: list[str], refuse: _Refuse) -> tuple[dict[str, str], str]:
    """The words of a header with what follows them, and its comment, one line for each of the file's."""
    words: dict[str, str] = {}
    comment: list[str] = []
    for offset, line in enumerate(lines, 1):
        match = _WORD.fullmatch(line.rstrip())
        if match is None:
            comment.append(line.removeprefix("--").strip())
        elif match[1] not in _WORDS:
            refuse(f"unknown word {match[1]!r}: use one of {', '.join(_WORDS)}, or break the comment elsewhere", offset)
        elif match[1] in words:
            refuse(f"a second {match[1]!r}: write them as one line", offset)
        elif not match[2]:
            refuse(f"nothing follows {match[1]!r}: write it, or take the line away", offset)
        else:
            words[match[1]] = match[2].strip()
    return words, "\n".join(comment).strip()


def _check(query: Query, words: dict[str, str], found: list[Token]) -> None:
    """Refuse what the header lacks or says of nothing, and `SELECT *`."""
    if not query.comment:
        query.refuse("say in a comment what it does and what no row means")
    inserts = next(token.text.upper() for token in found if token.kind is Kind.WORD) == "INSERT"
    if not query.index and not query.plan and not inserts:
        query.refuse("name the index that it rides on: `-- index: users_pkey`, or say `-- plan: why it needs none`")
    if query.index and query.plan:
        query.refuse("`-- index` is checked and `-- plan` says why not: keep one of them")
    if words.get("way", "own") != "own":
        query.refuse("the only way to name is `-- way: own`: write that, or take the line away")
    if query.row and not _IDENTIFIER.fullmatch(query.row):
        query.refuse(f"{query.row!r} can't name a row class: write it like_this")
    if query.cardinality == "exec" and (query.row or query.not_null):
        query.refuse("`:exec` gives a count, no row: take `-- row` and `-- not null` away, or make it `:one`")
    for name in query.optional:
        if name not in query.parameters:
            query.refuse(f"optional parameter {name} is not used: take it from `-- optional`, or use ${name}")
    _check_text(query, found)


def _check_text(query: Query, found: list[Token]) -> None:
    if not _keeps_to_its_unit(found):
        query.refuse("it would outlast its unit, or stream: a query begins with " + ", ".join(sorted(_BEGINNINGS)))
    if (star := _star(found)) is not None:
        line = query.sql_line + sum(token.text.count("\n") for token in found[:star])
        query.refuse("`*` hides the columns: list them", line)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _one_statement(found: list[Token], refuse: _Refuse, body: int) -> list[Token]:
    """Cut the semicolon and what follows it, if that is nothing but space and comments."""
    ends = [number for number, token in enumerate(found) if token.text == ";"]
    if not ends:
        refuse("the statement does not end: put a semicolon behind it", body)
    rest = [token for token in found[ends[0] + 1 :] if token.kind not in (Kind.SPACE, Kind.COMMENT)]
    if rest:
        offset = sum(token.text.count("\n") for token in found if token.start < rest[0].start)
        refuse("a second statement: give it a header of its own", body + offset)
    return found[: ends[0]]


def _number(found: list[Token], refuse: _Refuse, body: int) -> tuple[str, tuple[str, ...]]:
    """The text with ``$1`` for its first parameter and so on, and the parameters' names."""
    types: dict[str, str] = {}
    text: list[str] = []
    offset = body
    for position, token in enumerate(found):
        offset += text[-1].count("\n") if text else 0
        if token.kind is Kind.NUMBERED:
            refuse(f"{token.text} says nothing to a reader: name it, like $user_id", offset)
        if token.kind is not Kind.PARAMETER:
            text.append(token.text)
            continue
        name = token.text[1:]
        if not _IDENTIFIER.fullmatch(name) or keyword.iskeyword(name):
            refuse(f"{token.text} can't be a parameter of Python: rename it like_this", offset)
        cast = [after.text for after in found[position + 1 : position + 4]]
        if cast[:1] != ["::"]:
            refuse(f"{token.text} has no type: write {token.text}::uuid, or what it is", offset)
        kind = "".join(cast[1:2]) + ("[]" if cast[2:] == ["["] else "")
        if types.setdefault(name, kind) != kind:
            refuse(
                f"{token.text} is {types[name]} and {kind}: write one type, and cast that again where need be", offset
            )
        text.append(f"${list(types).index(name) + 1}")
    return "".join(text).rstrip(), tuple(types)


def _significant(found: list[Token]) -> Iterator[tuple[int, Token]]:
    return ((number, token) for number, token in enumerate(found) if token.kind not in (Kind.SPACE, Kind.COMMENT))


def _functions(found: list[Token]) -> tuple[str, ...]:
    """Words that a parenthesis follows: the functions it calls, among others."""
    parts = [token for _, token in _significant(found)]
    pairs = pairwise(parts)
    return tuple(sorted({word.text.lower() for word, after in pairs if word.kind is Kind.WORD and after.text == "("}))


def _reads(found: list[Token]) -> bool:
    """Whether the text is a query that neither writes nor locks rows. What its functions do is another matter."""
    words = [token.text.upper() for _, token in _significant(found) if token.kind is Kind.WORD]
    locks = any(word == "FOR" and after in _LOCKS for word, after in pairwise(words))
    return not locks and _WRITES.isdisjoint(words)


def _keeps_to_its_unit(found: list[Token]) -> bool:
    """Whether nothing of it is left for the next unit on its connection, and its answer is rows or a count."""
    words = [token.text.upper() for _, token in _significant(found) if token.kind is Kind.WORD]
    return bool(words) and (words[0] in _BEGINNINGS or words[:2] in _LOCAL)


def _star(found: list[Token]) -> int | None:
    """The place of a `*` that stands for columns."""
    parts = list(_significant(found))
    for before, (number, token), after in zip(parts, parts[1:], parts[2:], strict=False):
        if token.text == "*" and before[1].text != "(":
            opens = before[1].text.upper() in {"SELECT", "ALL", "DISTINCT", "RETURNING", ",", "."}
            if opens or after[1].text.upper() in {"FROM", ",", ";"}:
                return number
    return None
