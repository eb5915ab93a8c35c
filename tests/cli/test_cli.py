"""The command line as people use it: the real program against a real server."""

import asyncio
import json
import re
import stat
import subprocess
import time
from pathlib import Path

import pytest

from hostd.model.log import LogLine
from tests.cli.conftest import PROGRAM, Person
from tests.http.conftest import deploy
from tests.model.test_traffic import record


def deployed(person: Person, name: str) -> None:
    """A Release of `name` that is live."""
    asyncio.run_coroutine_threadsafe(deploy(person.server.platform, name), person.server.loop).result(
        timeout=10
    )


def log(person: Person, app: str, text: str) -> None:
    """A line of the App's web process."""
    line = LogLine(0, f"{app}-production", "app", "web", "x-1", text)
    person.server.loop.call_soon_threadsafe(person.server.logbook.add, line)


def test_login_checks_the_token_and_keeps_it_for_its_owner_only(nobody: Person) -> None:
    file = nobody.home / ".config/hostd/login.json"
    refused = nobody.run("login", nobody.server.url, "--token", "hst_wrong", status=4)
    assert refused.stderr.splitlines()[0] == " !     the token is wrong, expired or revoked"
    assert not file.exists()
    done = nobody.run("login", f"{nobody.server.url}/", into=f"{nobody.server.token}\n")
    assert done.stdout.splitlines()[-1].endswith(f"logged in at {nobody.server.url} as ada")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {"url": nobody.server.url, "token": nobody.server.token}
    assert nobody.run("whoami").stdout == f"ada at {nobody.server.url}\n"


def test_git_gets_the_token_for_that_server_and_no_other(ada: Person) -> None:
    def fill(url: str) -> str:
        return ada.git("credential", "fill", into=f"url={url}/shop.git\n\n")

    assert f"password={ada.server.token}\n" in fill(ada.server.url)
    with pytest.raises(subprocess.CalledProcessError):
        fill("http://localhost:1")
    file = ada.home / ".config/hostd/git-credentials"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    ada.run("logout")
    assert not file.exists()
    assert "credential" not in ada.git("config", "--global", "--list")
    assert not (ada.home / ".config/hostd/login.json").exists()
    ada.run("logout")


def test_logging_in_again_leaves_git_with_one_helper(ada: Person) -> None:
    ada.run("login", ada.server.url, "--token", ada.server.token)
    key = f"credential.{ada.server.url}.helper"
    helpers = ada.git("config", "--global", "--get-all", key).splitlines()
    assert helpers == ["", f"store --file {ada.home}/.config/hostd/git-credentials"]


def test_an_app_is_created_in_a_repository_found_by_its_remote_and_destroyed(ada: Person) -> None:
    ada.git("init", "--quiet")
    created = ada.run("apps", "create", "first-app")
    assert created.stdout.splitlines() == [
        "created first-app: http://first-app.localhost:8080",
        f"the remote hostd is {ada.server.url}/first-app.git; deploy with: git push hostd main",
    ]
    assert ada.git("remote", "get-url", "hostd").strip() == f"{ada.server.url}/first-app.git"
    assert "first-app" in ada.run("apps", "list").stdout
    assert json.loads(ada.run("apps", "info", "--json").stdout)["name"] == "first-app"
    assert re.search(r"^release: +none yet$", ada.run("apps", "info").stdout, re.MULTILINE)
    refused = ada.run("apps", "destroy", status=2, into="other\n")
    assert "confirm with: first-app" in refused.stderr
    assert "first-app is destroyed" in ada.run("apps", "destroy", "--confirm", "first-app").stdout
    assert ada.run("apps", "info", status=3).stderr.startswith(" !     there is no app 'first-app'")


def test_a_remote_of_another_app_is_left_as_it_is(ada: Person) -> None:
    ada.git("init", "--quiet")
    ada.git("remote", "add", "hostd", f"{ada.server.url}/elsewhere.git")
    assert "git remote set-url hostd" in ada.run("apps", "create", "second-app").stdout
    assert ada.run("git", "remote", "-a", "second-app", status=4).stderr.startswith(
        " !     the remote hostd is"
    )
    ada.git("remote", "remove", "hostd")
    assert "/second-app.git" in ada.run("git", "remote", "-a", "second-app").stdout
    assert "/second-app.git" in ada.run("git", "remote", "-a", "second-app").stdout


