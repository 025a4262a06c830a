"""A method's policy, read from the contract: fail-closed, before the server listens."""

from __future__ import annotations

from dataclasses import dataclass

from banter.v1 import options_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from banter_grpc.errors import Refusal
from banter_grpc.foreseen import ForeseenError
from banter_grpc.rpc.caller import Caller

_STAFF_AND_SERVICES = frozenset(
    {options_pb2.CALLER_KIND_MODERATOR, options_pb2.CALLER_KIND_ADMIN, options_pb2.CALLER_KIND_SERVICE}
)


class PolicyError(ForeseenError):
    """The contract's policy of a method is missing or senseless; the server must not start."""


@dataclass(frozen=True, slots=True)
class Policy:
    """``banter.v1.Policy``, ready for use. Times in seconds."""

    callers: frozenset[int]
    rate_class: int
    default_deadline: float | None
    max_deadline: float | None
    safe_to_retry: bool = False
    owner_field: tuple[str, ...] = ()
    sheddable: bool = True
    """Whether a busy server may refuse the call. Not in the contract: only health is never shed."""

    def admit(self, caller: Caller) -> None:
        """Raise `Refusal` unless the caller is of a kind that may call."""
        if not self.callers.isdisjoint(caller.kinds):
            return
        if options_pb2.CALLER_KIND_PUBLIC in caller.kinds and len(caller.kinds) == 1:
            raise Refusal("CREDENTIALS_MISSING", "no credentials; send metadata authorization: Bearer <token>")
        admitted, actual = kind_names(self.callers), kind_names(caller.kinds)
        raise Refusal(
            "CALLER_NOT_ADMITTED",
            f"this method is for {admitted}; the caller is {actual}",
            admitted=admitted,
            caller=actual,
        )

    def check_owner(self, request: Message, caller: Caller) -> None:
        """Raise `Refusal` if the owner field names anybody but the caller, and the caller is not exempt."""
        if not self.owner_field or not (self.callers & caller.kinds).isdisjoint(_STAFF_AND_SERVICES):
            return
        value: object = request
        for name in self.owner_field:
            value = getattr(value, name)
        if not isinstance(value, str) or value.lower() != caller.user_id:
            field = ".".join(self.owner_field)
            raise Refusal(
                "NOT_OWNER",
                "must be your own id; this method changes only the caller's own account",
                field=field,
            )


def read_policy(method: MethodDescriptor) -> Policy:
    """The policy of a method of the contract; raises `PolicyError` naming the method and the fault."""
    options = method.GetOptions()
    if not options.HasExtension(options_pb2.policy):
        raise PolicyError(f"{method.full_name} has no policy; give it option (banter.v1.policy) in its .proto file")
    written = options.Extensions[options_pb2.policy]
    callers = frozenset(written.callers)
    if not callers or options_pb2.CALLER_KIND_UNSPECIFIED in callers:
        raise PolicyError(f"{method.full_name}: its policy admits nobody; set callers")
    if written.rate_class == options_pb2.RATE_CLASS_UNSPECIFIED:
        raise PolicyError(f"{method.full_name}: its policy has no rate_class")
    default = _seconds(written.default_deadline) if written.HasField("default_deadline") else None
    maximum = _seconds(written.max_deadline) if written.HasField("max_deadline") else None
    if not method.server_streaming and (default is None or maximum is None):
        raise PolicyError(f"{method.full_name}: a unary method needs default_deadline and max_deadline")
    if (default is not None and default <= 0) or (maximum is not None and maximum < (default or 0)):
        raise PolicyError(f"{method.full_name}: needs 0 < default_deadline <= max_deadline")
    owner = tuple(written.owner_field.split(".")) if written.owner_field else ()
    if owner and not _is_string_path(method.input_type, owner):
        raise PolicyError(f"{method.full_name}: owner_field {written.owner_field} is no string field of its request")
    return Policy(callers, written.rate_class, default, maximum, written.safe_to_retry, owner)


def kind_names(kinds: frozenset[int]) -> str:
    """Kinds of caller as people write them: ``admin, service``. Of a caller's own kinds the most telling ones."""
    values = options_pb2.CallerKind.DESCRIPTOR.values_by_number
    names = [values[kind].name.removeprefix("CALLER_KIND_").lower() for kind in sorted(kinds)]
    if len(names) > 1:
        names = [name for name in names if name != "public"]
    return ", ".join(names)


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def _is_string_path(message: Descriptor, path: tuple[str, ...]) -> bool:
    *parents, last = path
    for name in parents:
        field = message.fields_by_name.get(name)
        if field is None or field.message_type is None or field.is_repeated:
            return False
        message = field.message_type
    field = message.fields_by_name.get(last)
    return field is not None and field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated
