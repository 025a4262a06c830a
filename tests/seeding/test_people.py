"""Made-up people: the same from the same seed, and such as the contract allows."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import uuid
from collections import Counter

import protovalidate
import pytest
from banter.v1 import user_pb2

from banter_grpc import values
from banter_grpc.cli import seed as command
from banter_grpc.seeding import people
from banter_grpc.seeding.draws import Draws
from banter_grpc.seeding.people import Person, person
from banter_grpc.seeding.words import REGIONS

MANY = 3000


@pytest.fixture(scope="module")
def crowd() -> list[Person]:
    return [person(1, number) for number in range(people.ADMIN, MANY)]


def test_who_somebody_is_depends_on_seed_and_number_alone() -> None:
    """Written out: other ids or names would be other people to every database that was ever seeded."""
    found = person(1, 7)
    assert (found.id, found.phone_number, found.full_name, found.create_time.isoformat()) == (
        "01896bca-4d97-791d-94a2-a35b2ee70bfa",
        "+919000000007",
        "Joseph Gupta",
        "2023-07-19T01:36:07.575000+00:00",
    )
    assert person(2, 7).id != found.id
    assert person(2, 7).phone_number == found.phone_number, "people type it whatever the seed"


def test_draws_are_within_their_bounds_and_reach_all_of_them() -> None:
    for bound in (1, 2, 7):
        assert {Draws("test", number).below(bound) for number in range(200)} == set(range(bound))
    assert Draws(1, 2, "a").below(2**60) != Draws(1, 2, "b").below(2**60) != Draws(12, "a").below(2**60)


def test_ids_are_uuids_of_the_time_of_signing_up(crowd: list[Person]) -> None:
    for each in crowd:
        made = uuid.UUID(each.id)
        assert (made.version, made.variant, str(made)) == (7, uuid.RFC_4122, each.id)
        assert made.int >> 80 == each.create_time.timestamp() * 1000
        assert each.create_time < people.END
        assert each.create_time <= each.update_time < dt.datetime(2025, 7, 1, tzinfo=dt.UTC)


def test_everybody_is_as_the_contract_allows(crowd: list[Person]) -> None:
    for each in crowd:
        protovalidate.validate(
            user_pb2.User(
                user_id=each.id,
                full_name=each.full_name,
                email=each.email,
                username=each.username,
                avatar=each.avatar,
                bio=each.bio,
                birth_date=each.birth_date.isoformat() if each.birth_date else None,
                timezone=each.timezone,
            )
        )
        values.check_timezone(each.timezone, field="timezone")
        number = values.parse_phone_number(each.phone_number, "+1", field="phone_number")
        assert (number.e164, number.country_code) == (each.phone_number, each.country_code)
        assert (each.host_status == "approved") == bool(each.audio_rate and each.video_rate)
        assert each.audio_rate <= 1000 and each.video_rate <= 1000


def test_nobody_has_what_another_has(crowd: list[Person]) -> None:
    for column in ("id", "phone_number", "email", "username", "firebase_uid"):
        given = [value.lower() for each in crowd if (value := getattr(each, column)) is not None]
        assert len(set(given)) == len(given) > MANY / 2, column


def test_numbers_never_run_into_each_other_however_many_there_are() -> None:
    spans = sorted({(region.first_phone_number, region.country_code) for region in REGIONS})
    for (first, _), (following, _) in itertools.pairwise(spans):
        assert first + people.MOST <= following
    admin = int(people.ADMIN_PHONE_NUMBER)
    assert not any(first <= admin < first + people.MOST for first, _ in spans)
    assert max(len(person(1, people.MOST - number).username or "") for number in range(1, 500)) <= 30
    assert people.MOST == command._MOST


def test_whoever_types_finds_an_admin_hosts_a_moderator_and_users(crowd: list[Person]) -> None:
    known = {each.phone_number: each for each in crowd[: people.PLAIN + 1]}
    assert all(each.is_active for each in known.values())
    assert known.pop("+919876543210").role == "admin"
    assert list(known) == [f"+91900000{number:04d}" for number in range(people.PLAIN)]
    kinds = Counter((each.role, each.host_status) for each in known.values())
    assert kinds == {("user", "none"): 96, ("user", "approved"): 3, ("moderator", "none"): 1}
    assert known["+919000000001"].host_status == known["+919000000003"].host_status == "approved"
    assert known["+919000000004"].role == "moderator"


def test_the_crowd_is_as_mixed_as_a_real_one(crowd: list[Person]) -> None:
    assert {each.host_status for each in crowd} == {"none", "pending", "approved", "rejected"}
    assert {each.gender for each in crowd} == {None, "male", "female", "other", "prefer_not_to_say"}
    assert 0 < sum(not each.is_active for each in crowd) < MANY / 10
    assert {each.country_code for each in crowd} == {region.country_code for region in REGIONS}
    assert len({each.full_name for each in crowd}) > 300
    assert any(re.search("[\u0900-\u097f]", each.full_name) for each in crowd)
