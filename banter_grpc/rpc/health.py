"""The standard health service (grpc.health.v1).

``""`` is alive while the process answers, and never touches the database. A service's own name is ready while the
server takes calls and its database can be reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from banter.v1 import options_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from banter_grpc.errors import Refusal
from banter_grpc.rpc.caller import Caller
from banter_grpc.rpc.policy import Policy

_Status = health_pb2.HealthCheckResponse.ServingStatus
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def health_policy(method: MethodDescriptor) -> Policy:
    """Anybody may ask, at any time, however busy the server is; a Watch stays open."""
    deadline = None if method.server_streaming else 5.0
    return Policy(
        frozenset({options_pb2.CALLER_KIND_PUBLIC}),
        options_pb2.RATE_CLASS_UNLIMITED,
        deadline,
        deadline,
        safe_to_retry=True,
        sheddable=False,
    )


class Health:
    """Whether the server is alive and its services are ready."""

    def __init__(self, services: Iterable[str]) -> None:
        self._ready = dict.fromkeys(services, False)
        self._changed = asyncio.Event()
        self._closing = False

    @property
    def is_ready(self) -> bool:
        """Whether every service is."""
        return all(self._ready.values())

    def set_ready(self, ready: bool) -> None:
        """Say of all services whether they are ready. A closing server never is again."""
        ready = ready and not self._closing
        if ready != self.is_ready:
            self._ready = dict.fromkeys(self._ready, ready)
            self._wake()

    def close(self) -> None:
        """Not ready from now on; open watches are told so and end."""
        self._closing = True
        self._ready = dict.fromkeys(self._ready, False)
        self._wake()

    async def Check(self, request: health_pb2.HealthCheckRequest, _: Caller) -> health_pb2.HealthCheckResponse:  # noqa: N802
        """The state of one service; NOT_FOUND for one that is not served here."""
        state = self._state(request.service)
        if state == SERVICE_UNKNOWN:
            raise Refusal(
                "SERVICE_UNKNOWN", f"there is no service {request.service[:200]} here; ask for one that is listed"
            )
        return health_pb2.HealthCheckResponse(status=state)

    async def List(self, _request: Message, _: Caller) -> Message:  # noqa: N802
        """The state of all services."""
        return health_pb2.HealthListResponse(  # pyright: ignore[reportAttributeAccessIssue] - its stubs are older
            statuses={name: health_pb2.HealthCheckResponse(status=self._state(name)) for name in ["", *self._ready]}
        )

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, _: Caller
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The state of one service now, and again whenever it changes."""
        said: _Status.ValueType | None = None
        while True:
            changed = self._changed
            if (state := self._state(request.service)) != said:
                said = state
                yield health_pb2.HealthCheckResponse(status=state)
            if self._closing:
                return
            await changed.wait()

    def _state(self, service: str) -> _Status.ValueType:
        if service == "":
            return SERVING
        ready = self._ready.get(service)
        return SERVICE_UNKNOWN if ready is None else SERVING if ready else NOT_SERVING

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
