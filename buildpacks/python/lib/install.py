"""Makes the venv layer: choose a Python, choose the manifest, install with uv. Runs only when the key changed.

    install.py VENV CACHE PYTHON_LAYER SERVER

VENV is made anew, with one line about the Python in its file `about`; CACHE is uv's; PYTHON_LAYER gets a Python
if the machine's do not do; SERVER ("", "gunicorn", "uvicorn") is added if the dependencies lack it.
"""
# ruff: noqa: TID251, S603, T201, RUF100 - a buildpack is a program beside hostd, not a part of it

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).parent))
from locks import pipfile_requirements, poetry_requirements  # noqa: E402 - isolated mode leaves our folder out

Toml = dict[str, Any]
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def main() -> None:
    venv, cache, python_layer = map(Path, sys.argv[1:4])
    server = sys.argv[4]
    empty(venv)
    uv = Uv(cache, venv)
    wish, asker = wanted_python()
    interpreter = choose_python(uv, wish, asker, python_layer)
    version = subprocess.check_output(
        [interpreter, "-I", "-c", "import platform; print(platform.python_version())"], text=True
    ).strip()
    origin = "uv" if interpreter.is_relative_to(python_layer) else str(interpreter.parent.parent)
    line = f"Python {version} (from {origin}" + (f", chosen by {asker})" if asker else ")")
    print(line, flush=True)
    uv(
        "venv",
        "--quiet",
        "--no-project",
        "--python",
        str(interpreter),
        str(venv),
        what="make a virtual environment",
    )
    (venv / "about").write_text(line)
    install(uv, manifest())
    if server and not (venv / "bin" / server).exists():
        print(f"Adding {server}, which the dependencies lack: better name it among them", flush=True)
        uv("pip", "install", server, what=f"install {server}")


class Uv:
    """uv with everything it may read given: no configuration of the build machine reaches it."""

    def __init__(self, cache: Path, venv: Path) -> None:
        self.program = max(Path("/opt/hostd").glob("uv-*/bin/uv"), default=None) or shutil.which("uv")
        if not self.program:
            fail("uv is not on this machine", "ask its operator to run: hostd doctor")
        self.env = {
            **os.environ,
            "UV_CACHE_DIR": str(cache / "cache"),
            "UV_PROJECT_ENVIRONMENT": str(venv),
            "VIRTUAL_ENV": str(venv),
            "UV_PYTHON_DOWNLOADS": "manual",
            "UV_NO_PROGRESS": "1",
            "UV_COMPILE_BYTECODE": "1",
            # The layer's files may get other modification times, and nobody edits them: no check at import.
            "PYC_INVALIDATION_MODE": "UNCHECKED_HASH",
            "NO_COLOR": "1",
        }
        if Path(CERTIFICATES).exists():
            self.env.setdefault("SSL_CERT_FILE", CERTIFICATES)

    def __call__(self, *words: str, what: str, hint: str = "", env: dict[str, str] | None = None) -> None:
        assert self.program
        if subprocess.run(
            [self.program, *words], env=self.env | (env or {}), stderr=subprocess.STDOUT
        ).returncode:
            fail(f"uv could not {what} (its words are above)", hint)


# --- which Python


def wanted_python() -> tuple[str, str]:
    """A version or a set of specifiers ("" for any), and the file that says so."""
    for name in (".python-version", "runtime.txt"):
        for line in lines(name):
            version = line.removeprefix("python-").removeprefix("cpython-")
            if not re.fullmatch(r"3(\.\d+){0,2}", version):
                fail(
                    f"{name} asks for {line[:60]!r}, which is no Python version",
                    f"write {'3.11'!r} into {name}",
                )
            return version, name
    requires = toml("Pipfile").get("requires", {})
    if version := requires.get("python_full_version") or requires.get("python_version"):
        return str(version), "Pipfile"
    pyproject = toml("pyproject.toml")
    poetry = pyproject.get("tool", {}).get("poetry", {}).get("dependencies", {})
    wish = pyproject.get("project", {}).get("requires-python") or poetry.get("python") or ""
    return (str(wish), "pyproject.toml") if wish else ("", "")


def choose_python(uv: Uv, wish: str, asker: str, layer: Path) -> Path:
    """A Python of the machine if its minor version does, else one that uv can get."""
    here = {minor(path): path for path in machine_pythons()}
    suitable = [number for number in here if satisfies(number, wish)]
    default = Path("/usr/bin/python3").resolve()
    if suitable:
        return default if minor(default) in suitable else here[max(suitable)]
    layer.mkdir(exist_ok=True)
    has = ", ".join(f"3.{number}" for number in sorted(here))
    print(f"Python {wish} is asked for by {asker}; this machine has {has}: trying to download it", flush=True)
    request = wish if re.match(r"[\d<>=!~]", wish) else ">=" + re.sub(r"[^\d.].*", "", wish[1:])
    uv(
        *("python", "install", "--no-bin", "--install-dir", str(layer), request),
        what=f"get Python {wish}, asked for by {asker}",
        hint=f"this machine has Python {has}: ask for that in {asker}, or ask its operator to install python{wish}",
    )
    found = sorted(layer.glob("*/bin/python3"))
    return found[-1] if found else fail(f"uv got Python {wish}, but it is not where it should be", "")


