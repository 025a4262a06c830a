"""One line and one measurement for every call."""

from __future__ import annotations

import time
from dataclasses import dataclass

from google.protobuf.message import Message

from banter_grpc.rpc.call import Status
from banter_grpc.rpc.caller import Caller
from banter_grpc.rpc.telemetry.logs import Log
from banter_grpc.rpc.telemetry.metrics import Metrics
from banter_grpc.rpc.telemetry.redaction import faults, redacted


@dataclass(slots=True)
class CallRecord:
    """What is known of a call while it is served. `started` is of `time.perf_counter`."""

    method: str
    peer: str
    request_id: str
    started: float
    quiet: bool
    caller: Caller | None = None
    request: Message | None = None


class CallLog:
    """Writes what became of calls to the log and the metrics."""

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics

    def write(self, record: CallRecord, status: Status | None) -> None:
        """The call is answered: with `status`, or well."""
        seconds = time.perf_counter() - record.started
        code = status.name if status is not None else "OK"
        self._metrics.call(record.method, code, seconds)
        caller = record.caller
        event: dict[str, object] = {
            "method": record.method,
            "code": code,
            "duration_ms": round(seconds * 1000, 3),
            "request_id": record.request_id,
            "peer": record.peer,
        }
        if caller is not None and caller.user_id is not None:
            event["user_id"] = caller.user_id
        if caller is not None and caller.service is not None:
            event["service"] = caller.service
        if status is not None:
            event["reason"] = status.reason
        (self._log.debug if record.quiet else self._log.info)("call", **event)

    def defect(self, record: CallRecord, error: BaseException) -> None:
        """The call ran into a defect: where, without anybody's data."""
        self._log.error(
            "defect",
            method=record.method,
            request_id=record.request_id,
            faults=faults(error),
            request=redacted(record.request) if record.request is not None else None,
        )
