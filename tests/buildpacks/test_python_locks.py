"""The python buildpack reads the locks of Poetry and Pipenv without these programs."""

import json
import subprocess
import sys
from typing import Any

from tests.buildpacks import yard


def requirements(function: str, *arguments: dict[str, Any]) -> list[str]:
    """What a function of the buildpack's lib/locks.py gives, run as the buildpack runs it."""
    program = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import locks;"
        "print(json.dumps(getattr(locks, sys.argv[2])(*json.loads(sys.argv[3]))))"
    )
    words = [sys.executable, "-I", "-B", "-c", program, str(yard.BUILDPACKS / "python" / "lib"), function]
    done = subprocess.run([*words, json.dumps(arguments)], check=True, capture_output=True, text=True)
    return list(json.loads(done.stdout))


def package(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "files": [{"file": name, "hash": "sha256:aa"}], **more}


def test_only_the_main_group_of_a_poetry_lock_is_installed_with_its_hashes_and_markers() -> None:
    lock = {
        "package": [
            package("flask", groups=["main"], markers='python_version < "3.12"'),
            package("pytest", groups=["dev"]),
            package("redis", groups=["main"], optional=True),
            package("click", groups=["main", "dev"], markers={"main": 'os_name == "nt"', "dev": "x"}),
        ]
    }
    assert requirements("poetry_requirements", lock, {}) == [
        'flask==1.0 ; python_version < "3.12" --hash=sha256:aa',
        'click==1.0 ; os_name == "nt" --hash=sha256:aa',
    ]


def test_an_old_poetry_lock_without_groups_is_walked_from_what_the_app_names() -> None:
    lock = {
        "package": [
            package("Flask", dependencies={"Wer_kzeug": ">=2"}),
            package("wer-kzeug"),
            package("pytest"),
        ]
    }
    pyproject = {"tool": {"poetry": {"dependencies": {"python": "^3.11", "flask": "^3"}}}}
    assert requirements("poetry_requirements", lock, pyproject) == [
        "Flask==1.0 --hash=sha256:aa",
        "wer-kzeug==1.0 --hash=sha256:aa",
    ]


def test_a_package_from_a_repository_turns_hashes_off_for_all() -> None:
    source = {"type": "git", "url": "https://example.com/a.git", "resolved_reference": "abc"}
    lock = {"package": [package("a", groups=["main"], source=source), package("b", groups=["main"])]}
    assert requirements("poetry_requirements", lock, {}) == [
        "a @ git+https://example.com/a.git@abc",
        "b==1.0",
    ]


def test_the_default_section_of_a_pipfile_lock_is_installed() -> None:
    lock = {
        "_meta": {
            "sources": [{"name": "pypi", "url": "p"}, {"name": "own", "url": "https://example.com/simple"}]
        },
        "default": {
            "flask": {"version": "==3.0", "hashes": ["sha256:aa", "sha256:bb"], "extras": ["async"]},
            "click": {"version": "==8.0", "hashes": ["sha256:cc"], "markers": "os_name == 'nt'"},
        },
        "develop": {"pytest": {"version": "==8.0"}},
    }
    assert requirements("pipfile_requirements", lock) == [
        "--extra-index-url https://example.com/simple",
        "flask[async]==3.0 --hash=sha256:aa --hash=sha256:bb",
        "click==8.0 ; os_name == 'nt' --hash=sha256:cc",
    ]
