"""Previews: every branch on a host of its own, and nothing of it in production."""

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from hostd.model.preview import name_of
from tests.e2e.server import Project, Server, serving, wait_for
from tests.e2e.test_push import app

ENV = """
import http.server, json, os, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(json.dumps(dict(os.environ)).encode())
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""
PROCFILE = {"Procfile": "web: exec python3 server.py\n"}


@pytest.fixture(autouse=True, scope="module")
def logged_in(server: Server) -> None:
    """The CLI's home is the server's."""
    server.cli("login", server.url, "--token", server.token)


def see(project: Project, branch: str) -> str:
    """What the preview of `branch` answers."""
    return project.server.get(f"{name_of(branch)}--{project.name}").text


def push(project: Project, branch: str, files: dict[str, str], status: int | None = 0) -> str:
    """Commit `files` on `branch` and push it; what was printed."""
    project.git("checkout", "-q", "-B", branch)
    project.write(files).commit()
    return project.push("hostd", branch, status=status).output


def listed(project: Project) -> list[str]:
    """The branches that have a preview."""
    previews = project.server.api("GET", f"/apps/{project.name}/previews").json()
    return [preview["branch"] for preview in previews]


def instances(server: Server) -> list[str]:
    """The ids in the engine's records."""
    return sorted(path.name for path in (server.data / "data/run/engine/instances").iterdir())


def test_a_branch_is_previewed_updated_and_gone_with_its_deletion(project: Project) -> None:
    project.deploy(app("production"))
    output = push(project, "feature/login", app("first"))
    label = f"{name_of('feature/login')}--{project.name}"
    assert "as a preview of feature/login" in output
    assert f"http://{label}.localhost:{project.server.http_port} is running v1" in output
    assert see(project, "feature/login") == "first"
    assert "is running v2" in push(project, "feature/login", app("second"))
    assert see(project, "feature/login") == "second"
    assert project.get().text == "production"
    assert project.server.get(label).headers["X-Robots-Tag"] == "noindex, nofollow"
    assert "X-Robots-Tag" not in project.get().headers
    output = project.push("hostd", "--delete", "feature/login").output
    assert f"http://{label}.localhost:{project.server.http_port} is removed" in output
    assert project.server.get(label).headers["X-Hostd-Error"] == "H81"
    assert [name for name in instances(project.server) if label in name] == []
    wait_for(lambda: listed(project) == [], 5)
    assert project.get().text == "production"
    assert "is running v1" in push(project, "feature/login", app("again"))
    assert see(project, "feature/login") == "again"


def test_a_preview_without_new_dependencies_does_no_dependency_work_and_is_quick(project: Project) -> None:
    project.deploy(app("production"))
    project.git("checkout", "-q", "-b", "topic")
    project.write(app("topic")).commit()
    started = time.monotonic()
    project.push("hostd", "topic")
    assert time.monotonic() - started < 5  # 0.3 s on an idle machine
    assert see(project, "topic") == "topic"


def test_branches_of_any_name_have_hosts_of_their_own(project: Project) -> None:
    branches = [
        "Topic",
        "topic",
        "v12",
        "production",
        "h\u00f6he/\u65e5\u672c",
        "x" * 239,
        "-rf",
        "a'b\"c;$(id)",
    ]
    for number, branch in enumerate(branches):
        project.write(app(str(number))).commit()
        project.push("hostd", f"HEAD:refs/heads/{branch}")
    assert [see(project, branch) for branch in branches] == [str(n) for n in range(len(branches))]
    assert listed(project) == branches


def test_config_of_production_never_reaches_a_preview(project: Project) -> None:
    server, name = project.server, project.name
    server.cli("config", "set", "-a", name, "SECRET=of-production", "SHARED=production")
    server.cli("config", "set", "-a", name, "--previews", "SHARED=previews", "OVERLAY=all")
    project.deploy({"server.py": ENV, **PROCFILE})
    push(project, "topic", {"server.py": ENV + "\n", **PROCFILE})
    server.cli("config", "set", "-a", name, "--preview", "topic", "OVERLAY=one", "OWN=topic")
    seen = server.get(f"topic--{name}").json()
    assert "SECRET" not in seen
    assert (seen["SHARED"], seen["OVERLAY"], seen["OWN"]) == ("previews", "one", "topic")
    assert (seen["HOSTD_ENVIRONMENT"], seen["HOSTD_BRANCH"]) == ("topic", "topic")
    production = project.get().json()
    assert (production["SECRET"], production["SHARED"]) == ("of-production", "production")
    assert (production["HOSTD_ENVIRONMENT"], production["HOSTD_BRANCH"]) == ("production", "main")
    assert {"OVERLAY", "OWN"}.isdisjoint(production)
    assert server.cli("config", "unset", "-a", name, "-e", "topic", "OVERLAY").endswith("live without it\n")
    assert server.get(f"topic--{name}").json()["OVERLAY"] == "all"


