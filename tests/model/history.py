"""Whether what ran at once could have run one after another.

A history is explained by an order of its calls in which each has its effect between its beginning and its end, the
movements of each wallet come by the wallet's versions, and the books give every answer and refusal that was seen.
"""

from __future__ import annotations

import graphlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from banter.v1 import user_pb2, wallet_pb2
from google.protobuf.message import Message

from tests.model.books import Books, ContradictionError
from tests.model.calls import Call, Operation, Outcome, parts
from tests.model.erasure import forfeit_of
from tests.model.operations import OPERATIONS
from tests.model.subscriptions import RENEWAL, Renewal, renewal_of

Places = Mapping[tuple[str, str, str], int]
"""The version that a movement gave to a wallet, as the database has it: by the movement, the user and the wallet."""

_MOST_TRIES = 300_000
_MOST_PERIODS = 20


class InexplicableError(AssertionError):
    """No order explains the history; the text says how far one comes."""


class Event(NamedTuple):
    """A call, what came of it, and when it began and ended."""

    call: Call
    outcome: Outcome
    begin: float
    end: float

    @property
    def movements(self) -> set[str]:
        """Those that the answer names."""
        answer = self.outcome.answer(self.call)
        return {part.transaction_id for part in parts(answer) if isinstance(part, wallet_pb2.Transaction)}

    @property
    def perhaps(self) -> set[str]:
        """What it may have moved without a word: a new user's grant, and what somebody left who was erased."""
        if self.call.rpc == "DeleteUser":
            return {forfeit_of(self.call.request.user_id)}
        answer = self.outcome.answer(self.call)
        created = isinstance(answer, user_pb2.FindOrCreateUserResponse) and answer.created
        return {f"signup_grant/{answer.user.user_id}"} if created else set()


def renewals(books: Books, places: Places, begin: float, end: float) -> list[Event]:
    """What the job charged, of which nobody was told, where all of its runs were between two times."""
    before = {key[0] for key, _ in books.of("place")}
    return [
        Event(Renewal.of_user(user), Renewal.told(name), begin, end)
        for name, user, _ in places
        if name not in before and name in {renewal_of(user, place) for place in range(1, _MOST_PERIODS)}
    ]


def _operation(call: Call) -> Operation:
    return RENEWAL if isinstance(call, Renewal) else OPERATIONS[call.rpc]


def explain(books: Books, events: Sequence[Event], places: Places) -> list[Event]:
    """The events in an order that explains them; the books are then as they have to be at its end.

    Raises `InexplicableError`.
    """
    _check_names(books, events, places)
    _check_order(books, events, places)
    gone = dict[str, float]()
    for event in events:
        if event.call.rpc == "DeleteUser" and not event.outcome.reason:
            user = event.call.request.user_id
            gone[user] = min(event.end, gone.get(user, event.end))
    return _Search(books, sorted(events, key=lambda event: event.begin), places, gone).run()


def _check_names(books: Books, events: Sequence[Event], places: Places) -> None:
    """What was acknowledged is there, and nothing that nobody asked for."""
    there, before = {name for name, _, _ in places}, {key[0] for key, _ in books.of("place")}
    named = set[str]().union(*(event.movements for event in events))
    perhaps = set[str]().union(*(event.perhaps for event in events))
    if lost := named - there:
        told = "\n".join(
            f"{each.call} was told {each.outcome.told(each.call)}" for each in events if each.movements & lost
        )
        raise InexplicableError(f"these movements were acknowledged, and are not there: {lost}\n{told}")
    if made := there - before - named - perhaps:
        raise InexplicableError(f"these movements are there, and nobody asked for them: {made}")


def _check_order(books: Books, events: Sequence[Event], places: Places) -> None:
    """Versions and time don't go in a circle: the plainest of all faults, in the plainest words."""
    began, ended = dict[str, float](), dict[str, float]()
    for event in events:
        for name in event.movements:
            if books.get("movement", name) is not None:  # it was there before, and is named again
                continue
            began[name] = min(event.begin, began.get(name, event.begin))
            ended[name] = min(event.end, ended.get(name, event.end))
    order = graphlib.TopologicalSorter[str](
        {name: {other for other in ended if ended[other] < began[name]} for name in began}
    )
    rows = sorted((user, account, version, name) for (name, user, account), version in places.items() if name in began)
    for (user, account, _, before), (other, wallet, _, after) in itertools.pairwise(rows):
        if (user, account) == (other, wallet):
            order.add(after, before)
    try:
        order.prepare()
    except graphlib.CycleError as error:
        told = "\n".join(
            f"{event.call} from {event.begin:.3f} to {event.end:.3f}: {event.outcome.told(event.call)}"
            for event in events
            if event.movements & set(error.args[1])
        )
        raise InexplicableError(f"these movements come each before the next one: {error.args[1]}\n{told}") from None


