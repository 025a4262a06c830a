"""The keys of issuers: fetched, kept, withdrawn."""

from __future__ import annotations

import asyncio
import base64
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from banter_grpc.rpc.issuers import check_source
from banter_grpc.rpc.jwks import JwksError, parse_jwks
from banter_grpc.rpc.keys import JwksKeys, KeysUnavailableError, SharedKey, _in_thread
from tests.rpc.signing import Clock, Publisher, Signer, jwks, signer

ALL = ("RS256", "ES256", "EdDSA")
UNREACHABLE = "http://127.0.0.1:9/keys"


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Publisher(jwks(signer("one"))) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock(at=1000.0)


@pytest.fixture
async def keys(publisher: Publisher, clock: Clock) -> AsyncIterator[JwksKeys]:
    made = JwksKeys(publisher.url, ALL, clock=clock)
    yield made
    await made.close()


@pytest.mark.parametrize("algorithm", ALL)
async def test_a_key_of_each_algorithm_is_found_by_its_kid(
    keys: JwksKeys, publisher: Publisher, algorithm: str
) -> None:
    publisher.document = jwks(*(signer(f"key {name}", name) for name in ALL))
    [found] = await keys.find(f"key {algorithm}")
    assert found.algorithm == algorithm
    assert keys.holds(found)


async def test_a_file_serves_as_well_as_a_url(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(jwks(signer("one"), signer("two", "ES256")))
    keys = JwksKeys(str(file), ALL)
    assert len(await keys.find("two")) == 1
    assert len(await keys.find(None)) == 2


async def test_a_key_that_does_not_say_its_algorithm_has_that_of_its_type() -> None:
    document = jwks(*(signer(name, name).jwk(alg=None, use=None) for name in ALL))
    assert [key.algorithm for key in parse_jwks(document, ALL)] == list(ALL)


async def test_only_keys_of_the_pinned_algorithms_are_taken() -> None:
    document = jwks(*(signer(name, name) for name in ALL))
    assert [key.kid for key in parse_jwks(document, ["ES256"])] == ["ES256"]


def _unfit() -> dict[str, object]:
    good = signer("one").jwk()
    weak = Signer("weak", "RS256", rsa.generate_private_key(65537, 1024))
    return {
        "a shared key": {"kty": "oct", "k": base64.urlsafe_b64encode(b"k" * 32).decode(), "kid": "one"},
        "a shared key that says RS256": {"kty": "oct", "k": "a2tr", "alg": "RS256"},
        "a short key": weak.jwk(),
        "another curve": Signer("p384", "ES256", ec.generate_private_key(ec.SECP384R1())).jwk(),
        "another curve of EdDSA": OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate().public_key(), as_dict=True),
        "another algorithm": {**good, "alg": "RS512"},
        "for encryption": {**good, "use": "enc"},
        "for signing only": {**good, "key_ops": ["sign"]},
        "a private key": {**RSAAlgorithm.to_jwk(signer("one").private, as_dict=True), "key_ops": ["verify"]},
        "a kid that is no text": {**good, "kid": 1},
        "a type that is no text": {**good, "kty": ["RSA"]},
        "a modulus that is no text": {**good, "n": 5},
        "no modulus": {name: value for name, value in good.items() if name != "n"},
        "a point off the curve": {**signer("two", "ES256").jwk(), "x": base64.urlsafe_b64encode(b"\1" * 32).decode()},
        "no key": "one",
    }


@pytest.mark.parametrize("what", list(_unfit()))
def test_a_key_that_does_not_fit_is_left_out_and_the_others_are_taken(what: str) -> None:
    assert [key.kid for key in parse_jwks(jwks(_unfit()[what], signer("two")), ALL)] == ["two"]  # type: ignore[arg-type]


@pytest.mark.parametrize("document", [b"", b"\xff", b"{", b"[" * 100_000, b"[]", b"{}", b'{"keys": {}}', b"null"])
def test_a_document_that_is_no_jwks_is_refused(document: bytes) -> None:
    with pytest.raises(JwksError):
        parse_jwks(document, ALL)


