"""JSON web tokens: whether one is good, and made by somebody who is trusted."""

from __future__ import annotations

import base64
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, cast
from uuid import UUID

from banter_grpc.rpc.issuers import Algorithm, Issuer, SubjectKind
from banter_grpc.rpc.jwks import Key
from banter_grpc.rpc.keys import JwksKeys, KeySet

Fault = Literal["malformed", "issuer", "algorithm", "signature", "audience", "subject", "not_yet_valid"]

_MAX_TOKEN = 8192
_MAX_TIME = 253_402_300_799
"""The last second of the year 9999, as a `Timestamp` ends."""
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MAX_SUBJECT: Mapping[SubjectKind, int] = {"user_id": 36, "firebase_uid": 128, "service": 255}


class TokenError(Exception):
    """The token can't be used; the text says why and what to do."""

    def __init__(self, fault: Fault, why: str) -> None:
        super().__init__(f"the token can't be used: {why}")
        self.fault: Fault = fault


class TokenExpiredError(Exception):
    """The token was good, perhaps, and is too old."""

    def __init__(self) -> None:
        super().__init__("the token has expired; ask its issuer for a new one")


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer whose tokens are accepted."""

    issuer: str
    """`iss` of its tokens."""
    audience: str
    """`aud` that its tokens must have, alone or among others."""
    subject: SubjectKind
    """What `sub` of its tokens is."""
    algorithms: Sequence[Algorithm]
    """What it signs with; anything else is refused."""
    key_set: Callable[[], KeySet]
    """Makes a new set of its keys, not started yet."""


def published(issuer: Issuer) -> TrustedIssuer:
    """An issuer of the settings, with the keys that it publishes."""

    def keys() -> JwksKeys:
        return JwksKeys(issuer.keys, issuer.algorithms)

    return TrustedIssuer(issuer.issuer, issuer.audience, issuer.subject, issuer.algorithms, keys)


@dataclass(frozen=True, slots=True)
class Verified:
    """What a good token says."""

    subject_kind: SubjectKind
    subject: str
    """A user_id is in lower case."""
    issuer: str
    expire_time: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, eq=False)
class _Remembered:
    verified: Verified
    key: Key
    keys: KeySet
    good_until: float


class TokenVerifier:
    """Verifies tokens of the given issuers; a good one is remembered until it expires or its key goes.

    `leeway_seconds` is how far clocks may differ, `remember` the number of tokens kept (only their hashes are),
    `now` seconds since 1970.
    """

    def __init__(
        self,
        issuers: Iterable[TrustedIssuer],
        *,
        leeway_seconds: float = 30.0,
        remember: int = 10_000,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuers: dict[str, tuple[TrustedIssuer, KeySet]] = {}
        for issuer in issuers:
            if issuer.issuer in self._issuers:
                raise ValueError(f"issuers: {issuer.issuer} is there twice; an issuer has one audience and one subject")
            self._issuers[issuer.issuer] = (issuer, issuer.key_set())
        self._leeway = leeway_seconds
        self._max_remembered = remember
        self._now = now
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    def start(self) -> None:
        """Begin to fetch keys, in the running event loop."""
        for _, keys in self._issuers.values():
            keys.start()

    async def close(self) -> None:
        """Stop fetching keys."""
        for _, keys in self._issuers.values():
            await keys.close()

    async def verify(self, token: str) -> Verified:
        """What the token says; raises `TokenError`, `TokenExpiredError` or `KeysUnavailableError`."""
        if len(token) > _MAX_TOKEN or not token.isascii():
            raise TokenError("malformed", f"it is no JWT of at most {_MAX_TOKEN} bytes; send it as its issuer made it")
        name = sha256(token.encode()).digest()
        known = self._remembered.get(name)
        if known is not None:
            if self._now() < known.good_until and known.keys.holds(known.key):
                self._remembered.move_to_end(name)
                return known.verified
            del self._remembered[name]
        known = self._remembered[name] = await self._verify(token)
        if len(self._remembered) > self._max_remembered:
            self._remembered.popitem(last=False)
        return known.verified

    async def _verify(self, token: str) -> _Remembered:
        # The cheap questions come first. Until the signature is checked all that a claim can do is have itself refused.
        header, claims = _parse(token)
        trusted = self._issuers.get(_text(claims, "iss"))
        if trusted is None:
            raise TokenError("issuer", "its issuer is not trusted here; ask for one from an issuer that is")
        issuer, keys = trusted
        algorithm = _check_header(header, issuer)
        good_until = self._check_times(claims)
        _check_audience(claims, issuer)
        verified = Verified(issuer.subject, _subject(claims, issuer), issuer.issuer, good_until - self._leeway)
        kid = header.get("kid")
        if not isinstance(kid, str | None):
            raise _malformed("its kid is no text")
        key = _signer(token, await keys.find(kid), algorithm, named=kid is not None)
        return _Remembered(verified, key, keys, good_until)

    def _check_times(self, claims: Mapping[str, object]) -> float:
        """Until when the token is good, leeway included."""
        now = self._now()
        good_until = _seconds(claims, "exp") + self._leeway
        if now >= good_until:
            raise TokenExpiredError
        begins = max(_seconds(claims, "iat"), _seconds(claims, "nbf") if "nbf" in claims else 0)
        if begins > now + self._leeway:
            raise TokenError("not_yet_valid", "it is not valid yet; wait, or set its issuer's clock right")
        return good_until


def canonical_user_id(text: str) -> str | None:
    """A user's id in lower case, as the database has it; None if the text is no UUID in its usual form."""
    return str(UUID(text)) if _UUID.fullmatch(text) else None


