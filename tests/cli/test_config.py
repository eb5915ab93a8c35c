import json
import stat

import pytest

from tests.cli.conftest import Person


def test_secrets_and_scopes_are_listed_without_values(ada: Person) -> None:
    ada.run("apps", "create", "secretive")
    here = ("-a", "secretive")
    ada.run("config", "set", *here, "--secret", "--build", "NPM_TOKEN=s3cret")
    ada.run("config", "set", *here, "--with-previews", "GREETING=two\nlines")
    ada.run("config", "set", *here, "--generate", "KEY", "--generate", "LONG:512", "VITE_TITLE=shop")
    assert ada.run("config", "list", *here).stdout.splitlines() == [
        "GREETING=two\\nlines  # run,preview",
        "KEY=(secret)",
        "LONG=(secret)",
        "NPM_TOKEN=(secret)  # run,build",
        "VITE_TITLE=shop  # run,build",
    ]
    ada.run("config", "set", *here, "--run-only", "VITE_TITLE")
    assert "VITE_TITLE=shop\n" in ada.run("config", "list", *here).stdout
    assert "s3cret" not in ada.run("config", "list", "--json", *here).stdout
    refused = ada.run("config", "set", *here, "--plain", "NPM_TOKEN", status=2).stderr
    assert "hostd config set --plain NPM_TOKEN=value" in refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--build", "--run-only", "A=1"), "exclude each other"),
        (("--generate", "KEY:15"), "15"),
        (("--generate", "KEY:x"), "has no length behind the colon"),
        (("--generate", "1KEY"), "is not a name for a config variable"),
        (("--secret",), "no config variable was named"),
        (("--secret", "UNSET"), "UNSET is not set"),
        (("-e", "x", "--previews", "A=1"), "leave out one of the two"),
    ],
)
def test_what_makes_no_sense_is_refused(ada: Person, words: tuple[str, ...], said: str) -> None:
    name = f"senseless-{abs(hash(words)) % 10**9}"
    ada.run("apps", "create", name)
    assert said in ada.run("config", "set", "-a", name, *words, status=2).stderr


def test_config_is_copied_from_one_app_to_another_without_its_secrets(ada: Person) -> None:
    for name in ("copied", "copy"):
        ada.run("apps", "create", name)
    ada.run("config", "set", "-a", "copied", "A=it's $5\n", "B=")
    ada.run("config", "set", "-a", "copied", "--secret", "KEY=s3cret")
    said = ada.run("config", "pull", "-a", "copied").stdout
    file = ada.home / "work/.env"
    assert said == ".env: 2 variables, without 1 secrets\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == '# secrets are not given out: KEY\nA="it\'s \\$5\\n"\nB=\n'
    assert "--force" in ada.run("config", "pull", "-a", "copied", status=4).stderr
    assert ada.run("config", "pull", "-", "-a", "copied").stdout == file.read_text()
    assert not (ada.home / "work/-").exists()
    file.chmod(0o644)
    ada.run("config", "pull", "-a", "copied", "--force")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    ada.run("config", "import", ".env", "-a", "copy")
    found = json.loads(ada.run("config", "list", "--json", "-a", "copy").stdout)
    assert {name: var["value"] for name, var in found.items()} == {"A": "it's $5\n", "B": ""}


def test_a_file_that_cannot_be_imported_is_named_with_its_line(ada: Person) -> None:
    ada.run("apps", "create", "importing")
    here = ("-a", "importing")
    (ada.home / "work/bad.env").write_text("A=1\nB-C=s3cret\n")
    refused = ada.run("config", "import", "bad.env", *here, status=2).stderr
    assert "bad.env: line 2: 'B-C' is not a name" in refused
    assert "s3cret" not in refused
    assert "there is no file none.env" in ada.run("config", "import", "none.env", *here, status=3).stderr
    assert "- names no variable" in ada.run("config", "import", "-", *here, status=2).stderr
    ada.run("config", "import", "-", "--secret", *here, into="export KEY='s3cret'\n")
    assert ada.run("config", "list", *here).stdout == "KEY=(secret)\n"


def test_a_group_is_shared_by_apps(ada: Person) -> None:
    for name in ("sharing-one", "sharing-two"):
        ada.run("apps", "create", name)
    ada.run("groups", "create", "shared-mail")
    assert ada.run("groups", "set", "shared-mail", "HOST=one", "--secret").stdout.endswith(
        "HOST: shared-mail has it; environments started anew: 0\n"
    )
    for name in ("sharing-one", "sharing-two"):
        assert ada.run("groups", "attach", "shared-mail", "-a", name).stdout == "shared-mail is attached\n"
    assert (
        ada.run("config", "list", "-a", "sharing-one").stdout == "HOST=(secret)  # from group shared-mail\n"
    )
    assert ada.run("groups", "show", "shared-mail").stdout == (
        "HOST=(secret)\n# attached to sharing-one-production, sharing-two-production\n"
    )
    assert "shared-mail  1" in ada.run("groups", "list").stdout
    assert "is attached to" in ada.run("groups", "destroy", "shared-mail", status=4).stderr
    for name in ("sharing-one", "sharing-two"):
        ada.run("groups", "detach", "shared-mail", "-a", name)
    ada.run("groups", "unset", "shared-mail", "HOST")
    ada.run("groups", "destroy", "shared-mail")
    assert "there is no config group" in ada.run("groups", "show", "shared-mail", status=3).stderr
    assert "2 to 40" in ada.run("groups", "create", "../x", status=2).stderr


def test_a_comparison_needs_two_sides(ada: Person) -> None:
    ada.run("apps", "create", "compared")
    assert "compare with a preview" in ada.run("config", "diff", "-a", "compared", status=2).stderr
    assert (
        "'x' is not a release" in ada.run("config", "diff", "--from", "x", "-a", "compared", status=2).stderr
    )
