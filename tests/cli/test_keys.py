"""hostd keys, and a git remote over SSH."""

import json
import subprocess
from pathlib import Path

from tests.cli.conftest import Person


def made(directory: Path, *options: str) -> Path:
    """The .pub file of a new key."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "a@b", "-f", path, *options], check=True)
    return path.with_suffix(".pub")


def test_keys_are_added_listed_and_removed(ada: Person) -> None:
    made(ada.home / ".ssh", "-t", "ed25519")
    assert "added a@b, ssh-ed25519 SHA256:" in ada.run("keys", "add").stdout
    listed = json.loads(ada.run("keys", "list", "--json").stdout)
    assert [key["name"] for key in listed] == ["a@b"]
    assert listed[0]["fingerprint"] in ada.run("keys", "list").stdout
    again = ada.run("keys", "add", str(ada.home / ".ssh/id_ed25519.pub"), status=4)
    assert "you have added this key already" in again.stderr
    assert "is removed" in ada.run("keys", "remove", str(listed[0]["id"])).stdout
    assert json.loads(ada.run("keys", "list", "--json").stdout) == []


def test_a_key_comes_from_standard_input_with_a_name(ada: Person) -> None:
    line = made(ada.home / "new", "-t", "ecdsa").read_text()
    assert (
        "added work, ecdsa-sha2-nistp256" in ada.run("keys", "add", "-", "--name", "work", into=line).stdout
    )
    for key in json.loads(ada.run("keys", "list", "--json").stdout):
        ada.run("keys", "remove", str(key["id"]))


def test_a_private_key_does_not_leave_the_machine(nobody: Person) -> None:
    """Not logged in, it is refused for what it is: nothing was asked of a server."""
    private = made(nobody.home / "new", "-t", "ed25519").with_suffix("")
    refused = nobody.run("keys", "add", str(private), status=2)
    assert "this is a private key" in refused.stderr


def test_weak_absent_and_unreadable_keys_are_refused(ada: Person) -> None:
    weak = made(ada.home / "new", "-t", "rsa", "-b", "2048")
    assert "an RSA key of 2048 bits is too weak" in ada.run("keys", "add", str(weak), status=2).stderr
    assert "there is no public key in ~/.ssh" in ada.run("keys", "add", status=2).stderr
    assert "cannot be read: No such file" in ada.run("keys", "add", "/no/such", status=2).stderr
    assert "cannot be read: Is a directory" in ada.run("keys", "add", "/", status=2).stderr


def test_a_remote_over_ssh_names_the_app_too(ada: Person) -> None:
    ada.git("init", "-q")
    ada.run("apps", "create", "over-ssh")
    assert "ssh://git@localhost:2222/over-ssh.git" in ada.run("apps", "info", "over-ssh").stdout
    ada.git("remote", "remove", "hostd")
    ada.run("git", "remote", "-a", "over-ssh", "--ssh")
    assert ada.git("remote", "get-url", "hostd").strip() == "ssh://git@localhost:2222/over-ssh.git"
    assert "over-ssh" in ada.run("apps", "info").stdout
    ada.git("remote", "set-url", "hostd", "ssh://git@elsewhere:2222/over-ssh.git")
    assert "but you are logged in at" in ada.run("apps", "info", status=2).stderr
