"""Logs for people on a terminal. Its imports take as long as a whole command: who logs JSON does without."""

from __future__ import annotations

import logging
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger


class ConsoleLog:
    """Lines for people, of events from level `least` on: a `Log`."""

    def __init__(self, least: int, stream: TextIO) -> None:
        self._stream = stream
        log = structlog.wrap_logger(
            structlog.PrintLogger(stream),
            processors=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
                structlog.dev.ConsoleRenderer(colors=stream.isatty()),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(least),
            cache_logger_on_first_use=True,
        )
        self.debug, self.info, self.warning, self.error = log.debug, log.info, log.warning, log.error

    def flush(self) -> None:
        """Have everything written."""
        self._stream.flush()


def formatter(*, colors: bool) -> logging.Formatter:
    """Gives what libraries log the same form."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_traceback,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.dev.ConsoleRenderer(colors=colors),
        ],
    )


def _without_traceback(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Libraries' tracebacks quote values: keep the kind of the exception and leave its words."""
    if info := event.pop("exc_info", None):
        kind = info[0] if isinstance(info, tuple) else type(info)
        event["exception"] = getattr(kind, "__name__", str(kind))
    return event
