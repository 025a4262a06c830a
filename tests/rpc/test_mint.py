"""The development key and what is signed with it."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from banter_grpc.rpc.mint import DevKey, DevKeyError, dev_issuers, mint
from banter_grpc.rpc.tokens import TokenError, TokenExpiredError, TokenVerifier
from tests.rpc.signing import NOW, USER_ID, Clock


async def test_a_minted_token_is_good_for_its_time(tmp_path: Path) -> None:
    key, clock = DevKey.load_or_create(tmp_path / "dev.key"), Clock()
    users, services = dev_issuers(key)
    verifier = TokenVerifier([users, services], leeway_seconds=0, now=clock)
    token = mint(key, users.issuer, users.audience, USER_ID, 60, now=clock)
    found = await verifier.verify(token)
    assert (found.subject_kind, found.subject, found.expire_time) == ("user_id", USER_ID, NOW + 60)
    service = await verifier.verify(mint(key, services.issuer, services.audience, "gateway", 60, now=clock))
    assert (service.subject_kind, service.subject) == ("service", "gateway")
    clock.at += 60
    with pytest.raises(TokenExpiredError):
        await verifier.verify(token)


async def test_a_token_of_another_key_is_refused(tmp_path: Path) -> None:
    verifier = TokenVerifier(dev_issuers(DevKey.load_or_create(tmp_path / "one.key")), now=Clock())
    other = DevKey.load_or_create(tmp_path / "other.key")
    with pytest.raises(TokenError, match="its signature is wrong"):
        await verifier.verify(mint(other, "banter-dev", "banter", USER_ID, 60, now=Clock()))


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "dev.key"
    key = DevKey.load_or_create(path)
    assert len(key.secret) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert DevKey.load_or_create(path) == key
    assert list(path.parent.iterdir()) == [path]
    assert str(key.secret) not in repr(key)


def test_processes_that_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    start = threading.Barrier(16)

    def load(number: int) -> DevKey:
        start.wait(5)
        return DevKey.load_or_create(tmp_path / f"{number // 16}.key")

    with ThreadPoolExecutor(16) as pool:
        for turn in range(20):
            assert len(set(pool.map(load, range(16 * turn, 16 * turn + 16)))) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_can_read_or_write_is_refused_in_one_line(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "dev.key"
    DevKey.load_or_create(path)
    path.chmod(mode)
    with pytest.raises(DevKeyError, match=r"^the key .*dev\.key is open to other accounts; run: chmod 600 '.*'$"):
        DevKey.load_or_create(path)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_refused_in_one_line(tmp_path: Path, length: int) -> None:
    path = tmp_path / "dev.key"
    path.touch(0o600)
    path.write_bytes(b"k" * length)
    with pytest.raises(DevKeyError, match=r"^the key .*dev\.key is damaged; delete it, and a new one is made$"):
        DevKey.load_or_create(path)


def test_a_folder_that_can_not_be_used_is_refused_in_one_line(tmp_path: Path) -> None:
    tmp_path.joinpath("file").touch()
    for path in (tmp_path / "file" / "dev.key", tmp_path):
        with pytest.raises(DevKeyError, match=r"^the key .* can't be used \(.*\); choose a folder [^\n]*$"):
            DevKey.load_or_create(path)
