"""What is asked, what came of it, and what an operation is to the tests of money."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from banter.v1 import user_pb2, wallet_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from banter_grpc.server import SERVICES
from tests.model.books import Books
from tests.model.choices import Choose
from tests.model.times import now, stamp

METHODS: Final = {method.name: method for service in SERVICES for method in service.methods}


@dataclass(frozen=True)
class Call:
    """A request of an RPC, by a user; by a service for itself if `actor` is empty."""

    rpc: str
    actor: str
    data: bytes

    @classmethod
    def of(cls, rpc: str, actor: str, request: Message) -> Call:
        return cls(rpc, actor, request.SerializeToString(deterministic=True))

    @property
    def method(self) -> MethodDescriptor:
        return METHODS[self.rpc]

    @property
    def request(self):
        return GetMessageClass(self.method.input_type).FromString(self.data)

    def __repr__(self) -> str:
        return f"{self.rpc}({one_line(self.request)}) by {self.actor or 'a service'}"


@dataclass(frozen=True)
class Outcome:
    """An answer, or the reason of a refusal."""

    reason: str
    data: bytes
    words: str = field(default="", compare=False)
    """Of a refusal all that its caller is told, where a server said it."""
    again: bool = field(default=False, compare=False)
    """Whether it was asked for more than once until it came, so that the effect may be older than the answer."""

    @classmethod
    def of(cls, answer: Message) -> Outcome:
        return cls("", answer.SerializeToString(deterministic=True))

    @classmethod
    def refused(cls, reason: str) -> Outcome:
        return cls(reason, b"")

    def answer(self, call: Call):
        """The message; an empty one for a refusal."""
        return GetMessageClass(call.method.output_type).FromString(self.data)

    def told(self, call: Call) -> str:
        """For people."""
        return self.reason or one_line(self.answer(call)) or "an empty answer"


def one_line(message: Message) -> str:
    """A message for people."""
    return " ".join(str(message).split())


@dataclass
class Seen:
    """What a client knows so far: whom and what its next request may name. It decides on nothing."""

    customers: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    admins: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    """Those of them who were erased."""
    phones: list[str] = field(default_factory=list)
    sent: list[Call] = field(default_factory=list)
    now: int | None = None
    """What the clock says where it stands still."""
    named: dict[str, list[Message]] = field(default_factory=dict)
    """By the message's name, the transactions, withdrawals and so on that answers have had."""
    _ids: int = 0

    @property
    def people(self) -> list[str]:
        return self.customers + self.hosts + self.admins

    def new_id(self) -> str:
        """A UUID that nothing has had: after the first user, whose own id is new."""
        self._ids += 1
        return str(uuid.uuid5(uuid.UUID(self.customers[0]), str(self._ids)))

    def learn(self, call: Call, outcome: Outcome) -> None:
        """Remember what was asked, and what the answer names."""
        if call not in self.sent:
            self.sent.append(call)
        self.remember(parts(outcome.answer(call)))
        for message in parts(outcome.answer(call)):
            if isinstance(message, user_pb2.FindOrCreateUserResponse) and message.user.user_id not in self.people:
                self.customers.append(message.user.user_id)
            if isinstance(message, user_pb2.DeleteUserResponse) and not outcome.reason:
                self.gone = list(dict.fromkeys([*self.gone, call.request.user_id]))

    def remember(self, messages: Iterable[Message]) -> None:
        """What was told may be named by requests to come."""
        for message in messages:
            known = self.named.setdefault(message.DESCRIPTOR.name, [])
            if message not in known:
                known.append(message)

    def last_balance(self, user: str, wallet: int) -> int:
        """What a wallet had after the last movement of it that an answer told."""
        told = [each for each in self.named.get("Transaction", []) if (each.user_id, each.wallet) == (user, wallet)]
        return told[-1].balance_after if told else 0

    def balances(self) -> list[int]:
        """Numbers of coins that somebody has had of late: to ask for all of them, or for one more."""
        latest = [moved.balance_after for moved in self.named.get("Transaction", [])[-3:]]
        for wallet in self.named.get("Wallet", [])[-2:]:
            latest += [wallet.coins.available, wallet.earnings.available]
        return [coins for near in latest for coins in (near, near + 1) if 0 < coins <= 10**9]


