"""Reading SQL no deeper than needed: where its words, parameters, quotes and comments are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Kind(Enum):
    """What a token is."""

    SPACE = auto()
    COMMENT = auto()
    QUOTED = auto()
    WORD = auto()
    PARAMETER = auto()
    NUMBERED = auto()
    SYMBOL = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL and its offset in the text; all tokens together are the text."""

    kind: Kind
    text: str
    start: int


_TOKEN: Final = re.compile(
    r"""
      (?P<SPACE>\s+)
    | (?P<COMMENT>--[^\n]*)
    | (?P<QUOTED>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<WORD>[^\W\d][\w$]*|\d[\w.]*)
    | (?P<PARAMETER>\$[A-Za-z_]\w*)
    | (?P<NUMBERED>\$\d+)
    | (?P<SYMBOL>::|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_DOLLAR: Final = re.compile(r"\$(?:[A-Za-z_]\w*)?\$")
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")


def tokens(sql: str) -> Iterator[Token]:
    """The tokens of `sql`; raises `ValueError` for a quote or comment that does not end."""
    at = 0
    while at < len(sql):
        kind, end = _next(sql, at)
        yield Token(kind, sql[at:end], at)
        at = end


def _next(sql: str, at: int) -> tuple[Kind, int]:
    if dollar := _DOLLAR.match(sql, at):
        end = sql.find(dollar[0], dollar.end())
        if end < 0:
            raise ValueError(f"the quote {dollar[0]} does not end")
        return Kind.QUOTED, end + len(dollar[0])
    if sql.startswith("/*", at):
        return Kind.COMMENT, _end_of_comment(sql, at)
    match = _TOKEN.match(sql, at)
    assert match is not None, "the last alternative takes anything"
    kind = Kind[match.lastgroup or ""]
    if kind is Kind.SYMBOL and match[0] in "'\"":
        raise ValueError(f"the quote {match[0]} does not end")
    return kind, match.end()


def _end_of_comment(sql: str, at: int) -> int:
    """PostgreSQL's comments nest."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, at):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    raise ValueError("the comment /* does not end")