def machine_pythons() -> Iterator[Path]:
    for folder in ("/usr/bin", "/usr/local/bin"):
        for path in Path(folder).glob("python3.*"):
            if re.fullmatch(r"python3\.\d+", path.name):
                yield path


def minor(path: Path) -> int:
    return int(path.name.removeprefix("python3."))


def satisfies(number: int, wish: str) -> bool:
    """Does Python 3.`number` do? Patch levels are not compared: the machine's security updates decide them."""
    return all(
        _satisfies_one(number, part.strip()) for part in wish.split("||")[0].split(",") if part.strip()
    )


def _satisfies_one(number: int, part: str) -> bool:
    found = re.match(r"(\^|~=|~|===?|!=|>=|<=|>|<)?\s*v?3(?:\.(\d+))?(?:\.(\d+|\*))?", part)
    if not found:
        return part.startswith(("<4", "<=4", "*", "<5", "!=")) or (
            part.startswith(">") and part[1:].strip("= ")[:1] == "2"
        )
    sign, asked, patch = found[1] or "==", found[2], found[3]
    if asked is None:
        return sign not in ("<", ">", "!=")
    other = int(asked)
    exclusive = {
        "<": number < other or (number == other and patch not in (None, "0")),
        "!=": number != other or patch is not None,
    }
    return exclusive.get(
        sign,
        {
            "^": number >= other,
            "~": number == other,
            "~=": number == other if patch else number >= other,
            "==": number == other,
            "===": number == other,
            ">=": number >= other,
            "<=": number <= other,
            ">": number > other or (number == other and patch is not None),
        }.get(sign, False),
    )


# --- which manifest


def manifest() -> str:
    """The file the dependencies come from: locks first."""
    pyproject = toml("pyproject.toml")
    packaged = "project" in pyproject or "build-system" in pyproject or "poetry" in pyproject.get("tool", {})
    order = [
        "uv.lock",
        "poetry.lock",
        "Pipfile.lock",
        "requirements.txt",
        *(["pyproject.toml"] * packaged),
        "Pipfile",
        "setup.py",
    ]
    found = [name for name in dict.fromkeys(order) if Path(name).is_file()]
    others = [name for name in found[1:] if name.endswith((".lock", ".txt"))]
    if others:
        print(f"Several files list dependencies: {found[0]} is used, {', '.join(others)} not", flush=True)
    return found[0] if found else ""


def install(uv: Uv, name: str) -> None:
    if not name:
        print("No requirements.txt or other list of dependencies: nothing to install", flush=True)
        return
    print(f"Installing dependencies with uv from {name}", flush=True)
    hint = f"try it at home: uv pip install -r {name}" if name == "requirements.txt" else ""
    what = f"install the dependencies of {name}"
    buildable = "build-system" in toml("pyproject.toml")
    match name:
        case "uv.lock":
            sync = ("sync", "--frozen", "--no-dev", "--no-python-downloads")
            return uv(*sync, what=what, hint="is uv.lock in step with pyproject.toml? run: uv lock")
        case "poetry.lock":
            pinned(uv, poetry_requirements(toml(name), toml("pyproject.toml")), what)
            if buildable and Path("src").is_dir():
                uv("pip", "install", "--no-deps", "--editable", ".", what="install the app itself")
            return None
        case "Pipfile.lock":
            return pinned(uv, pipfile_requirements(json.loads(Path(name).read_text())), what)
        case "requirements.txt":
            return uv("pip", "install", "--requirement", name, what=what, hint=hint)
        case "Pipfile":
            fail("there is a Pipfile but no Pipfile.lock", "run: pipenv lock, and commit Pipfile.lock")
        case "pyproject.toml" if not buildable:
            print(
                "Versions are resolved anew when it changes: a lockfile is safer (run: uv lock)", flush=True
            )
            return uv("pip", "install", "--requirement", name, what=what)
    return uv("pip", "install", "--editable", ".", what=what)


def pinned(uv: Uv, requirements: list[str], what: str) -> None:
    """Install exactly these: a lock's conclusions are not resolved again."""
    path = Path(os.environ.get("TMPDIR", "/tmp")) / "requirements.txt"  # noqa: S108 - the sandbox's own
    path.write_text("\n".join(requirements) + "\n")
    uv("pip", "install", "--no-deps", "--requirement", str(path), what=what)


# --- small things


def toml(name: str) -> Toml:
    try:
        return tomllib.loads(Path(name).read_text())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        fail(f"{name} cannot be read: {error}", "")


def lines(name: str) -> list[str]:
    """The lines of a file that are not blank and no comments; none if it is not there."""
    try:
        text = Path(name).read_text(errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def empty(directory: Path) -> None:
    """The directory itself may be a mount point: it stays."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def fail(message: str, hint: str) -> NoReturn:
    print(f"Error: {message}", flush=True)
    if hint:
        print(hint[0].upper() + hint[1:], flush=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
