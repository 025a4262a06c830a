"""Logs: one JSON line per event in production, readable colours on a terminal."""

from __future__ import annotations

import logging
import sys
import time
from datetime import UTC, datetime
from typing import Literal, Protocol, TextIO

import orjson

from banter_grpc.rpc.telemetry.lines import LineWriter

Form = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error"]

_LEVELS: dict[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Log(Protocol):
    """Where events go, each with its fields. No field holds what belongs to a person."""

    def debug(self, event: str, **fields: object) -> None: ...
    def info(self, event: str, **fields: object) -> None: ...
    def warning(self, event: str, **fields: object) -> None: ...
    def error(self, event: str, **fields: object) -> None: ...
    def flush(self) -> None: ...


def make_log(form: Form = "auto", level: Level = "info", stream: TextIO | None = None) -> Log:
    """A log that writes to `stream`, by default standard error; `auto` is for people on a terminal, else JSON."""
    out = stream or sys.stderr
    if _is_console(form, out):
        from banter_grpc.rpc.telemetry.console import ConsoleLog  # noqa: PLC0415 - slow to import, and for people only

        return ConsoleLog(_LEVELS[level], out)
    return JsonLog(level, out)


class JsonLog:
    """One JSON object a line, made by orjson and written off the loop."""

    def __init__(self, level: Level, stream: TextIO) -> None:
        self._least = _LEVELS[level]
        self._writer = LineWriter(stream)
        self._second = 0
        self._prefix = ""

    def debug(self, event: str, **fields: object) -> None:
        """What only its developers want to know."""
        if self._least <= 10:
            self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """What happens."""
        if self._least <= 20:
            self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What somebody may have to look at."""
        if self._least <= 30:
            self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """What somebody has to look at."""
        self._write("error", event, fields)

    def flush(self) -> None:
        """Have everything written."""
        self._writer.flush()

    def _write(self, level: Level, event: str, fields: dict[str, object]) -> None:
        line = {"timestamp": self._timestamp(), "level": level, "event": event, **fields}
        self._writer.write(orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE))

    def _timestamp(self) -> str:
        """The time in RFC 3339, to the millisecond; its date and second are formatted once a second."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._prefix}.{int((now - second) * 1000):03d}Z"


def take_over_libraries(form: Form = "auto", stream: TextIO | None = None) -> None:
    """Let what libraries log through the standard module appear in the same form: warnings and worse."""
    out = stream or sys.stderr
    handler = logging.StreamHandler(out)
    if _is_console(form, out):
        from banter_grpc.rpc.telemetry.console import formatter  # noqa: PLC0415 - see make_log

        handler.setFormatter(formatter(colors=out.isatty()))
    else:
        handler.setFormatter(_JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


class _JsonFormatter(logging.Formatter):
    """One JSON object a line. Libraries' tracebacks quote values: of an exception only its kind is kept."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
        return orjson.dumps(line).decode()


def _is_console(form: Form, out: TextIO) -> bool:
    return form == "console" or (form == "auto" and out.isatty())