def test_without_an_app_the_hint_says_how_to_name_one(ada: Person) -> None:
    assert "-a NAME" in ada.run("ps", status=2).stderr
    ada.git("init", "--quiet")
    ada.git("remote", "add", "hostd", "https://other.example.org/shop.git")
    assert "but you are logged in at" in ada.run("ps", status=2).stderr


def test_releases_are_listed_shown_and_rolled_back(ada: Person) -> None:
    ada.run("apps", "create", "rolling")
    deployed(ada, "rolling")
    deployed(ada, "rolling")
    listed = ada.run("releases", "-a", "rolling").stdout.splitlines()
    assert [line.split()[:2] for line in listed] == [["RELEASE", "STATE"], ["v2", "live"], ["v1", "retired"]]
    assert (
        "static 1.0"
        in json.loads(ada.run("releases", "info", "v1", "-a", "rolling", "--json").stdout)["buildpacks"]
    )
    assert re.search(
        r"^state: +retired$", ada.run("releases", "-a", "rolling", "info", "1").stdout, re.MULTILINE
    )
    info = ada.run("releases", "info", "v2", "-a", "rolling").stdout
    assert "changes since v1:\n" in info
    assert re.search(r"^url: +http://v2--rolling\.localhost", info, re.MULTILINE)
    pinned = ada.run("releases", "pin", "v1", "-a", "rolling").stdout
    assert pinned == "the image of v1 is always kept\n"
    assert "its image is always kept" in ada.run("releases", "info", "v1", "-a", "rolling").stdout
    assert "as long as others" in ada.run("releases", "unpin", "v1", "-a", "rolling").stdout
    assert "there is no release v9" in ada.run("releases", "pin", "v9", "-a", "rolling", status=3).stderr
    back = ada.run("rollback", "v1", "-a", "rolling").stdout.splitlines()
    assert back[0] == "-----> Launching v3"
    assert back[-1] == "v3 is live: rollback to v1"
    assert "git push -o resume" in back[-2]
    paused = ada.run("deploys", "-a", "rolling").stdout
    assert paused.startswith("deploys of rolling are paused by ada since ")
    assert ": rollback to v1\n" in paused
    assert ada.run("deploys", "resume", "-a", "rolling").stdout == "pushes to rolling are deployed\n"
    ada.run("rollback", "v2", "--no-pause", "-a", "rolling")
    assert not json.loads(ada.run("deploys", "status", "-a", "rolling", "--json").stdout)["paused"]
    assert ada.run("rollback", "v9", "-a", "rolling", status=3).stderr.startswith(
        " !     there is no release v9"
    )
    assert "'x' is not a release" in ada.run("rollback", "x", "-a", "rolling", status=2).stderr


def test_config_is_set_listed_and_unset(ada: Person) -> None:
    ada.run("apps", "create", "configured")
    first = ada.run("config", "set", "-a", "configured", "GREETING=hello = world", "EMPTY=")
    assert first.stdout == "GREETING, EMPTY: the next release will have it\n"
    deployed(ada, "configured")
    assert ada.run("config", "unset", "EMPTY", "-a", "configured").stdout.endswith(
        "EMPTY: v2 is live without it\n"
    )
    assert ada.run("config", "list", "-a", "configured").stdout == "GREETING=hello = world\n"
    shown = ada.run("config", "list", "-a", "configured", "--json").stdout
    usual = {"secret": False, "scopes": ["run"], "source": "own"}
    assert json.loads(shown) == {"GREETING": {"value": "hello = world", **usual}}
    assert "as: GREETING=hello" in ada.run("config", "set", "-a", "configured", "NOVALUE", status=2).stderr
    assert "reserved" in ada.run("config", "set", "-a", "configured", "PORT=1", status=2).stderr


def test_ps_and_scale_say_what_runs(ada: Person) -> None:
    ada.run("apps", "create", "idle-app")
    assert (
        ada.run("ps", "-a", "idle-app").stdout.split()
        == "PROCESS STATE SINCE RELEASE RESTARTS COMMAND".split()
    )
    assert ada.run("ps", "-a", "idle-app", "--json").stdout == "[]\n"
    refused = ada.run("ps", "scale", "web=2", "-a", "idle-app", status=4)
    assert refused.stderr.splitlines()[0] == " !     nothing is deployed yet"
    assert refused.stderr == ada.run("ps", "-a", "idle-app", "scale", "web=2", status=4).stderr
    assert "'web=x' is not a quantity" in ada.run("ps", "scale", "web=x", "-a", "idle-app", status=2).stderr


