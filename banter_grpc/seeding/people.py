"""Made-up people: who number n of a seed is, without asking anybody."""

from __future__ import annotations

import datetime as dt
from typing import Final, NamedTuple

from banter_grpc.seeding.draws import Draws
from banter_grpc.seeding.words import BIOS, INDIA, REGIONS, Region, Word

MOST: Final = 5_000_000
"""More people would run out of phone numbers."""

ADMIN: Final = -1
"""The number of the admin, who is made beside people 0, 1, 2, ..."""

ADMIN_PHONE_NUMBER: Final = "+919876543210"
FIRST_PHONE_NUMBER: Final = f"+{INDIA.first_phone_number}"

HOSTS: Final = range(1, 4)
MODERATOR: Final = 4
PLAIN: Final = 100
"""People below this number have Indian phone numbers, one after the other, and but for these three hosts and the
moderator they are active users and nothing else: for whoever types."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_BEGIN: Final = dt.datetime(2022, 7, 1, tzinfo=dt.UTC)
END: Final = dt.datetime(2024, 7, 1, tzinfo=dt.UTC)
"""Everybody signed up before: whoever came later was not made here."""

_DAY_MS: Final = 86_400_000
_MILLISECOND: Final = dt.timedelta(milliseconds=1)
_BEGIN_MS: Final = (_BEGIN - _EPOCH) // _MILLISECOND
_SPAN_MS: Final = (END - _BEGIN) // _MILLISECOND
_LAST_BIRTH: Final = dt.date(2004, 6, 30)
_MAIL: Final = ("example.com", "example.org", "example.net")


class Person(NamedTuple):
    """Somebody made up, with the columns of `users`."""

    seed: int
    number: int
    id: str
    phone_number: str
    country_code: str
    full_name: str
    email: str | None
    username: str | None
    avatar: str | None
    bio: str | None
    gender: str | None
    birth_date: dt.date | None
    role: str
    firebase_uid: str | None
    timezone: str
    is_verified: bool
    is_active: bool
    host_status: str
    audio_rate: int
    video_rate: int
    create_time: dt.datetime
    update_time: dt.datetime

    def draws(self, what: str) -> Draws:
        """Choices about this person that no other step makes: `what` is the step's table."""
        return Draws(self.seed, self.number, what)

    @property
    def is_typed(self) -> bool:
        """Whether he is one of those whom people type: the admin, and who has a number below `PLAIN`."""
        return self.number < PLAIN


class _Host(NamedTuple):
    status: str = "none"
    audio_rate: int = 0
    video_rate: int = 0


def person(seed: int, number: int) -> Person:
    """Person `number` of a seed: he is the same whoever else is made."""
    draws = Draws(seed, number, "users")
    created = _BEGIN_MS + max(draws.below(_SPAN_MS), draws.below(_SPAN_MS))  # more and more sign up
    user_id = uuid7(created, draws.below(1 << 74))
    create_time = _EPOCH + dt.timedelta(milliseconds=created)
    region = _region(draws, number)
    is_woman = draws.happens(50)
    given, family = draws.one_of(region.women if is_woman else region.men), draws.one_of(region.families)
    handle = _handle(given, family, number)
    host = _host(draws, number)
    return Person(
        seed=seed,
        number=number,
        id=user_id,
        phone_number=phone_number(region, number),
        country_code=region.country_code,
        full_name=f"{given.text} {family.text}",
        email=f"{handle}@{draws.one_of(_MAIL)}" if draws.happens(60) else None,
        username=handle if draws.happens(75) else None,
        avatar=f"https://avatars.example.com/{draws.below(1000)}.jpg" if draws.happens(60) else None,
        bio=draws.one_of(BIOS) if draws.happens(40) else None,
        gender=_gender(draws, is_woman=is_woman),
        birth_date=_birth_date(draws) if draws.happens(70) else None,
        role=_role(draws, number),
        firebase_uid=_firebase_uid(seed, number) if draws.happens(90) else None,
        timezone=draws.one_of(region.timezones),
        is_verified=draws.happens(20) or host.status == "approved",
        is_active=draws.happens(97) or number < PLAIN,
        host_status=host.status,
        audio_rate=host.audio_rate,
        video_rate=host.video_rate,
        create_time=create_time,
        update_time=create_time + dt.timedelta(milliseconds=draws.below(300 * _DAY_MS)),
    )


def phone_number(region: Region, number: int) -> str:
    """The same for a number whatever the seed, so that people know whom to type."""
    return ADMIN_PHONE_NUMBER if number == ADMIN else f"+{region.first_phone_number + number}"


def id_of(draws: Draws, at: dt.datetime) -> str:
    """The id of something of this time."""
    return uuid7((at - _EPOCH) // _MILLISECOND, draws.below(1 << 74))


def between(draws: Draws, first: dt.datetime, last: dt.datetime) -> dt.datetime:
    """A time from the first to the last, to the millisecond."""
    return first + draws.below((last - first) // _MILLISECOND + 1) * _MILLISECOND


def uuid7(milliseconds: int, random: int) -> str:
    """A UUIDv7 (RFC 9562) of a time since 1970 and 74 random bits."""
    value = milliseconds << 80 | 7 << 76 | (random >> 62) << 64 | 2 << 62 | random & ((1 << 62) - 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _region(draws: Draws, number: int) -> Region:
    place = draws.below(100)
    if number < PLAIN:
        return INDIA
    for region in REGIONS:
        place -= region.percent
        if place < 0:
            return region
    raise AssertionError("their percents make 100")


def _handle(given: Word, family: Word, number: int) -> str:
    """Nobody else's: no name has a digit, and no two people a number."""
    return "seed.admin" if number == ADMIN else f"{given.handle}.{family.handle}{number}"


def _gender(draws: Draws, *, is_woman: bool) -> str | None:
    place = draws.below(100)
    if place < 70:
        return "female" if is_woman else "male"
    return {70: "other", 71: "prefer_not_to_say", 72: "prefer_not_to_say"}.get(place)


def _birth_date(draws: Draws) -> dt.date:
    return _LAST_BIRTH - dt.timedelta(days=min(draws.below(50 * 365), draws.below(50 * 365)))  # mostly young


def _role(draws: Draws, number: int) -> str:
    drawn = draws.below(2000)
    if number == ADMIN:
        return "admin"
    return "moderator" if number == MODERATOR or (drawn == 0 and number >= PLAIN) else "user"


def _host(draws: Draws, number: int) -> _Host:
    place, audio, factor = draws.below(200), 5 * (1 + draws.below(12)), 2 + draws.below(2)
    if number in HOSTS or (place < 10 and number >= PLAIN):
        return _Host("approved", audio, audio * factor)
    if number < PLAIN:
        return _Host()
    return _Host({10: "pending", 11: "pending", 12: "rejected"}.get(place, "none"))


def _firebase_uid(seed: int, number: int) -> str:
    return f"{Draws(seed, number, 'firebase_uid').below(1 << 112):028x}"