def test_a_preview_runs_one_of_each_process_of_its_own_procfile(project: Project) -> None:
    project.deploy(app("production"))
    project.server.cli("ps", "scale", "-a", project.name, "web=2")
    procfile = "web: exec python3 server.py\nworker: exec sleep 1000\nrelease: echo in $HOSTD_ENVIRONMENT\n"
    output = push(project, "topic", {**app("topic"), "Procfile": procfile})
    assert "in topic" in output
    assert "web x 1" in output
    assert "worker x 1" in output
    assert project.server.cli("ps", "-a", project.name).count("web.") == 2
    shown = project.server.cli("ps", "-a", project.name, "-e", "topic")
    assert (shown.count("web."), shown.count("worker.")) == (1, 1)
    project.server.cli("ps", "-a", project.name, "-e", "topic", "scale", "worker=0")
    assert "worker." not in project.server.cli("ps", "-a", project.name, "-e", "topic")
    assert project.server.cli("ps", "-a", project.name).count("web.") == 2


def test_a_first_push_that_fails_leaves_no_preview_and_a_later_one_changes_nothing(project: Project) -> None:
    project.deploy(app("production"))
    broken = {"hostd.toml": '[build]\ncommand = "exit 3"\n'}
    assert "build failed:" in push(project, "topic", {**app("x"), **broken}, status=1)
    assert listed(project) == []
    dying = {"server.py": "import sys; sys.exit(4)", "hostd.toml": "", **PROCFILE}
    assert "web exited with status 4" in push(project, "topic", dying, status=1)
    assert listed(project) == []
    assert project.server.get(f"topic--{project.name}").headers["X-Hostd-Error"] == "H81"
    push(project, "topic", app("good"))
    push(project, "topic", dying, status=1)
    assert see(project, "topic") == "good"
    assert project.get().text == "production"


def test_previews_have_releases_rollbacks_and_logs_of_their_own(project: Project) -> None:
    server, name = project.server, project.name
    project.deploy(app("production"))
    push(project, "topic", app("one"))
    push(project, "topic", app("two"))
    assert "rollback to v1" in server.cli("rollback", "-a", name, "-e", "topic")
    assert see(project, "topic") == "one"
    assert "v3" in server.cli("releases", "-a", name, "-e", "topic")
    assert "v2" not in server.cli("releases", "-a", name)
    server.get(f"topic--{name}", "/only-here")
    wait_for(lambda: "/only-here" in server.cli("logs", "-a", name, "-e", "topic"), 10)
    assert "/only-here" not in server.cli("logs", "-a", name)
    assert f"topic--{name}.localhost" in server.cli("apps", "info", name, "-e", "topic")
    assert "no preview of 'other'" in server.cli("logs", "-a", name, "-e", "other", status=3)


def test_promote_takes_the_image_of_a_preview_to_production_without_a_build(
    project: Project, another: Callable[[], Project]
) -> None:
    server, name = project.server, project.name
    server.cli("config", "set", "-a", name, "PLACE=production")
    project.deploy({"server.py": ENV, **PROCFILE})
    push(project, "topic", {"server.py": ENV + "# promoted\n", **PROCFILE})
    image = server.api("GET", f"/apps/{name}/releases/1?preview=topic").json()["image"]
    output = server.cli("promote", "topic", "-a", name)
    assert "Building" not in output
    assert "main stays where it is" in output
    release = server.api("GET", f"/apps/{name}/releases/2").json()
    assert (release["image"], release["state"]) == (image, "live")
    assert release["reason"] == "promoted topic v1"
    assert project.get().json()["PLACE"] == "production"
    assert project.get().json()["HOSTD_ENVIRONMENT"] == "production"
    project.push("hostd", "--delete", "topic")
    assert project.get().json()["HOSTD_RELEASE"] == "v2"
    other = another()
    assert "no preview of 'topic'" in server.cli("promote", "topic", "-a", other.name, status=3)
    assert "no preview of 'main'" in server.cli("promote", "main", "-a", name, status=3)