def test_previews_are_listed_and_set_up(ada: Person) -> None:
    ada.run("apps", "create", "branchy")
    assert ada.run("previews", "-a", "branchy").stdout.split()[:3] == ["BRANCH", "URL", "RELEASE"]
    assert ada.run("previews", "-a", "branchy", "list", "--json").stdout == "[]\n"
    said = "previews of branchy are off, kept 7 days after the last push, open to everybody\n"
    assert ada.run("previews", "off", "-a", "branchy").stdout == said
    assert "are on" in ada.run("previews", "on", "-a", "branchy").stdout
    assert "kept 3 days" in ada.run("previews", "ttl", "3", "-a", "branchy").stdout
    asked = ada.run("previews", "password", "-a", "branchy", into="open sesame\nopen sesame\n")
    assert "behind a password" in asked.stdout
    assert "8 to 128" in ada.run("previews", "password", "short", "-a", "branchy", status=2).stderr
    assert "open to everybody" in ada.run("previews", "password", "--off", "-a", "branchy").stdout
    assert "no preview of 'x'" in ada.run("previews", "destroy", "x", "-a", "branchy", status=3).stderr
    assert "no preview of 'x'" in ada.run("promote", "x", "-a", "branchy", status=3).stderr
    assert "no branch 'x'" in ada.run("previews", "create", "x", "-a", "branchy", status=3).stderr


def test_a_preview_named_before_a_subcommand_is_not_lost(ada: Person) -> None:
    ada.run("apps", "create", "two-places")
    deployed(ada, "two-places")
    for words in (
        ("ps", "-e", "x", "scale", "web=2"),
        ("ps", "scale", "-e", "x", "web=2"),
        ("releases", "-e", "x", "info", "v1"),
        ("config", "set", "-e", "x", "A=1"),
        ("logs", "-e", "x"),
        ("rollback", "-e", "x"),
        ("deploys", "-e", "x", "pause"),
    ):
        assert "no preview of 'x'" in ada.run(*words, "-a", "two-places", status=3).stderr


def test_config_of_all_previews_is_apart(ada: Person) -> None:
    ada.run("apps", "create", "overlaid")
    said = ada.run("config", "set", "-a", "overlaid", "--previews", "A=1").stdout
    assert said == "A: each preview has it from its next release on\n"
    assert ada.run("config", "list", "-a", "overlaid").stdout == ""
    assert ada.run("config", "list", "-a", "overlaid", "--previews").stdout == "A=1  # from all previews\n"
    ada.run("config", "unset", "-a", "overlaid", "--previews", "A")
    both = ada.run("config", "list", "-a", "overlaid", "--previews", "-e", "x", status=2)
    assert "leave out one of the two" in both.stderr


def test_another_branch_is_made_production(ada: Person) -> None:
    ada.run("apps", "create", "trunked")
    assert (
        "trunk goes to production"
        in ada.run("apps", "set", "-a", "trunked", "--production-branch", "trunk").stdout
    )


