"""What every list promises about its pages, as checks of any list: `Subject` is one, and somebody to list it."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from tests.support.harness import Failure, failure_of

PAGING = ("page_size", "page_token", "skip")
ROWS = 12
_MOST_PAGES = 500


@dataclass(frozen=True)
class Subject:
    """A list with rows in it, and two callers, 0 and 1, of whom each may list what is his."""

    method: MethodDescriptor
    ask: Callable[[Message, int], Awaitable[Any]]
    request: Callable[[int], Message]
    """What a caller asks, without a page."""
    other: Message | None
    """What caller 0 may ask with other arguments; None where there are none."""
    add: Callable[[int], Awaitable[None]]
    """Adds so many rows to the list of caller 0."""
    expected: Callable[[], Awaitable[list[str]]]
    """The ids of that list, in its order, read behind the RPC's back."""
    id_of: Callable[[Any], str]
    default: int
    maximum: int

    async def page(self, request: Message | None = None, who: int = 0, **fields: object) -> tuple[list[str], str]:
        """The ids of a page, and the token of the next one."""
        asked = type(self.request(0))()
        asked.CopyFrom(request if request is not None else self.request(who))
        for name, value in fields.items():
            setattr(asked, name, value)
        answer = await self.ask(asked, who)
        return [self.id_of(row) for row in getattr(answer, items_of(self.method).name)], answer.next_page_token

    async def walk(self, size: int, between: Callable[[int], Awaitable[None]] | None = None) -> list[list[str]]:
        """The ids of all pages; `between` is called after each with its number."""
        pages: list[list[str]] = []
        token = ""
        while len(pages) < _MOST_PAGES:
            ids, token = await self.page(page_size=size, page_token=token)
            pages.append(ids)
            if not token:
                return pages
            assert ids, "a page that is not the last one has rows"
            if between is not None:
                await between(len(pages))
        raise AssertionError(f"no end after {_MOST_PAGES} pages")

    async def refusal(self, request: Message | None = None, who: int = 0, **fields: object) -> Failure | None:
        """How a page is refused; None if it is not."""
        try:
            await self.page(request, who, **fields)
        except grpc.aio.AioRpcError as error:
            return failure_of(error)
        return None


def is_list(method: MethodDescriptor) -> bool:
    """Whether a method has pages."""
    return "page_token" in method.input_type.fields_by_name and "next_page_token" in method.output_type.fields_by_name


def items_of(method: MethodDescriptor) -> FieldDescriptor:
    """The field that holds a page's rows: a list answers with one repeated field."""
    (field,) = (field for field in method.output_type.fields if field.is_repeated)
    return field


async def all_pages_together_are_the_list(subject: Subject) -> None:
    """In order, whatever the size of the pages; and the last page says that it is."""
    expected = await subject.expected()
    assert len(expected) >= ROWS and len(set(expected)) == len(expected), "the maker of rows does its work"
    for size in (1, 3, subject.maximum):
        pages = await subject.walk(size)
        assert [id_ for page in pages for id_ in page] == expected
        assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
        assert 0 < len(pages[-1]) <= size


async def inserts_hide_nobody_and_show_nobody_twice(subject: Subject) -> None:
    """Who was there all the time is shown once, in his place; who comes meanwhile once or not at all."""
    there = [id_ for page in await subject.walk(subject.maximum) for id_ in page]

    async def insert(pages: int) -> None:
        if pages <= 3:
            await subject.add(2)

    seen = [id_ for page in await subject.walk(3, insert) for id_ in page]
    assert len(set(seen)) == len(seen), "nobody is shown twice"
    assert [id_ for id_ in seen if id_ in set(there)] == there, "nobody is missed or moved"
    assert len(await subject.expected()) >= len(there) + 2, "the maker of rows does its work"


async def the_size_of_a_page_is_bounded(subject: Subject) -> None:
    """By the default, by the maximum, and from below by the contract."""
    expected = await subject.expected()
    for size, shown in ((0, subject.default), (subject.maximum + 1, subject.maximum), (2**31 - 1, subject.maximum)):
        ids, _ = await subject.page(page_size=size)
        assert ids == expected[:shown], size
    for size in (-1, -(2**31)):
        refusal = await subject.refusal(page_size=size)
        assert refusal is not None and refusal.reason == "REQUEST_INVALID", size
        assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
        assert [field for field, _ in refusal.violations] == ["page_size"]


async def a_token_is_good_for_its_list_only(subject: Subject) -> None:
    """Not for another caller, not for other arguments, and not if a bit of it is another."""
    _, token = await subject.page(page_size=3)
    assert await subject.refusal(page_token=token, page_size=2) is None, "the size may change"
    _refused(await subject.refusal(page_token=token, who=1), "another caller")
    if subject.other is None:
        own = {field.name for field in subject.method.input_type.fields}.difference(PAGING, ("user_id",))
        assert not own, f"a request with other {', '.join(sorted(own))} has to be registered"
    else:
        assert await subject.refusal(subject.other) is None, "the other arguments are as good as these"
        _refused(await subject.refusal(subject.other, page_token=token), "other arguments")
    for changed in _changed(token):
        _refused(await subject.refusal(page_token=changed), changed)
    for garbage in ("AAAA", "x", "====", f"{token}x" * 3, token[:-6]):
        _refused(await subject.refusal(page_token=garbage), garbage)


async def skipping_leaves_out_so_many(subject: Subject) -> None:
    """Where a list has `skip`: the page after so many rows."""
    if "skip" not in subject.method.input_type.fields_by_name:
        return
    expected = await subject.expected()
    for skip in (1, 5, len(expected) - 1, len(expected), len(expected) + 100):
        ids, _ = await subject.page(page_size=3, skip=skip)
        assert ids == expected[skip : skip + 3]


CHECKS = (
    all_pages_together_are_the_list,
    the_size_of_a_page_is_bounded,
    a_token_is_good_for_its_list_only,
    skipping_leaves_out_so_many,
    inserts_hide_nobody_and_show_nobody_twice,
)
"""All of them; the last one leaves more rows than it found."""


def _refused(refusal: Failure | None, what: str) -> None:
    assert refusal is not None, f"{what}: not refused"
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID"), what


def _changed(token: str) -> list[str]:
    """The token with one bit changed in each of its bytes."""
    signed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    return [
        base64.urlsafe_b64encode(signed[:place] + bytes([byte ^ 1 << place % 8]) + signed[place + 1 :])
        .rstrip(b"=")
        .decode()
        for place, byte in enumerate(signed)
    ]