def _parse(token: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Header and claims, neither of them trusted yet."""
    if not _COMPACT.fullmatch(token):
        raise _malformed("it is no JWT")
    head, body, _ = token.split(".")
    try:
        header, claims = _json(head), _json(body)
    except (ValueError, RecursionError):
        raise _malformed("it is no JWT") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise _malformed("it is no JWT")
    return cast("Mapping[str, object]", header), cast("Mapping[str, object]", claims)


def _json(segment: str) -> object:
    """The JSON of a segment; `ValueError` for anything that two readers could take for two things."""
    return json.loads(_bytes(segment).decode(), object_pairs_hook=_without_duplicates, parse_constant=_no_constant)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _no_constant(_name: str) -> object:
    raise ValueError


def _bytes(segment: str) -> bytes:
    found = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if base64.urlsafe_b64encode(found).rstrip(b"=") != segment.encode():
        raise ValueError
    return found


def _check_header(header: Mapping[str, object], issuer: TrustedIssuer) -> Algorithm:
    """The algorithm, which is one that the issuer is known to use."""
    if "crit" in header or "b64" in header:
        raise _malformed("its header asks for extensions that are not supported")
    for algorithm in issuer.algorithms:
        if header.get("alg") == algorithm:
            return algorithm
    raise TokenError(
        "algorithm", f"its issuer signs with {' or '.join(issuer.algorithms)} only; ask its issuer for a new one"
    )


def _signer(token: str, keys: Sequence[Key], algorithm: Algorithm, *, named: bool) -> Key:
    """The key that signed the token, of those that may have."""
    fitting = [key for key in keys if key.algorithm == algorithm]
    if keys and not fitting:
        raise TokenError("algorithm", f"its key is not for {algorithm}; ask its issuer for a new one")
    if not fitting or (not named and len(fitting) > 1):
        raise TokenError("signature", "its kid names no key of its issuer; ask its issuer for a new one")
    signed, _, encoded = token.rpartition(".")
    try:
        signature = _bytes(encoded)
    except ValueError:
        raise _malformed("its signature is not written in base64url") from None
    for key in fitting:
        if key.signed(signed.encode(), signature):
            return key
    raise TokenError("signature", "its signature is wrong; ask its issuer for a new one")


def _check_audience(claims: Mapping[str, object], issuer: TrustedIssuer) -> None:
    found = claims.get("aud")
    audiences = cast("list[object]", found) if isinstance(found, list) else [found]
    if issuer.audience not in audiences:
        raise TokenError("audience", f"its audience is not this service; ask for one for {issuer.audience}")


def _subject(claims: Mapping[str, object], issuer: TrustedIssuer) -> str:
    subject = claims.get("sub")
    if isinstance(subject, str) and 0 < len(subject) <= _MAX_SUBJECT[issuer.subject] and subject.isprintable():
        found = canonical_user_id(subject) if issuer.subject == "user_id" else subject
        if found is not None:
            return found
    what = {"user_id": "a user's id, a UUID", "firebase_uid": "a firebase_uid", "service": "the name of a service"}
    raise TokenError("subject", f"its subject must be {what[issuer.subject]}; ask its issuer for such a one")


def _text(claims: Mapping[str, object], name: str) -> str:
    found = claims.get(name)
    if not isinstance(found, str):
        raise _malformed(f"it has no {name}")
    return found


def _seconds(claims: Mapping[str, object], name: str) -> float:
    found = claims.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= _MAX_TIME:
        raise _malformed(f"its {name} is no time in seconds since 1970")
    return float(found)


def _malformed(why: str) -> TokenError:
    return TokenError("malformed", f"{why}; send it as its issuer made it")
