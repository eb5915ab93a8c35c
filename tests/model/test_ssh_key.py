"""Which public keys are taken. The keys are made by ssh-keygen, as people make theirs."""

import base64
import subprocess
from pathlib import Path

import pytest

from hostd.errors import Invalid
from hostd.model.ssh_key import parse, refuse_private


def made(directory: Path, *options: str) -> Path:
    """The .pub file of a new key."""
    path = directory / "key"
    words = ["ssh-keygen", "-q", "-N", "", "-C", "ada@laptop", "-f", str(path), *options]
    subprocess.run(words, check=True, capture_output=True)
    return path.with_suffix(".pub")


@pytest.mark.parametrize(
    "options",
    [("-t", "ed25519"), ("-t", "ecdsa"), ("-t", "ecdsa", "-b", "521"), ("-t", "rsa", "-b", "3072")],
    ids=" ".join,
)
def test_good_keys_are_taken_with_comment_and_fingerprint(tmp_path: Path, options: tuple[str, ...]) -> None:
    file = made(tmp_path, *options)
    key = parse(file.read_text())
    told = subprocess.run(["ssh-keygen", "-lf", str(file)], capture_output=True, text=True, check=True)
    assert key.fingerprint == told.stdout.split()[1]
    assert key.comment == "ada@laptop"
    assert f"{key.line} ada@laptop\n" == file.read_text()


def test_a_key_in_a_hardware_token_is_taken() -> None:
    """Laid out as PROTOCOL.u2f of OpenSSH says: type, 32 bytes of an Ed25519 key, application."""
    kind, point = b"sk-ssh-ed25519@openssh.com", bytes.fromhex("d75a980182b10ab7d54bfed3c964073a" * 2)
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (kind, point, b"ssh:"))
    assert parse(f"{kind.decode()} {base64.b64encode(blob).decode()}").comment == ""


def test_a_weak_rsa_key_is_refused_with_its_size(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        parse(made(tmp_path, "-t", "rsa", "-b", "2048").read_text())
    assert refused.value.message == "an RSA key of 2048 bits is too weak: at least 3072 are wanted"
    assert "ssh-keygen -t ed25519" in refused.value.hint


def test_a_private_key_is_refused_and_not_repeated(tmp_path: Path) -> None:
    text = made(tmp_path, "-t", "ed25519").with_suffix("").read_text()
    for ask in (parse, refuse_private):
        with pytest.raises(Invalid, match="this is a private key") as refused:
            ask(text)
        assert "b3BlbnNzaC1rZXktdjEA" not in refused.value.message + refused.value.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "this is not one public key"),
        ("hello", "this is not one public key"),
        ("ssh-ed25519 AAAA a\nssh-ed25519 AAAA b", "this is not one public key"),
        ("ssh-ed25519 " + "A" * 9000, "this is not one public key"),
        ("ssh-dss AAAAB3NzaC1kc3MAAACBAJ old", "keys of the type 'ssh-dss' are not taken"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "are not taken"),
        ('command="id" ssh-ed25519 AAAA', "keys of the type 'command=\"id\"' are not taken"),
        ("ssh-ed25519 not-base64!", "this ssh-ed25519 key is damaged"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE", "this ssh-ed25519 key is damaged"),
        ("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea", "is damaged"),
        ("ssh-ed25519 é", "this ssh-ed25519 key is damaged"),
        ("ssh-ed25519 \x00", "this ssh-ed25519 key is damaged"),
    ],
)
def test_what_is_no_good_key_is_refused_by_reason(text: str, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(text)
    assert words in refused.value.message


def test_a_comment_cannot_steer_a_terminal(tmp_path: Path) -> None:
    line = made(tmp_path, "-t", "ed25519").read_text().replace("ada@laptop", "a\x1b[2Jé" + "x" * 99)
    assert parse(line).comment == "a?[2J?" + "x" * 58
