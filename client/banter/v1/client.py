"""What a caller of Banter needs around the generated stubs: credentials, deadlines, retries, and errors read.

    async with connect("127.0.0.1:50051", token=token) as channel:
        users = user_pb2_grpc.UserServiceStub(channel)
        try:
            answer = await users.GetUser(user_pb2.GetUserRequest(user_id=user_id), timeout=2)
        except grpc.RpcError as error:
            if error_of(error).reason != "USER_NOT_FOUND":
                raise

It needs grpcio, protobuf and googleapis-common-protos, and nothing of the server.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

Token = str | Callable[[], Awaitable[str]]
"""A JWT, or what gives one that is still good; asked before each call, so it should remember."""

_Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Violation:
    """A field of the request that is to blame: its path, what is wrong with it, and the rule's name if it has one."""

    field: str
    description: str
    rule: str = ""


@dataclass(frozen=True, slots=True)
class BanterError:
    """Why a call failed. Decide by `reason`: messages change.

    `reason` is a name of `ErrorReason` without its prefix, and empty where the failure was not Banter's (no connection,
    say). `retry_after` is in seconds, and None where a retry does not help. `call_id` is what the server's log calls
    the call, empty if it never got there.
    """

    code: grpc.StatusCode
    reason: str
    message: str
    metadata: dict[str, str]
    violations: tuple[Violation, ...]
    retry_after: float | None
    call_id: str


class _Answered(Protocol):
    """What every error of a call can be asked, of grpc and of grpc.aio alike."""

    def code(self) -> grpc.StatusCode: ...

    def details(self) -> str | None: ...

    def trailing_metadata(self) -> Sequence[tuple[str, str | bytes]] | None: ...


def connect(
    target: str,
    *,
    token: Token | None = None,
    on_behalf_of: str | None = None,
    timeout: float = 5.0,
    credentials: grpc.ChannelCredentials | None = None,
    options: Sequence[tuple[str, Any]] = (),
) -> grpc.aio.Channel:
    """A channel for any of Banter's stubs; close it, or use it with `async with`.

    Each call carries `token`, and the id of the user for whom a service acts, if either is given. A unary call gets
    `timeout` seconds unless it brings its own; streams have no limit but their own. Calls that the contract says may be
    repeated are repeated within that time, by the published service config. Without `credentials` there is no TLS.
    """
    given = (("grpc.service_config", service_config()), *options)
    interceptors = [_Unary(token, on_behalf_of, timeout), _Stream(token, on_behalf_of)]
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=given, interceptors=interceptors)
    return grpc.aio.secure_channel(target, credentials, options=given, interceptors=interceptors)


def acting_for(user_id: str) -> _Metadata:
    """The metadata of one call that a service makes for a user: `users.GetUser(request, metadata=acting_for(id))`."""
    return (("banter-on-behalf-of", user_id),)


def service_config() -> str:
    """The published service config, as JSON: which calls are repeated, after what, and how often."""
    return importlib.resources.files("banter.v1").joinpath("service_config.json").read_text()


def error_of(error: grpc.RpcError) -> BanterError:
    """The parts of an error that a call of grpc or grpc.aio raised."""
    answered = cast("_Answered", error)
    trailers = dict(answered.trailing_metadata() or ())
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    has_retry = False
    for detail in _status(trailers.get("grpc-status-details-bin")).details:
        detail.Unpack(info)
        detail.Unpack(bad)
        has_retry = detail.Unpack(retry) or has_retry
    return BanterError(
        code=answered.code(),
        reason=info.reason if info.domain == "banter.v1" else "",
        message=answered.details() or "",
        metadata=dict(info.metadata),
        violations=tuple(Violation(each.field, each.description, each.reason) for each in bad.field_violations),
        retry_after=retry.retry_delay.ToNanoseconds() / 1e9 if has_retry else None,
        call_id=str(trailers.get("x-request-id", "")),
    )


def _status(raw: str | bytes | None) -> status_pb2.Status:
    """The details that came along; none where a proxy in between says something else."""
    try:
        return status_pb2.Status.FromString(raw) if isinstance(raw, bytes) else status_pb2.Status()
    except DecodeError:
        return status_pb2.Status()


class _Credentials:
    """Puts the channel's credentials on a call; what the call brings itself weighs more."""

    def __init__(self, token: Token | None, on_behalf_of: str | None) -> None:
        self._token = token
        self._acting = acting_for(on_behalf_of) if on_behalf_of else ()

    async def on(self, call: grpc.aio.ClientCallDetails, seconds: float | None) -> grpc.aio.ClientCallDetails:
        own = grpc.aio.Metadata(*(call.metadata or ()))
        token = self._token if self._token is None or isinstance(self._token, str) else await self._token()
        bearer = (("authorization", f"Bearer {token}"),) if token else ()
        ours = [(key, value) for key, value in (*bearer, *self._acting) if key not in own]
        return grpc.aio.ClientCallDetails(
            method=call.method,
            timeout=seconds if call.timeout is None else call.timeout,
            metadata=grpc.aio.Metadata(*ours, *own),
            credentials=call.credentials,
            wait_for_ready=call.wait_for_ready,
        )


class _Unary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, token: Token | None, on_behalf_of: str | None, timeout: float) -> None:
        self._credentials = _Credentials(token, on_behalf_of)
        self._timeout = timeout

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(await self._credentials.on(client_call_details, self._timeout), request)


class _Stream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, token: Token | None, on_behalf_of: str | None) -> None:
        self._credentials = _Credentials(token, on_behalf_of)

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(await self._credentials.on(client_call_details, None), request)