async def test_a_key_without_kid_is_found_without_one_only(keys: JwksKeys, publisher: Publisher) -> None:
    publisher.document = jwks(signer(None))
    assert len(await keys.find(None)) == 1
    assert not await keys.find("one")


async def test_two_keys_of_one_kid_are_both_found(keys: JwksKeys, publisher: Publisher) -> None:
    publisher.document = jwks(signer("one"), signer("two").jwk(kid="one"), signer("one"))
    assert len(await keys.find("one")) == 2


async def test_a_key_stays_the_same_over_a_refresh_and_is_gone_when_withdrawn(
    keys: JwksKeys, publisher: Publisher, clock: Clock
) -> None:
    [old] = await keys.find("one")
    publisher.document = jwks(signer("two"), signer("one").jwk(x5t="new"))
    assert await keys.refresh()
    assert keys.holds(old)
    publisher.document = jwks(signer("two"))
    assert await keys.refresh()
    assert not keys.holds(old)
    clock.at += 60
    assert not await keys.find("one")


async def test_another_key_under_an_old_kid_replaces_the_old_one(keys: JwksKeys, publisher: Publisher) -> None:
    [old] = await keys.find("one")
    publisher.document = jwks(signer("two").jwk(kid="one"))
    await keys.refresh()
    [new] = await keys.find("one")
    assert not keys.holds(old)
    assert keys.holds(new)