def parts(message: Message) -> Iterator[Message]:
    """A message and those in it."""
    yield message
    for descriptor, value in message.ListFields():
        if descriptor.type == FieldDescriptor.TYPE_MESSAGE:
            for part in value if descriptor.is_repeated else [value]:
                yield from parts(part)


@dataclass(frozen=True)
class Operation:
    """One RPC to the tests of money. A new one is one more of these in `operations.OPERATIONS`."""

    rpc: str
    draw: Callable[[Choose, Seen], Call | None]
    """A request that may succeed or be refused; None while there is nothing to ask for."""
    act: Callable[[Books, Call, Message], Outcome]
    """What has to come of it once its caller was let in, and its effect on the books. The message is the server's
    answer, of which it takes only what nobody else can know: new ids and times."""
    alter: Callable[[Choose, Seen, Call], Call | None]
    """The same key (request_id, or what is unique about it) with another payload."""
    outcomes: frozenset[str]
    """The reasons that it can be refused for, by which a walk over the model's states may come; "" is success."""

    def outcome(self, books: Books, call: Call, named: Message) -> Outcome:
        """What has to come of it, and its effect on the books: nothing comes of a call by somebody who was erased."""
        if call.actor and not books.lives(call.actor):
            return Outcome.refused("CALLER_UNKNOWN")
        return self.act(books, call, named)


def expected(operation: Operation, books: Books, call: Call) -> str:
    """The reason for which a call would be refused now; "" if it would not be."""
    mark = books.mark()
    try:
        return operation.outcome(books, call, Outcome.refused("").answer(call)).reason
    finally:
        books.undo(mark)


def once(
    books: Books, call: Call, decide: Callable[[], Outcome], is_same: Callable[[Message, Outcome], bool]
) -> Outcome:
    """What a request with a `request_id` comes to: what it came to before, or what `decide` says.

    Where its key was forgotten, what it made is found again, and `is_same` compares the request with that. That
    somebody was erased after he was let in is not remembered.
    """
    key = (call.actor, call.request.request_id)
    prior, made = books.get("request", *key), books.get("made", *key)
    if prior is not None:
        return prior[1] if prior[0] == call else Outcome.refused("REQUEST_ID_REUSED")
    if made is not None:
        return made if is_same(call.request, made) else Outcome.refused("REQUEST_ID_REUSED")
    outcome = decide()
    if outcome.reason != "CALLER_INACTIVE":
        books.put((call, outcome, now(books)), "request", *key)
    return outcome


def forget_requests(books: Books, before: int) -> None:
    """The keys of requests up to a time go; what was made of one stays."""
    for key, (call, outcome, at) in books.of("request"):
        if at <= before:
            books.put(None, "request", *key)
            named = {field.name for field, _ in outcome.answer(call).ListFields()}
            if named & {"transaction", "withdrawal"}:
                books.put(outcome, "made", *key)


def moved(
    books: Books, name: wallet_pb2.Transaction, kind: str, user: str, wallet: str, amount: int, subject: str = ""
) -> wallet_pb2.Transaction:
    """How a movement that was just posted has to be shown; `name` has its id and time, as the server says."""
    after = books.wallet(user, wallet)
    return wallet_pb2.Transaction(
        transaction_id=name.transaction_id,
        user_id=user,
        wallet=f"WALLET_KIND_{wallet.upper()}",
        kind=f"TRANSACTION_KIND_{kind.upper()}",
        amount=amount,
        balance_after=after.available + after.held,
        subject_id=subject,
        create_time=stamp(books, name.create_time),
    )
