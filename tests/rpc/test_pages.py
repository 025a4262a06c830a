"""Page tokens: what one is good for, and that nobody can make one up."""

from __future__ import annotations

import base64
import secrets

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from banter_grpc.errors import Refusal
from banter_grpc.pages import Cursor, Page, Pages


def _requests():
    """Requests of two lists with equal fields: a query, and what every list has."""
    file = descriptor_pb2.FileDescriptorProto(name="pages.proto", package="pages", syntax="proto3")
    for name in ("ListThings", "ListOthers"):
        message = file.message_type.add(name=f"{name}Request")
        for number, (field, kind) in enumerate((("query", 9), ("page_size", 5), ("page_token", 9), ("skip", 5)), 1):
            message.field.add(name=field, number=number, type=kind, label=1)  # type: ignore[arg-type]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # pyright: ignore[reportDeprecated]
    return [
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"pages.{name}Request"))
        for name in ("ListThings", "ListOthers")
    ]


Things, Others = _requests()
FIRST: Cursor = (-1, "")
ROWS = [(number, f"row {number}") for number in range(7)]


@pytest.fixture
def pages() -> Pages:
    made = Pages(default=3, maximum=5)
    made.load(secrets.token_bytes(32))
    return made


def fetch(page: Page) -> tuple[list[tuple[int, str]], str]:
    shown, token = page.cut([row for row in ROWS if row > tuple(page.cursor)][: page.limit], lambda row: row)
    return list(shown), token


def token_of(pages: Pages, actor: str | None = "a", **fields: object) -> str:
    return fetch(pages.open(Things(**fields), actor, FIRST))[1]


def test_all_pages_together_are_the_list(pages: Pages) -> None:
    for size in (1, 2, 3, 4, 5, 7, 100):
        seen: list[tuple[int, str]] = []
        token = ""
        for _ in range(len(ROWS) + 1):
            shown, token = fetch(pages.open(Things(page_size=size, page_token=token), "a", FIRST))
            assert len(shown) <= min(size, 5)
            seen += shown
            if not token:
                break
        assert seen == ROWS


def test_a_page_has_the_default_size_and_never_more_than_the_maximum(pages: Pages) -> None:
    assert pages.open(Things(), "a", FIRST).size == 3
    assert pages.open(Things(page_size=1000), "a", FIRST).size == 5


def test_the_size_may_change_from_page_to_page(pages: Pages) -> None:
    token = token_of(pages, page_size=2)
    assert fetch(pages.open(Things(page_size=5, page_token=token), "a", FIRST))[0] == ROWS[2:]


@pytest.mark.parametrize("fault", ["list", "argument", "caller", "key"])
def test_a_token_is_good_for_nothing_else(pages: Pages, fault: str) -> None:
    token = token_of(pages, query="asha")
    kind = Others if fault == "list" else Things
    request = kind(query="rao" if fault == "argument" else "asha", page_token=token)
    if fault == "key":
        pages.load(secrets.token_bytes(32))
    with pytest.raises(Refusal, match="page_token: is no token of this list") as refusal:
        pages.open(request, "b" if fault == "caller" else "a", FIRST)
    assert refusal.value.reason == "PAGE_TOKEN_INVALID"


def test_no_changed_token_is_taken(pages: Pages) -> None:
    signed = base64.urlsafe_b64decode(token_of(pages) + "==")
    for place in range(len(signed)):
        changed = bytes(byte ^ (number == place) for number, byte in enumerate(signed))
        with pytest.raises(Refusal):
            pages.open(Things(page_token=base64.urlsafe_b64encode(changed).rstrip(b"=").decode()), "a", FIRST)


@pytest.mark.parametrize("text", ["x", "====", "ä", "AAAA", "A" * 4000, " ", "null", "W10"])
def test_garbage_is_refused(pages: Pages, text: str) -> None:
    with pytest.raises(Refusal):
        pages.open(Things(page_token=text), "a", FIRST)


def test_a_token_of_an_older_shape_of_the_list_is_refused(pages: Pages) -> None:
    with pytest.raises(Refusal):
        pages.open(Things(page_token=token_of(pages)), "a", ("",))


def test_a_token_of_another_process_is_taken() -> None:
    key = secrets.token_bytes(32)
    one, other = Pages(default=3), Pages(default=3)
    one.load(key)
    other.load(key)
    assert fetch(other.open(Things(page_token=token_of(one)), "a", FIRST))[0] == ROWS[3:6]