async def test_an_issuer_can_withdraw_its_last_key(
    keys: JwksKeys, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    [old] = await keys.find("one")
    publisher.document = jwks()
    with caplog.at_level(logging.WARNING):
        assert await keys.refresh()
    assert not keys.holds(old)
    assert not await keys.find("one")
    assert "none is for ES256 or EdDSA or RS256" in caplog.text


async def test_keys_are_kept_while_fetches_fail_and_no_longer_than_they_may(
    keys: JwksKeys, publisher: Publisher, clock: Clock
) -> None:
    [key] = await keys.find("one")
    publisher.status = 503
    clock.at += 86_399
    assert not await keys.refresh()
    assert keys.holds(key)
    assert await keys.find("one") == [key]
    clock.at += 1
    assert not keys.holds(key)
    with pytest.raises(KeysUnavailableError):
        await keys.find("one")
    publisher.status = 200
    clock.at += 10
    assert await keys.find("one") == [key]
    assert keys.holds(key)


async def test_an_unknown_kid_starts_at_most_one_fetch_in_ten_seconds(
    keys: JwksKeys, publisher: Publisher, clock: Clock
) -> None:
    await keys.find("one")
    clock.at += 9.9
    for name in range(50):
        assert not await keys.find(f"unknown {name}")
    assert publisher.asked == 1
    clock.at += 0.1
    publisher.document = jwks(signer("two"))
    assert len(await keys.find("two")) == 1
    assert not await keys.find("three")
    assert publisher.asked == 2


async def test_a_hundred_callers_with_an_unknown_kid_share_one_fetch(
    keys: JwksKeys, publisher: Publisher, clock: Clock
) -> None:
    await keys.find("one")
    clock.at += 10
    publisher.document = jwks(signer("two"))
    publisher.gate.clear()
    callers = [asyncio.create_task(keys.find("two")) for _ in range(100)]
    while publisher.asked < 2:
        await asyncio.sleep(0.001)
    publisher.gate.set()
    assert all(len(found) == 1 for found in await asyncio.gather(*callers))
    assert publisher.asked == 2


async def test_a_caller_who_goes_does_not_end_the_fetch_that_others_wait_for(
    keys: JwksKeys, publisher: Publisher
) -> None:
    publisher.gate.clear()
    first = asyncio.create_task(keys.find("one"))
    while not publisher.asked:
        await asyncio.sleep(0.001)
    second = asyncio.create_task(keys.find("one"))
    await asyncio.sleep(0)
    first.cancel()
    publisher.gate.set()
    assert len(await second) == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_an_unknown_kid_is_nobodys_fault_while_fetches_fail(
    keys: JwksKeys, publisher: Publisher, clock: Clock
) -> None:
    await keys.find("one")
    clock.at += 10
    publisher.status = 500
    with pytest.raises(KeysUnavailableError):
        await keys.find("new")
    assert len(await keys.find("one")) == 1


FAILURES = {
    "HTTP 500": {"status": 500},
    "HTTP 302": {"status": 302, "headers": {"location": "/elsewhere"}},
    "HTTP 404": {"status": 404},
    "no JSON": {"document": b"<html>"},
    "no list `keys`": {"document": b"{}"},
    "longer than 1,000,000 bytes": {"document": b" " * 1_000_001},
}


@pytest.mark.parametrize("words", list(FAILURES))
async def test_a_fetch_that_fails_is_logged_in_one_line(
    keys: JwksKeys, publisher: Publisher, caplog: pytest.LogCaptureFixture, words: str
) -> None:
    for name, value in FAILURES[words].items():
        setattr(publisher, name, value)
    with caplog.at_level(logging.WARNING), pytest.raises(KeysUnavailableError):
        await keys.find("one")
    [record] = caplog.records
    assert words in record.getMessage()
    assert publisher.url in record.getMessage()
    assert "\n" not in record.getMessage()
    assert publisher.asked == 1


async def test_no_server_and_no_file_are_failures_like_any_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for source, words in [(UNREACHABLE, "refused"), (str(tmp_path / "none"), "No such file"), (str(tmp_path), "")]:
        with pytest.raises(KeysUnavailableError):
            await JwksKeys(source, ALL).find("one")
        assert source in caplog.records[-1].getMessage()
        assert words in caplog.records[-1].getMessage()


async def test_a_server_that_does_not_answer_holds_nobody_longer_than_the_timeout(publisher: Publisher) -> None:
    publisher.gate.clear()
    keys = JwksKeys(publisher.url, ALL, timeout_seconds=0.05)
    async with asyncio.timeout(3):
        with pytest.raises(KeysUnavailableError):
            await keys.find("one")


async def test_a_thread_that_hangs_is_left_behind() -> None:
    end = threading.Event()
    daemon: list[bool] = []

    def hang() -> None:
        daemon.append(threading.current_thread().daemon)
        end.wait(10)

    with pytest.raises(TimeoutError):
        await _in_thread(hang, 0.01)
    end.set()
    assert daemon == [True]


async def test_keys_are_refreshed_in_the_background_and_sooner_after_a_failure(
    publisher: Publisher, clock: Clock
) -> None:
    pauses: list[float] = []
    enough = asyncio.Event()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        publisher.status = 503 if 2 <= len(pauses) < 12 else 200
        if len(pauses) == 13:
            enough.set()
            await asyncio.Event().wait()

    keys = JwksKeys(publisher.url, ALL, clock=clock, sleep=sleep)
    keys.start()
    async with asyncio.timeout(10):
        await enough.wait()
    assert pauses == [300, 300, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert publisher.asked == 13
    await keys.close()


@pytest.mark.parametrize("source", ["", "ftp://host/keys", "file:///etc/keys", "https://", "https://a:b@host/keys"])
def test_a_source_that_is_neither_http_nor_a_file_is_refused_in_one_line(source: str) -> None:
    with pytest.raises(ValueError, match=r"^keys: must be an https URL or the path of a file[^\n]*$"):
        check_source(source)


async def test_a_shared_key_is_the_one_without_a_name() -> None:
    keys = SharedKey(b"k" * 32)
    [key] = await keys.find(None)
    assert key.algorithm == "HS256"
    assert keys.holds(key)
    assert not await keys.find("one")
    assert not SharedKey(b"k" * 32).holds(key)
    with pytest.raises(ValueError, match="at least 32 bytes"):
        SharedKey(b"k" * 31)
