"""Values as the domain writes them: phone numbers, time zones, dates, times."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

import phonenumbers
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from banter_grpc.errors import user as errors
from banter_grpc.ids import LAST_ID

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import (
        _EnumTypeWrapper as EnumTypeWrapper,  # pyright: ignore[reportPrivateUsage] - the generic type of the stubs
    )

E = TypeVar("E", bound=int)

DEFAULT_COUNTRY_CODE: Final = "+91"
"""What a national spelling of a phone number is read by."""

LAST_MICROS: Final = 253_402_300_800_000_000
"""Later than every time: the first second of the year 10000."""
FIRST_MICROS: Final = -62_135_596_800_000_000
"""Earlier than every time: the first second of the year 1."""
NEWEST: Final = (LAST_MICROS, LAST_ID)
"""The cursor before the newest row, of a list by time and id."""

_TIMEZONES = frozenset(zoneinfo.available_timezones())
_EARLIEST_BIRTH = datetime.date(1900, 1, 1)


class PhoneNumber(NamedTuple):
    """A telephone number: ``+919876543210`` of ``+91``."""

    e164: str
    country_code: str


class TextEnum(Generic[E]):
    """An enum of the contract as a column holds it: ``GENDER_OTHER`` is ``other``, ``GENDER_UNSPECIFIED`` NULL."""

    def __init__(self, enum: EnumTypeWrapper[E]) -> None:
        (prefix,) = (name.removesuffix("UNSPECIFIED") for name, number in enum.items() if number == 0)
        self._numbers: dict[str | None, E] = {
            name.removeprefix(prefix).lower() if number else None: number for name, number in enum.items()
        }
        self._texts: dict[E, str | None] = {number: text for text, number in self._numbers.items()}

    def number(self, text: str | None) -> E:
        """The value that a column's text means."""
        return self._numbers[text]

    def text(self, number: E) -> str | None:
        """The text that a column holds for a value."""
        return self._texts[number]

    def texts(self, numbers: Collection[E] = ()) -> list[str]:
        """The texts of values; without any, of all that a column can hold, in the order of the enum."""
        return [text for number, text in self._texts.items() if text and (number in numbers or not numbers)]


def parse_phone_number(text: str, country_code: str, *, field: str) -> PhoneNumber:
    """The number that a text spells; a national spelling is read by `country_code`, such as ``+91``.

    Raises `Refusal` (PHONE_NUMBER_INVALID). Numbers that exist in no numbering plan yet are accepted if their length
    can be right: plans change more often than servers do.
    """
    region = phonenumbers.region_code_for_country_code(int(country_code.removeprefix("+")))
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise errors.phone_number_invalid(field) from None
    if number.extension or not phonenumbers.is_possible_number(number):
        raise errors.phone_number_invalid(field)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return PhoneNumber(e164, f"+{number.country_code}")


def check_timezone(name: str, *, field: str) -> str:
    """The name, if the IANA database has such a time zone; raises `Refusal` (TIMEZONE_UNKNOWN)."""
    if name not in _TIMEZONES:
        raise errors.timezone_unknown(field)
    return name


def check_birth_date(text: str, *, field: str) -> str:
    """The date ``YYYY-MM-DD``, if somebody alive can have been born on it; raises `Refusal` (BIRTH_DATE_INVALID)."""
    try:
        date = datetime.date.fromisoformat(text)
    except ValueError:
        raise errors.birth_date_invalid(field) from None
    if not _EARLIEST_BIRTH <= date <= datetime.datetime.now(datetime.UTC).date():
        raise errors.birth_date_invalid(field)
    return text


def set_timestamp(field: Timestamp, micros: int) -> None:
    """Set a field of the contract to microseconds since 1970-01-01 UTC; in place, which costs half of making one."""
    field.seconds = micros // 1_000_000
    field.nanos = micros % 1_000_000 * 1000


def created_within(request: Message) -> tuple[int, int]:
    """From when until when what a request asks for was made, in microseconds since 1970-01-01 UTC: its
    `create_time_from` and `create_time_until`, or since ever and for ever.
    """
    asked: Any = request
    return (
        _micros_up(asked.create_time_from) if asked.HasField("create_time_from") else FIRST_MICROS,
        _micros_up(asked.create_time_until) if asked.HasField("create_time_until") else LAST_MICROS,
    )


def _micros_up(time: Timestamp) -> int:
    """Rounded up: what the database holds is at or after the time, or before it, just as it is of the rounded one."""
    return time.seconds * 1_000_000 - -time.nanos // 1000
