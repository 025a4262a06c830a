"""The memory of verified tokens: quick, and never longer than the token or its key lives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from banter_grpc.rpc.jwks import Key
from banter_grpc.rpc.keys import JwksKeys, KeySet, KeysUnavailableError
from banter_grpc.rpc.tokens import TokenError, TokenExpiredError, TokenVerifier
from tests.rpc.signing import NOW, Clock, Trust, jwks, signer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> JwksKeys:
    """What `keys.json` publishes: signers `one` and `two`."""
    file = tmp_path / "keys.json"
    file.write_bytes(jwks(signer("one"), signer("two")))
    return JwksKeys(str(file), ["RS256"], clock=clock)


class _Counting:
    """Keys that count how often they are looked for."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys
        self.looked = 0

    async def find(self, kid: str | None) -> Sequence[Key]:
        self.looked += 1
        return await self._keys.find(kid)

    def holds(self, key: Key) -> bool:
        return self._keys.holds(key)

    def start(self) -> None:
        self._keys.start()

    async def close(self) -> None:
        await self._keys.close()


async def test_a_good_token_is_verified_once_and_a_bad_one_each_time(keys: JwksKeys, clock: Clock) -> None:
    counting = _Counting(keys)
    verifier = TokenVerifier([Trust(counting)], now=clock)
    good, bad = signer("one").token(), signer("two").token(header={"kid": "one"})
    first = await verifier.verify(good)
    assert await verifier.verify(good) is first
    assert counting.looked == 1
    with pytest.raises(TokenError, match="signature"):
        await verifier.verify(bad)
    with pytest.raises(TokenError, match="signature"):
        await verifier.verify(bad)
    assert counting.looked == 3


async def test_a_remembered_token_expires_all_the_same(keys: JwksKeys, clock: Clock) -> None:
    verifier = TokenVerifier([Trust(keys)], now=clock)
    token = signer("one").token(exp=NOW + 60)
    await verifier.verify(token)
    clock.at += 89
    await verifier.verify(token)
    clock.at += 1
    with pytest.raises(TokenExpiredError):
        await verifier.verify(token)


async def test_a_remembered_token_is_refused_when_its_key_goes(keys: JwksKeys, tmp_path: Path, clock: Clock) -> None:
    verifier = TokenVerifier([Trust(keys)], now=clock)
    one, two = signer("one").token(), signer("two").token()
    await verifier.verify(one)
    first = await verifier.verify(two)
    tmp_path.joinpath("keys.json").write_bytes(jwks(signer("two")))
    await keys.refresh()
    with pytest.raises(TokenError, match="its kid names no key"):
        await verifier.verify(one)
    assert await verifier.verify(two) is first


async def test_a_remembered_token_is_not_accepted_on_keys_that_are_too_old(
    keys: JwksKeys, tmp_path: Path, clock: Clock
) -> None:
    verifier = TokenVerifier([Trust(keys)], now=clock)
    token = signer("one").token(exp=NOW + 200_000)
    await verifier.verify(token)
    tmp_path.joinpath("keys.json").unlink()
    clock.at += 86_399
    await verifier.verify(token)
    clock.at += 1
    with pytest.raises(KeysUnavailableError):
        await verifier.verify(token)


async def test_so_many_tokens_are_remembered_and_the_longest_unused_goes(keys: JwksKeys, clock: Clock) -> None:
    counting = _Counting(keys)
    verifier = TokenVerifier([Trust(counting)], now=clock, remember=2)
    first, second, third = (signer("one").token(jti=str(number)) for number in range(3))
    for token in (first, second, first, third, first):
        await verifier.verify(token)
    assert counting.looked == 3
    await verifier.verify(second)
    assert counting.looked == 4
