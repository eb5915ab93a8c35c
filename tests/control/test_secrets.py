from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from hostd.control.secrets import Secrets
from hostd.errors import Unavailable

SECRETS = Secrets(Fernet.generate_key())


@given(st.dictionaries(st.text(), st.text()))
def test_a_config_comes_back_as_it_was(config: dict[str, str]) -> None:
    assert SECRETS.decrypt_mapping(SECRETS.encrypt_mapping(config)) == config


def test_a_secret_cannot_be_seen_or_compared() -> None:
    assert b"hunter2" not in SECRETS.encrypt(b"hunter2")
    assert SECRETS.encrypt(b"hunter2") != SECRETS.encrypt(b"hunter2")
    assert SECRETS.decrypt(SECRETS.encrypt(b"\x00\xffhunter2")) == b"\x00\xffhunter2"


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "key"
    encrypted = Secrets.open(path).encrypt(b"hunter2")
    assert path.stat().st_mode & 0o777 == 0o600
    assert Secrets.open(path).decrypt(encrypted) == b"hunter2"
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_another_key_and_a_changed_secret_are_told(tmp_path: Path) -> None:
    encrypted = SECRETS.encrypt(b"hunter2")
    for secrets, what in ((Secrets.open(tmp_path / "key"), encrypted), (SECRETS, encrypted[:-3] + b"AAA")):
        with pytest.raises(Unavailable, match="cannot be decrypted") as caught:
            secrets.decrypt(what)
        assert "restore the key file" in caught.value.hint


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    Secrets.open(path)
    path.chmod(0o640)
    with pytest.raises(Unavailable, match="can be read by others") as caught:
        Secrets.open(path)
    assert caught.value.hint == f"chmod 600 {path}"


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 44, b"=" * 44, b"\n"])
def test_a_damaged_key_is_refused_and_never_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(Unavailable, match="is damaged"):
        Secrets.open(path)
    assert path.read_bytes() == content


def test_a_place_for_the_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="missing/key cannot be used: No such file"):
        Secrets.open(tmp_path / "missing" / "key")