@dataclass
class _Frame:
    """A point at which there was a choice."""

    mark: int
    done: set[int]
    first: int
    length: int
    choices: Iterator[int]


@dataclass
class _Search:
    """Tries orders: what has no effect on the rest comes as soon as it fits, and then one effect after another."""

    books: Books
    events: list[Event]
    places: Places
    gone: Mapping[str, float]
    """Those who were erased, and when it had happened at the latest."""
    order: list[int] = field(default_factory=list[int])
    done: set[int] = field(default_factory=set[int])
    first: int = 0
    """All before it are done."""
    deepest: str = ""
    _depth: int = -1
    _tries: int = 0

    def run(self) -> list[Event]:
        frames, failed = list[_Frame](), set[tuple[int, frozenset[int]]]()
        while True:
            self._take_what_has_no_effect()
            if len(self.order) == len(self.events) and self._is_all():
                return [self.events[index] for index in self.order]
            key = (self.books.sum, frozenset(self.done))
            if key in failed:
                choices = iter(())
            else:
                failed.add(key)
                choices = iter([index for index in self._frontier() if self._fits(index)])
            frames.append(_Frame(self.books.mark(), set(self.done), self.first, len(self.order), choices))
            self._go_on(frames)

    def _go_on(self, frames: list[_Frame]) -> None:
        """The next choice of the last frame that has one."""
        self._remember_how_far()
        while frames:
            frame = frames[-1]
            self.books.undo(frame.mark)
            self.done, self.first = set(frame.done), frame.first
            del self.order[frame.length :]
            index = next(frame.choices, None)
            if index is not None:
                assert self._act(index)
                self._take(index)
                return
            frames.pop()
        raise InexplicableError(self.deepest)

    def _take_what_has_no_effect(self) -> None:
        found = True
        while found:
            found = False
            for index in self._frontier():
                mark, before = self.books.mark(), self.books.sum
                if self._act(index) and (self.books.sum == before or self.events[index].outcome.reason):
                    self._take(index)
                    found = True
                else:
                    self.books.undo(mark)

    def _take(self, index: int) -> None:
        self.done.add(index)
        self.order.append(index)
        while self.first in self.done:
            self.first += 1

    def _frontier(self) -> list[int]:
        """Those that may come next: none that is left had ended when they began."""
        ends, near = float("inf"), list[int]()
        for index in range(self.first, len(self.events)):
            if self.events[index].begin > ends:
                break
            if index not in self.done:
                near.append(index)
                ends = min(ends, self.events[index].end)
        return sorted((i for i in near if self.events[i].begin <= ends), key=lambda i: self.events[i].end)

    def _fits(self, index: int) -> bool:
        mark = self.books.mark()
        fits = self._act(index)
        self.books.undo(mark)
        return fits

    def _act(self, index: int) -> bool:
        """Whether the books give its outcome, and its movements their places; if so they have its effect."""
        self._tries += 1
        if self._tries > _MOST_TRIES:
            raise InexplicableError(f"given up after {_MOST_TRIES} tries. {self.deepest}")
        event, mark = self.events[index], self.books.mark()
        operation, named = _operation(event.call), event.outcome.answer(event.call)
        for act in self._ways(event, operation):
            try:
                fits = act(self.books, event.call, named) == event.outcome
                if not fits and event.outcome.again:
                    fits = act(self.books, event.call, named) == event.outcome
            except ContradictionError:
                fits = False
            if fits and self._in_place(mark):
                return True
            self.books.undo(mark)
        return False

    def _ways(self, event: Event, operation: Operation) -> Iterator[Callable[[Books, Call, Message], Outcome]]:
        """A caller is let in before his call has its effect: he may have been erased in between."""
        yield operation.outcome
        if event.begin < self.gone.get(event.call.actor, 0):
            yield operation.act

    def _in_place(self, mark: int) -> bool:
        return all(self.places.get(key[1:]) == version for key, version in self.books.since(mark) if key[0] == "place")

    def _is_all(self) -> bool:
        return dict(self.books.of("place")) == dict(self.places)

    def _remember_how_far(self) -> None:
        if len(self.order) <= self._depth:
            return
        self._depth = len(self.order)
        lines = [f"an order of {self._depth} of {len(self.events)} calls can be found, and none of these comes next:"]
        for index in self._frontier():
            event, mark = self.events[index], self.books.mark()
            try:
                wanted = _operation(event.call).outcome(self.books, event.call, event.outcome.answer(event.call))
                why = f"the books say {wanted.told(event.call)}"
            except ContradictionError as error:
                why = str(error)
            self.books.undo(mark)
            lines.append(f"{event.call}\n    was told {event.outcome.told(event.call)}\n    {why}")
        left = self.places.items() - dict(self.books.of("place")).items()
        lines.append(f"movements that are left: {sorted(left)[:8]}")
        self.deepest = "\n".join(lines)
