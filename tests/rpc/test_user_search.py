"""UserService: finding people by name."""

# ruff: noqa: RUF001 - names are written as people write them

from __future__ import annotations

import asyncio
import random
import string
import uuid

import grpc
import psycopg
import pytest
from banter.v1 import user_pb2

from tests.conftest import NewDatabase
from tests.rpc.test_user_accounts import TOMBSTONE
from tests.support.harness import Running, refused, running


def new_word() -> str:
    """A word that no other test has."""
    return "q" + "".join(random.choices(string.ascii_lowercase, k=11))


class Search:
    """Searches, and people to be found."""

    def __init__(self, banter: Running) -> None:
        self.banter = banter

    async def user(self, full_name: str, username: str | None = None) -> str:
        user = await self.banter.new_user(full_name=full_name, username=username)
        return user.user_id

    async def page(self, query: str, **fields: object) -> tuple[list[user_pb2.User], str]:
        request = user_pb2.SearchUsersRequest(query=query, **fields)  # type: ignore[arg-type]
        answer = await self.banter.users.SearchUsers(request, metadata=self.banter.as_service)
        return list(answer.users), answer.next_page_token

    async def ids(self, query: str) -> list[str]:
        users, token = await self.page(query, page_size=200)
        assert token == ""
        return [user.user_id for user in users]


@pytest.fixture
def search(banter: Running) -> Search:
    return Search(banter)


class TestSearchUsers:
    async def test_every_word_begins_one_of_his(self, search: Search) -> None:
        word, other = new_word(), new_word()
        user = await search.user(f"{word.title()} {other.title()}", f"{new_word()}.{word[:5]}_99")
        for query in (
            word,
            word[:8],
            word.upper(),
            f"{other[:7]} {word}",
            f"  {word},{other}!",
            f"@{word}",
            f"{word} 9",
        ):
            assert await search.ids(query) == [user], query
        for query in (word[1:], f"{word}x", f"{word} {new_word()}", f"{word} 8", f"{word}{other}"):
            assert await search.ids(query) == [], query

    @pytest.mark.parametrize(
        ("name", "queries"),
        [
            ("José", ["jose", "JOSE", "Jose\u0301", "josé", "jos"]),
            ("Ümit", ["umit", "ümit", "Ü", "ÜMIT"]),
            ("Ａｓｈａ", ["asha", "ａｓ", "ASHA"]),
            ("asha", ["ＡＳＨＡ"]),
            ("हिन्दी", ["हिन्दी", "हि", "हिन्"]),
            ("ক্ষমা", ["ক্ষ", "ক্ষমা"]),
            ("한국", ["한국", "한"]),
            ("Łukasz", ["Ł", "łukasz"]),
            ("İpek", ["ipek", "İPEK"]),
            ("ﬁnn", ["finn"]),
            ("О'Нил", ["нил", "о"]),
            ("محمّد", ["محمد"]),
            ("Øre-Sund", ["sund", "øre"]),
        ],
    )
    async def test_accents_case_and_width_make_no_difference(
        self, search: Search, name: str, queries: list[str]
    ) -> None:
        mark = new_word()
        user = await search.user(f"{name} {mark}")
        for query in queries:
            assert await search.ids(f"{mark} {query}") == [user], query

    async def test_vowels_of_indic_letters_are_part_of_a_word(self, search: Search) -> None:
        mark = new_word()
        await search.user(f"हल {mark}")
        assert await search.ids(f"{mark} हि") == []

    @pytest.mark.parametrize("query", [".", "@_-", " ", "🙂", "\u0301", "\u200d"])
    async def test_without_a_letter_or_digit_nobody_is_found(self, search: Search, query: str) -> None:
        assert await search.ids(query) == []

    async def test_who_has_several_words_of_the_range_is_shown_once(self, search: Search) -> None:
        word = new_word()
        user = await search.user(f"{word}b {word}a {word}", f"{word}c")
        assert await search.ids(word) == [user]
        assert await search.ids(f"{word}a") == [user]

    @pytest.mark.parametrize("size", [1, 2, 5, 200])
    async def test_all_pages_together_are_the_list_while_users_are_made(self, search: Search, size: int) -> None:
        """Of the two words the first is the rarer one, until the second page: the walk goes on with it."""
        word, second = new_word(), new_word()
        for _ in range(8):
            await search.user(second)
        people = [
            (f"{word}{letter}", await search.user(f"{second} {word}{letter} {word}z"))
            for letter in random.sample("aabbcdd", 7)
        ]
        expected = [user_id for _, user_id in sorted(people)]
        seen: list[str] = []
        token = ""
        for _ in range(8):
            shown, token = await search.page(f"{word} {second[:9]}", page_size=size, page_token=token)
            assert len(shown) <= size
            seen += [user.user_id for user in shown]
            if not token:
                break
            await search.user(f"{second} {word} {word}x {word}y")  # before all that are seen
        assert seen == expected

    async def test_a_renamed_user_is_found_at_once_by_his_new_name_only(self, search: Search) -> None:
        old, new, handle = new_word(), new_word(), new_word()
        user_id = await search.user(f"Asha {old}", handle)
        change = user_pb2.UpdateUserRequest(user=user_pb2.User(user_id=user_id, full_name=f"Asha {new}"))
        await search.banter.users.UpdateUser(change, metadata=search.banter.as_service)
        assert await search.ids(new) == await search.ids(handle) == [user_id]
        assert await search.ids(f"{handle} {new}") == [user_id]
        assert await search.ids(old) == []

    async def test_fifty_renames_at_once_leave_the_words_of_the_last(self, search: Search) -> None:
        word = new_word()
        user_id = await search.user(word)

        async def rename(number: int) -> None:
            new = user_pb2.User(user_id=user_id, full_name=f"{word} n{number}x")
            if number % 2:
                new = user_pb2.User(user_id=user_id, username=f"{word}.u{number}")
            await search.banter.users.UpdateUser(
                user_pb2.UpdateUserRequest(user=new), metadata=search.banter.as_service
            )

        async with asyncio.timeout(30):
            await asyncio.gather(*map(rename, range(50)))
        ((user,), _) = await search.page(word)
        words = sorted({*user.full_name.split(), *user.username.split(".")})
        async with await psycopg.AsyncConnection.connect(search.banter.owner_url) as connection:
            rows = await connection.execute("SELECT word FROM user_words WHERE user_id = %s ORDER BY word", [user_id])
            assert [found for (found,) in await rows.fetchall()] == words

    async def test_only_who_is_active_is_found(self, search: Search) -> None:
        word = new_word()
        idle, gone, active = [await search.user(f"{word} {name}") for name in ("Idle", "Gone", "Active")]
        await search.banter.set_columns(idle, is_active=False)
        await search.banter.set_columns(gone, **TOMBSTONE)
        assert await search.ids(word) == [active]
        await search.banter.set_columns(idle, is_active=True)
        assert set(await search.ids(word)) == {active, idle}

    async def test_a_user_sees_no_personal_data_of_others(self, banter: Running, search: Search) -> None:
        word = new_word()
        await search.user(word)
        metadata = banter.as_user((await banter.new_user()).user_id)
        answer = await banter.users.SearchUsers(user_pb2.SearchUsersRequest(query=word), metadata=metadata)
        assert [(user.full_name, user.phone_number) for user in answer.users] == [(word, "")]

    async def test_a_token_is_good_for_the_same_query_only(self, search: Search) -> None:
        word = new_word()
        for _ in range(2):
            await search.user(word)
        _, token = await search.page(word, page_size=1)
        for query, sent in ((word[:-1], token), (word, "x")):
            failure = await refused(search.page(query, page_token=sent))
            assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")

    @pytest.mark.parametrize("query", ["", "x" * 101, "a\x00b"], ids=["empty", "long", "nul"])
    async def test_a_query_has_one_to_a_hundred_characters(self, search: Search, query: str) -> None:
        failure = await refused(search.page(query))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
        assert failure.message.startswith("query: ")

    @pytest.mark.parametrize(
        "text", ["\ufdfa" * 100, "a b c d e f g h i j k l m n o p q r s t u v w x y z", "%_\\" * 9, "𠀀" * 100]
    )
    async def test_any_name_can_be_kept_and_any_query_answered(self, search: Search, text: str) -> None:
        await search.user(text)
        await search.page(text)


