"""The methods that a server has, each with all that is known of it before it is called."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from banter_grpc.rpc.caller import Caller
from banter_grpc.rpc.policy import Policy, read_policy

Unary = Callable[[Message, Caller], Awaitable[Message]]
Streaming = Callable[[Message, Caller], AsyncIterator[Message]]


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """One RPC: `unary` or `streaming` answers it."""

    service: str
    name: str
    policy: Policy
    request_type: type[Message]
    request_name: str
    unary: Unary | None
    streaming: Streaming | None
    quiet: bool
    """Whether ordinary calls of it are too many and too dull for the log."""

    @property
    def path(self) -> str:
        """The method's full name, such as ``/banter.v1.UserService/GetUser``."""
        return f"/{self.service}/{self.name}"


def methods_of(
    service: ServiceDescriptor,
    *handlers: object,
    policy_of: Callable[[MethodDescriptor], Policy] = read_policy,
    quiet: bool = False,
) -> list[Method]:
    """The methods of a service, each answered by the method of the same name of one of `handlers`.

    Raises `PolicyError` for a method without a policy, and `TypeError` for one that none of the handlers has, or two.
    """
    methods: list[Method] = []
    for descriptor in service.methods:
        answers = [getattr(handler, descriptor.name) for handler in handlers if hasattr(handler, descriptor.name)]
        if len(answers) != 1:
            names = " and ".join(type(handler).__name__ for handler in handlers)
            raise TypeError(f"{names}: {len(answers)} of {descriptor.name}, which {service.full_name} promises once")
        (answer,) = answers
        if descriptor.client_streaming:
            raise TypeError(f"{descriptor.full_name}: streams of requests are not served")
        streaming = descriptor.server_streaming
        methods.append(
            Method(
                service.full_name,
                descriptor.name,
                policy_of(descriptor),
                message_factory.GetMessageClass(descriptor.input_type),
                descriptor.input_type.full_name,
                None if streaming else cast("Unary", answer),
                cast("Streaming", answer) if streaming else None,
                quiet,
            )
        )
    return methods
