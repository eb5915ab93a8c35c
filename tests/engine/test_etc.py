"""The /etc of sandboxes."""

from pathlib import Path

from hostd.engine import etc


def machine(root: Path) -> Path:
    files = {
        "shadow": "x",
        "ssl/certs/a.pem": "A",
        "ssl/private/key.pem": "K",
        "mime.types": "m",
        "services": "s",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "services").chmod(0o600)
    (root / "ssl/certs/link.pem").symlink_to("/usr/share/a.pem")
    return root


def test_nothing_secret_comes_along(tmp_path: Path) -> None:
    target = tmp_path / "etc"
    etc.prepare(target, ["9.9.9.9"], machine(tmp_path / "machine"))
    names = {str(path.relative_to(target)) for path in target.rglob("*") if not path.is_dir()}
    assert {"ssl/certs/a.pem", "ssl/certs/link.pem", "mime.types", "passwd", "resolv.conf"} <= names
    assert not {"shadow", "ssl/private/key.pem", "services"} & names


def test_a_second_time_brings_only_what_changed(tmp_path: Path) -> None:
    source, target = machine(tmp_path / "machine"), tmp_path / "etc"
    etc.prepare(target, ["9.9.9.9"], source)
    same = (target / "ssl/certs/a.pem").stat().st_ino
    (source / "mime.types").write_text("changed")
    (source / "ssl/certs/link.pem").unlink()
    (source / "ssl/certs/link.pem").symlink_to("/usr/share/b.pem")
    directory = target.stat().st_ino
    etc.prepare(target, ["1.1.1.1"], source)
    assert (target / "ssl/certs/a.pem").stat().st_ino == same
    assert (target / "mime.types").read_text() == "changed"
    assert str((target / "ssl/certs/link.pem").readlink()) == "/usr/share/b.pem"
    assert (target / "resolv.conf").read_text().startswith("nameserver 1.1.1.1\n")
    assert target.stat().st_ino == directory
    assert not list(target.rglob("*.partial"))


def test_the_app_has_a_name(tmp_path: Path) -> None:
    assert "app:x:1000:1000:app:/app:/bin/sh" in etc.written([])["passwd"]