def test_another_branch_can_be_production(project: Project) -> None:
    project.deploy(app("main"))
    project.server.cli("apps", "set", "-a", project.name, "--production-branch", "trunk")
    assert project.get().text == "main"
    assert "as a preview of" not in push(project, "trunk", app("trunk"))
    assert project.get().text == "trunk"
    assert "as a preview of main" in push(project, "main", app("main again"))
    assert (project.get().text, see(project, "main")) == ("trunk", "main again")
    assert "deletion of trunk refused" in project.push("hostd", "--delete", "trunk", status=1).output
    project.push("hostd", "--delete", "main")
    project.git("clone", "-q", project.git("remote", "get-url", "hostd"), "copy")
    assert (project.directory / "copy/server.py").read_text() == app("trunk")["server.py"]
    refused = project.server.cli("apps", "set", "-a", project.name, "--production-branch", "a..b", status=2)
    assert "invalid ref name" in refused


def test_of_several_branches_in_one_push_one_deploys_and_the_others_can_be_created(project: Project) -> None:
    project.write(app("all")).commit()
    output = project.push("hostd", "main", "main:one", "main:two").output
    assert f"http://{project.name}.localhost" in output
    assert "one stored, not deployed: main does; for a preview: hostd previews create one" in output
    assert listed(project) == []
    assert "is running v1" in project.server.cli("previews", "create", "one", "-a", project.name)
    assert see(project, "one") == "all"
    project.write(app("both")).commit()
    output = project.push("hostd", "main:one", "main:two").output
    assert "two stored, not deployed: one branch at a time does" in output
    assert see(project, "one") == "all"
    project.push("hostd", ":one", ":two")
    assert listed(project) == []
    assert "no branch 'one'" in project.server.cli("previews", "create", "one", "-a", project.name, status=3)


def test_previews_can_be_switched_off_and_put_behind_a_password(project: Project) -> None:
    server, name = project.server, project.name
    project.deploy(app("production"))
    push(project, "topic", app("topic"))
    assert "behind a password" in server.cli("previews", "password", "open sesame", "-a", name)
    assert server.get(f"topic--{name}").status_code == 401
    assert server.get(f"topic--{name}", auth=("anyone", "open sesame")).text == "topic"
    assert project.get().text == "production"
    push(project, "late", app("late"))
    assert server.get(f"late--{name}").status_code == 401
    server.cli("previews", "password", "--off", "-a", name)
    assert see(project, "topic") == "topic"
    assert "are off" in server.cli("previews", "off", "-a", name)
    assert "never stored, not deployed: only main deploys" in push(project, "never", app("never"))
    assert listed(project) == ["topic", "late"]
    assert "kept 3 days" in server.cli("previews", "ttl", "3", "-a", name)
    server.cli("previews", "destroy", "topic", "-a", name)
    assert listed(project) == ["late"]
    assert "topic" not in server.cli("previews", "-a", name)


@pytest.fixture
def own() -> Iterator[Server]:
    """A Server that a test may kill."""
    with serving() as server:
        yield server


def test_previews_outlive_hostd_and_a_first_push_that_was_cut_off_leaves_none(own: Server) -> None:
    project = own.create("shop")
    project.deploy(app("production"))
    push(project, "topic", app("topic"))
    before = instances(own)
    project.git("checkout", "-q", "-b", "late")
    project.write({"hostd.toml": '[build]\ncommand = "sleep 60"\n'}).commit()
    process = subprocess.Popen(
        ["git", "push", "hostd", "late"], cwd=project.directory, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    for line in process.stderr:
        if "Detecting" in line:
            break
    assert listed(project) == ["topic", "late"]
    own.kill()
    process.communicate()
    assert see(project, "topic") == "topic"
    own.start()
    assert listed(project) == ["topic"]
    assert instances(own) == before
    assert "is running v2" in push(project, "topic", {**app("two"), "hostd.toml": ""})
    assert "is running v1" in push(project, "late", app("late"))
    assert see(project, "late") == "late"


def test_destroying_an_app_destroys_its_previews(own: Server) -> None:
    project = own.create("shop")
    project.deploy(app("production"))
    push(project, "topic", app("topic"))
    own.api("DELETE", "/apps/shop?confirm=shop")
    assert own.get("topic--shop").headers["X-Hostd-Error"] == "H81"
    assert instances(own) == []
    assert list((own.data / "data/apps").iterdir()) == []
