"""Tokens: what is accepted, and each way in which one is refused."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import TypeAdapter, ValidationError

from banter_grpc.rpc.issuers import Algorithm, Issuer
from banter_grpc.rpc.keys import JwksKeys, KeysUnavailableError
from banter_grpc.rpc.tokens import (
    TokenError,
    TokenExpiredError,
    TokenVerifier,
    Verified,
    canonical_user_id,
    published,
)
from tests.rpc.signing import (
    AUDIENCE,
    ISSUER,
    NOW,
    USER_ID,
    Clock,
    Trust,
    good_claims,
    jwks,
    segment,
    signer,
)

ALL: tuple[Algorithm, ...] = ("RS256", "ES256", "EdDSA")
Publish = Callable[..., JwksKeys]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def publish(tmp_path: Path, clock: Clock) -> Publish:
    """Publishes a document in a file, and gives the keys that read it."""

    def made(document: bytes, algorithms: Sequence[Algorithm] = ("RS256",)) -> JwksKeys:
        file = tmp_path / "keys.json"
        file.write_bytes(document)
        return JwksKeys(str(file), algorithms, clock=clock)

    return made


@pytest.fixture
def verifier(publish: Publish, clock: Clock) -> TokenVerifier:
    """Trusts the RS256 signers `one` and `two`."""
    return TokenVerifier([Trust(publish(jwks(signer("one"), signer("two"))))], now=clock)


async def _fault(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(TokenError) as refused:
        await verifier.verify(token)
    text = str(refused.value)
    assert text.startswith("the token can't be used: ")
    assert "; " in text
    assert "\n" not in text
    return refused.value.fault


@pytest.mark.parametrize("algorithm", ALL)
async def test_a_token_of_each_algorithm_is_accepted(publish: Publish, clock: Clock, algorithm: Algorithm) -> None:
    one = signer("one", algorithm)
    verifier = TokenVerifier([Trust(publish(jwks(one), [algorithm]), algorithms=(algorithm,))], now=clock)
    assert await verifier.verify(one.token()) == Verified("user_id", USER_ID, ISSUER, NOW + 3600)


async def test_a_firebase_token_is_accepted_as_it_is(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(jwks(signer("f00d")))
    issuer = Issuer(
        issuer="https://securetoken.google.com/banter-app",
        audience="banter-app",
        subject="firebase_uid",
        keys=str(file),
    )
    token = signer("f00d").token(
        iss=issuer.issuer,
        aud="banter-app",
        sub="Zk3fJ8aQ1nXyT5uVwB7cD9eF2gH4",
        user_id="Zk3fJ8aQ1nXyT5uVwB7cD9eF2gH4",
        auth_time=int(NOW) - 50,
        phone_number="+919876543210",
        firebase={"identities": {"phone": ["+919876543210"]}, "sign_in_provider": "phone"},
    )
    found = await TokenVerifier([published(issuer)], now=clock).verify(token)
    assert (found.subject_kind, found.subject) == ("firebase_uid", "Zk3fJ8aQ1nXyT5uVwB7cD9eF2gH4")


async def test_each_issuer_has_its_own_keys_and_its_own_subject(publish: Publish, tmp_path: Path, clock: Clock) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(jwks(signer("two")))
    users = Trust(publish(jwks(signer("one"))))
    services = Trust(JwksKeys(str(other), ["RS256"]), issuer="https://services.test", subject="service")
    verifier = TokenVerifier([users, services], now=clock)
    found = await verifier.verify(signer("two").token(iss=services.issuer, sub="gateway"))
    assert (found.subject_kind, found.subject, found.issuer) == ("service", "gateway", services.issuer)
    assert await _fault(verifier, signer("two").token()) == "signature"
    assert await _fault(verifier, signer("one").token(iss=services.issuer)) == "signature"


async def test_one_issuer_cannot_be_trusted_twice(publish: Publish) -> None:
    trust = Trust(publish(jwks(signer("one"))))
    with pytest.raises(ValueError, match="is there twice"):
        TokenVerifier([trust, trust])


GARBAGE = {
    "nothing": "",
    "no segments": "token",
    "two segments": "e30.e30",
    "four segments": "e30.e30.e30.e30",
    "no base64url": "e3 .e30.e30",
    "base64 of the other alphabet": "e30.e30+/.e30",
    "padding": signer("one").token() + "=",
    "one character too many": "e30aa.e30.e30",
    "bits that mean nothing": "e31.e30.e30",
    "a header that is no JSON": f"{segment(b'{')}.e30.",
    "a header that is no object": f"{segment([])}.e30.",
    "claims that are no object": f"e30.{segment('x')}.",
    "claims that are no text": "e30." + segment(b'{"a": "\xff"}') + ".",
    "claims in UTF-16": f"e30.{segment(json.dumps(good_claims()).encode('utf-16'))}.",
    "a deep nest": f"e30.{segment(b'[' * 5000)}.",
    "a number without end": "e30." + segment(b'{"exp": ' + b"9" * 5000 + b"}") + ".",
    "a token longer than 8 KiB": signer("one").token(padding="x" * 8192),
    "other letters": "ä" * 20,
    "half a letter": "\ud800",
}


@pytest.mark.parametrize("what", list(GARBAGE))
async def test_what_is_no_token_is_malformed(verifier: TokenVerifier, what: str) -> None:
    assert await _fault(verifier, GARBAGE[what]) == "malformed"


def _claims(text: str) -> str:
    """A token of signer one whose claims are exactly this text."""
    return jwt.PyJWS().encode(text.encode(), signer("one").private, "RS256", headers={"kid": "one"})


WRONG_CLAIMS: dict[str, tuple[Mapping[str, object], str]] = {
    "no exp": ({"exp": None}, "malformed"),
    "an exp that is text": ({"exp": "1900000000"}, "malformed"),
    "an exp that is true": ({"exp": True}, "malformed"),
    "an exp past every calendar": ({"exp": 1e300}, "malformed"),
    "an exp before 1970": ({"exp": -1}, "malformed"),
    "no iat": ({"iat": None}, "malformed"),
    "an iat that is text": ({"iat": "now"}, "malformed"),
    "an iat to come": ({"iat": NOW + 31}, "not_yet_valid"),
    "an nbf that is text": ({"nbf": "now"}, "malformed"),
    "an nbf to come": ({"nbf": NOW + 31}, "not_yet_valid"),
    "no iss": ({"iss": None}, "malformed"),
    "an iss that is a list": ({"iss": [ISSUER]}, "malformed"),
    "an unknown iss": ({"iss": "https://other.test"}, "issuer"),
    "an iss in another spelling": ({"iss": ISSUER + "/"}, "issuer"),
    "no aud": ({"aud": None}, "audience"),
    "another aud": ({"aud": "bantering"}, "audience"),
    "several other auds": ({"aud": ["a", "b", ["banter"]]}, "audience"),
    "an aud that is an object": ({"aud": {"banter": 1}}, "audience"),
    "no sub": ({"sub": None}, "subject"),
    "an empty sub": ({"sub": ""}, "subject"),
    "a sub that is a number": ({"sub": 7}, "subject"),
    "a sub that is no UUID": ({"sub": "zoe"}, "subject"),
    "a UUID in another form": ({"sub": USER_ID.replace("-", "")}, "subject"),
}


@pytest.mark.parametrize("what", list(WRONG_CLAIMS))
async def test_a_token_with_a_wrong_claim_is_refused_by_its_fault(verifier: TokenVerifier, what: str) -> None:
    changes, fault = WRONG_CLAIMS[what]
    claims = json.dumps(good_claims(**changes))
    assert await _fault(verifier, _claims(claims)) == fault


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400"])
async def test_a_time_that_is_no_number_is_malformed(verifier: TokenVerifier, number: str) -> None:
    claims = json.dumps(good_claims(exp="?")).replace('"?"', number)
    assert await _fault(verifier, _claims(claims)) == "malformed"


async def test_a_claim_that_is_there_twice_is_malformed(verifier: TokenVerifier) -> None:
    claims = json.dumps(good_claims())[:-1] + ', "sub": "1199f3b2-6b1c-7c3e-9d5a-5d0c8f2a4e10"}'
    assert await _fault(verifier, _claims(claims)) == "malformed"


async def test_a_header_that_says_its_algorithm_twice_is_malformed(verifier: TokenVerifier) -> None:
    head, body, signature = signer("one").token().split(".")
    header = segment(b'{"alg": "none", "kid": "one", "alg": "RS256"}')
    assert await _fault(verifier, f"{header}.{body}.{signature}") == "malformed"
    assert await _fault(verifier, f"{head}.{body}") == "malformed"


@pytest.mark.parametrize("header", [{"crit": ["x"], "x": 1}, {"crit": []}, {"b64": False}])
async def test_a_header_that_asks_for_extensions_is_malformed(
    verifier: TokenVerifier, header: Mapping[str, object]
) -> None:
    _, body, signature = signer("one").token().split(".")
    token = f"{segment({'alg': 'RS256', 'kid': 'one', **header})}.{body}.{signature}"
    assert await _fault(verifier, token) == "malformed"


@pytest.mark.parametrize("kid", [1, ["one"], None])
async def test_a_kid_that_is_no_text_is_refused(verifier: TokenVerifier, kid: object) -> None:
    _, body, signature = signer("one").token().split(".")
    token = f"{segment({'alg': 'RS256', 'kid': kid})}.{body}.{signature}"
    # A kid of null is like none, which with two keys names neither.
    assert await _fault(verifier, token) == ("signature" if kid is None else "malformed")


@pytest.mark.parametrize("algorithm", ["none", "None", "", "HS256", "RS512", "PS256", "ES256", None, ["RS256"]])
async def test_an_algorithm_that_is_not_pinned_is_refused(verifier: TokenVerifier, algorithm: object) -> None:
    body = segment(good_claims())
    for signature in ("", segment(b"x" * 64)):
        token = f"{segment({'alg': algorithm, 'kid': 'one'})}.{body}.{signature}"
        assert await _fault(verifier, token) == "algorithm"


async def test_a_token_signed_with_a_public_key_as_if_it_were_a_secret_is_refused(
    verifier: TokenVerifier,
) -> None:
    public = signer("one").private.public_key()
    for secret in (public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), jwks(signer("one"))):
        signed = f"{segment({'alg': 'HS256', 'kid': 'one'})}.{segment(good_claims())}"
        token = f"{signed}.{segment(hmac.digest(secret, signed.encode(), 'sha256'))}"
        assert await _fault(verifier, token) == "algorithm"


async def test_an_algorithm_that_is_pinned_but_not_the_keys_is_refused(publish: Publish, clock: Clock) -> None:
    keys = publish(jwks(signer("one"), signer("two", "ES256")), ALL)
    verifier = TokenVerifier([Trust(keys, algorithms=ALL)], now=clock)
    token = signer("two", "ES256").token(header={"kid": "one"})
    assert await _fault(verifier, token) == "algorithm"
    assert (await verifier.verify(signer("two", "ES256").token())).subject == USER_ID


async def test_a_tampered_token_is_refused(verifier: TokenVerifier) -> None:
    head, body, signature = signer("one").token().split(".")
    other = segment(good_claims(sub="1199f3b2-6b1c-7c3e-9d5a-5d0c8f2a4e10"))
    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
    for token in (
        f"{head}.{other}.{signature}",
        f"{head}.{body}.{flipped}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:40]}",
        f"{segment({'alg': 'RS256', 'kid': 'one', 'typ': 'x'})}.{body}.{signature}",
    ):
        assert await _fault(verifier, token) == "signature"
    assert await verifier.verify(f"{head}.{body}.{signature}")


async def test_a_signature_has_one_spelling(verifier: TokenVerifier) -> None:
    token = signer("one").token()
    # The last letter of 256 bytes carries four bits that mean nothing.
    other = chr(ord(token[-1]) + 1)
    assert token[-1] in "AQgw"
    assert await _fault(verifier, token[:-1] + other) == "malformed"


async def test_a_token_under_the_kid_of_another_key_is_refused(verifier: TokenVerifier) -> None:
    assert await _fault(verifier, signer("one").token(header={"kid": "two"})) == "signature"
    assert await _fault(verifier, signer("one").token(header={"kid": "three"})) == "signature"


async def test_without_kid_the_only_key_signs_and_of_two_neither(publish: Publish, clock: Clock) -> None:
    token = jwt.encode(good_claims(), signer("one").private, "RS256")
    single = TokenVerifier([Trust(publish(jwks(signer("one"), signer("e", "ES256")), ALL), algorithms=ALL)], now=clock)
    assert (await single.verify(token)).subject == USER_ID
    double = TokenVerifier([Trust(publish(jwks(signer("one"), signer("two"))))], now=clock)
    assert await _fault(double, token) == "signature"


async def test_of_two_keys_with_one_kid_either_may_have_signed(publish: Publish, clock: Clock) -> None:
    keys = publish(jwks(signer("one"), signer("two").jwk(kid="one")))
    verifier = TokenVerifier([Trust(keys)], now=clock)
    for name in ("one", "two"):
        assert await verifier.verify(signer(name).token(header={"kid": "one"}))
    assert await _fault(verifier, signer("three").token(header={"kid": "one"})) == "signature"


async def test_clocks_may_differ_by_the_leeway_and_no_more(verifier: TokenVerifier, clock: Clock) -> None:
    assert await verifier.verify(signer("one").token(iat=NOW + 30, nbf=NOW + 30))
    assert await verifier.verify(signer("one").token(exp=NOW - 29.5))
    with pytest.raises(TokenExpiredError, match=r"^the token has expired; ask its issuer for a new one$"):
        await verifier.verify(signer("one").token(exp=NOW - 30))


async def test_the_leeway_can_be_set(publish: Publish, clock: Clock) -> None:
    strict = TokenVerifier([Trust(publish(jwks(signer("one"))))], leeway_seconds=0, now=clock)
    assert await strict.verify(signer("one").token(iat=NOW, exp=NOW + 1))
    assert await _fault(strict, signer("one").token(iat=NOW + 1)) == "not_yet_valid"
    with pytest.raises(TokenExpiredError):
        await strict.verify(signer("one").token(exp=NOW))


async def test_an_audience_among_others_is_enough(verifier: TokenVerifier) -> None:
    assert await verifier.verify(signer("one").token(aud=["other", AUDIENCE]))


async def test_the_id_of_a_user_is_taken_in_lower_case(verifier: TokenVerifier) -> None:
    assert (await verifier.verify(signer("one").token(sub=USER_ID.upper()))).subject == USER_ID
    assert canonical_user_id(USER_ID.upper()) == USER_ID
    for text in ("", "x", USER_ID + "\n", f"{{{USER_ID}}}", f"urn:uuid:{USER_ID}", USER_ID[:-1] + "\u0660"):
        assert canonical_user_id(text) is None


@pytest.mark.parametrize("subject", ["", "x" * 256, "gate\nway", "gate\x00way", "\ud800"])
async def test_a_name_that_can_not_be_written_down_is_no_subject(publish: Publish, clock: Clock, subject: str) -> None:
    keys = publish(jwks(signer("one")))
    verifier = TokenVerifier([Trust(keys, subject="service")], now=clock)
    assert await _fault(verifier, signer("one").token(sub=subject)) == "subject"


async def test_without_keys_nobody_can_say_whether_a_token_is_good(clock: Clock, tmp_path: Path) -> None:
    verifier = TokenVerifier([Trust(JwksKeys(str(tmp_path / "none"), ["RS256"]))], now=clock)
    with pytest.raises(KeysUnavailableError):
        await verifier.verify(signer("one").token())
    assert await _fault(verifier, signer("one").token(aud="other")) == "audience"


def test_an_issuer_is_read_from_the_settings() -> None:
    text = json.dumps([{"issuer": ISSUER, "audience": "a", "subject": "service", "keys": "https://host/keys"}])
    [issuer] = TypeAdapter(tuple[Issuer, ...]).validate_json(text)
    assert issuer.algorithms == ("RS256",)
    assert isinstance(published(issuer).key_set(), JwksKeys)


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithms": ["HS256"]},
        {"algorithms": ["none"]},
        {"algorithms": []},
        {"keys": "ftp://host/keys"},
        {"keys": None},
        {"subject": "email"},
        {"audience": ""},
        {"secret": "k"},
    ],
)
def test_a_senseless_issuer_is_refused(wrong: Mapping[str, object]) -> None:
    good = {"issuer": ISSUER, "audience": "a", "subject": "service", "keys": "/etc/banter/keys.json"}
    Issuer.model_validate(good)
    with pytest.raises(ValidationError):
        Issuer.model_validate({**good, **wrong})
