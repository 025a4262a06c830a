"""Logs: one JSON line per event in production, readable colours on a terminal."""

from __future__ import annotations

import logging
import sys
import time
from typing import Literal, Protocol, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

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
    return ConsoleLog(level, out) if _is_console(form, out) else JsonLog(level, out)


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


class ConsoleLog:
    """Lines for people."""

    def __init__(self, level: Level, stream: TextIO) -> None:
        self._stream = stream
        log = structlog.wrap_logger(
            structlog.PrintLogger(stream),
            processors=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
                structlog.dev.ConsoleRenderer(colors=stream.isatty()),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
            cache_logger_on_first_use=True,
        )
        self.debug, self.info, self.warning, self.error = log.debug, log.info, log.warning, log.error

    def flush(self) -> None:
        """Have everything written."""
        self._stream.flush()


def take_over_libraries(form: Form = "auto", stream: TextIO | None = None) -> None:
    """Let what libraries log through the standard module appear in the same form: warnings and worse."""
    out = stream or sys.stderr
    shared: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_traceback,
    ]
    last: Processor = structlog.dev.ConsoleRenderer(colors=out.isatty()) if _is_console(form, out) else _as_json
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def _is_console(form: Form, out: TextIO) -> bool:
    return form == "console" or (form == "auto" and out.isatty())


def _as_json(_logger: WrappedLogger, _name: str, event: EventDict) -> str:
    return orjson.dumps(event, default=str).decode()


def _without_traceback(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Libraries' tracebacks quote values: keep the kind of the exception and leave its words."""
    if info := event.pop("exc_info", None):
        kind = info[0] if isinstance(info, tuple) else type(info)
        event["exception"] = getattr(kind, "__name__", str(kind))
    return event