MAKE = "COPY users (id, phone_number, country_code, full_name, timezone, create_time, update_time) FROM STDIN"


async def test_who_comes_by_copy_is_found_too(search: Search) -> None:
    word, user_id = new_word(), str(uuid.uuid4())
    phone = f"+97{uuid.uuid4().int % 10**10:010d}"
    async with (
        await psycopg.AsyncConnection.connect(search.banter.owner_url) as connection,
        connection.cursor().copy(MAKE) as copy,
    ):
        await copy.write_row([user_id, phone, "+91", f"Asha {word}", "UTC", "2026-01-01Z", "2026-01-01Z"])
    assert await search.ids(word) == [user_id]


CROWDED = """
INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)
SELECT
    lpad(to_hex(n), 32, '0')::uuid,
    '+91' || (5000000000 + n),
    '+91',
    CASE WHEN n IN (1, 5000, 5001) THEN 'Lakshmi Rahman' WHEN n <= 5001 THEN 'Lakshmi Wei' ELSE 'Rahman' END,
    'Asia/Kolkata',
    clock(),
    clock()
FROM generate_series(1, 10001) AS n
"""
"""Of 5,001 users with the one word three have the other too, which is as common: the first, and those on either side of
the 5,000th place.
"""


async def test_a_page_looks_at_5000_words_and_the_next_goes_on_there(new_database: NewDatabase) -> None:
    database = new_database()
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        owner.execute(CROWDED)
        async with running(database.owner_url, database.service_url) as banter:

            async def pages(size: int) -> list[list[int]]:
                token, found = "", list[list[int]]()
                while (token or not found) and len(found) < 5:
                    users, token = await Search(banter).page("rahman lakshmi", page_size=size, page_token=token)
                    found.append([uuid.UUID(user.user_id).int for user in users])
                return found

            assert await pages(200) == await pages(2) == [[1, 5000], [5001]]
            assert await pages(1) == [[1], [5000], [5001]]
            owner.execute("UPDATE users SET is_active = FALSE WHERE id = %s", [uuid.UUID(int=5000)])
            assert await pages(200) == await pages(2) == [[1], [5001]]
            owner.execute("UPDATE users SET is_active = FALSE WHERE id = %s", [uuid.UUID(int=1)])
            assert await pages(200) == [[], [5001]]
