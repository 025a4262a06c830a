"""Parameters as PostgreSQL is sent them: once for each unit, whatever way it goes and however often."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg.adapt import PyFormat, Transformer

from banter_grpc.database import errors
from banter_grpc.database.exchange import Dumped
from banter_grpc.database.statement import Step

_BYTES: Final = frozenset({bytes, bytearray, memoryview})


class Dumper:
    """Makes of a step what is sent. It knows no connection, so that a unit may change it."""

    def __init__(self) -> None:
        self._transformer = Transformer()

    def dump(self, step: Step[Any]) -> Dumped:
        """Values as text, whose type the cast in the statement decides; bytes as they are, hence to ``bytea`` only.

        Raises `BadValueError` for text that PostgreSQL can't store, and `DefectError` for a type that can't be sent.
        """
        values = step.parameters
        try:
            if _BYTES.isdisjoint(map(type, values)):
                texts = [PyFormat.TEXT] * len(values)
                return Dumped(step.statement, self._transformer.dump_sequence(values, texts), None)
            formats = [PyFormat.BINARY if type(value) in _BYTES else PyFormat.TEXT for value in values]
            dumped = self._transformer.dump_sequence(values, formats)
            return Dumped(step.statement, dumped, self._transformer.formats)
        except (psycopg.DataError, UnicodeError) as error:
            raise errors.BadValueError(
                "a value can't be sent: it has a character that PostgreSQL can't store"
            ) from error
        except Exception as error:
            raise errors.DefectError(f"a parameter of {step.statement.name} has a type that can't be sent") from error