def test_logs_are_shown_and_followed(ada: Person) -> None:
    ada.run("apps", "create", "talking")
    log(ada, "talking", "\x1b[31mred\x1b[0m")
    assert ada.run("logs", "-a", "talking").stdout == "1970-01-01T00:00:00.000000+00:00 app[web.1]: red\n"
    parsed = json.loads(ada.run("logs", "-a", "talking", "--json").stdout)
    assert parsed["source"] == "app[web.1]"
    following = subprocess.Popen(
        [str(PROGRAM), "logs", "-f", "-n", "1", "-a", "talking"],
        env=ada.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert following.stdout
        assert following.stdout.readline().endswith(": red\n")
        log(ada, "talking", "now")
        assert following.stdout.readline().endswith(": now\n")
    finally:
        following.kill()
        following.communicate()


def test_tokens_are_created_listed_and_revoked(ada: Person) -> None:
    token = ada.run("tokens", "create", "ci", "--days", "1").stdout.strip()
    assert token.startswith("hst_")
    found = next(
        item for item in json.loads(ada.run("tokens", "list", "--json").stdout) if item["name"] == "ci"
    )
    assert "ci" in ada.run("tokens", "list").stdout
    ada.run("tokens", "revoke", str(found["id"]))
    ada.run("tokens", "revoke", str(found["id"]), status=3)
    ada.run("login", ada.server.url, "--token", token, status=4)


def test_a_server_that_is_not_there_is_told_with_what_to_do(nobody: Person) -> None:
    refused = nobody.run("login", "http://localhost:1", "--token", "hst_x", status=6)
    assert refused.stderr.splitlines()[0].startswith(" !     http://localhost:1 cannot be reached")
    assert "hostd serve" in refused.stderr
    assert "run: hostd login URL" in nobody.run("apps", "list", status=4).stderr
    nobody.run("login", "ftp://x", "--token", "x", status=2)


@pytest.mark.parametrize("name", ["../tokens", "shop/releases", "?x", "x;id", "--", "\u00e9", "\x1b[2J"])
def test_a_hostile_app_name_is_refused_with_the_rule(ada: Person, name: str) -> None:
    refused = ada.run("apps", "info", f"--app={name}", status=2)
    assert "is not a name for an app" in refused.stderr
    assert "\x1b" not in refused.stderr


def test_help_is_there_for_every_command(nobody: Person) -> None:
    shown = nobody.run("--help").stdout
    commands = (
        "login logout whoami apps logs ps releases rollback deploys config groups open doctor tokens keys"
    )
    for command in f"{commands} git serve".split():
        assert command in shown
        nobody.run(command, "--help")
    assert nobody.run("version").stdout.startswith("hostd ")
    nobody.run("no-such-command", status=2)


def test_doctor_works_without_a_server_and_says_what_is_missing(nobody: Person, tmp_path: Path) -> None:
    free = {"HOSTD_DATA": str(tmp_path), "HOSTD_HTTP_PORT": "1"}
    done = subprocess.run(
        [str(PROGRAM), "doctor", "--json"], env=nobody.env | free, text=True, capture_output=True, timeout=60
    )
    checks = json.loads(done.stdout)
    assert done.returncode == (0 if all(check["ok"] for check in checks) else 6)
    busy = nobody.run("doctor", status=6, HOSTD_DATA=str(tmp_path), HOSTD_LISTEN="192.0.2.1:5")
    assert "this machine is not ready" in busy.stderr
    assert "set HOSTD_LISTEN to another" in busy.stderr
    assert "HOSTD_BASE is 'X'" in nobody.run("doctor", status=2, HOSTD_BASE="X").stderr


def test_traffic_is_shown_by_release(ada: Person) -> None:
    ada.run("apps", "create", "busy-app")
    for status in (200, 200, 500):
        ada.server.platform.traffic.note(
            record(time.time() - 2, 0.1, status, "v3", environment="busy-app-production")
        )
    head, release, _, last = ada.run("traffic", "-a", "busy-app").stdout.splitlines()
    assert head.split()[:2] == ["RELEASE", "REQUESTS"]
    assert release.split()[:7] == ["v3", "3", "0.1", "2", "0", "0", "1"]
    assert last == "in the last 60 s; 0 under way now"
    assert json.loads(ada.run("traffic", "-a", "busy-app", "--json").stdout)["errors"] == 1


def test_autoscaling_is_set_shown_and_ended(ada: Person) -> None:
    ada.run("apps", "create", "wide-app")
    where = ("-a", "wide-app")
    assert ada.run("ps", "autoscale", "web", *where).stdout == "web is not autoscaled\n"
    words = ("--min", "1", "--max", "5", "--concurrency", "10", "--p95", "1.5s")
    shown = "web: 1 to 5 instances, 10 requests at once each, 95 % answered within 1500 ms\n"
    assert ada.run("ps", "autoscale", "web", *words, *where).stdout == shown
    assert json.loads(ada.run("ps", "autoscale", *where, "--json").stdout)["max"] == 5
    for wrong in (("--p95", "fast"), ("--max", "0"), ("--off", "--max", "3"), ("worker", "--max", "3")):
        ada.run("ps", "autoscale", *wrong, *where, status=2)
    assert ada.run("ps", "autoscale", "--off", *where).stdout == "web is not autoscaled\n"
