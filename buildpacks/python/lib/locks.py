"""Pinned requirements (pip's requirements file format) from the locks of Poetry and Pipenv. Pure."""

import re
from collections.abc import Iterator
from typing import Any

Toml = dict[str, Any]


def poetry_requirements(lock: Toml, pyproject: Toml) -> list[str]:
    """The packages that the main group needs, as poetry.lock (Poetry 1.1 to 2.x) pins them."""
    packages = lock.get("package", [])
    if any("groups" in package for package in packages):
        chosen = [
            package for package in packages if "main" in package["groups"] and not package.get("optional")
        ]
    else:
        wanted = _reachable(packages, _poetry_direct(pyproject))
        chosen = [package for package in packages if _plain(package["name"]) in wanted]
    old_files = lock.get("metadata", {}).get("files", {})
    hashes = {
        p["name"]: [f["hash"] for f in p.get("files") or old_files.get(p["name"], [])] for p in packages
    }
    sources = [_poetry_line(package) for package in chosen]
    # pip's rule: hashes for all or for none, and a repository or a folder has none.
    with_hashes = all("==" in line for line in sources)
    indexes = {p["source"]["url"] for p in chosen if p.get("source", {}).get("type") == "legacy"}
    return [f"--extra-index-url {url}" for url in sorted(indexes)] + [
        _with_hashes(line, hashes[package["name"]] if with_hashes else [])
        for line, package in zip(sources, chosen, strict=True)
    ]


def _poetry_line(package: Toml) -> str:
    source = package.get("source", {})
    name, marker = package["name"], package.get("markers", "")
    if isinstance(marker, dict):
        marker = marker.get("main", "")
    match source.get("type"):
        case "git":
            line = f"{name} @ git+{source['url']}@{source['resolved_reference']}"
        case "url":
            line = f"{name} @ {source['url']}"
        case "directory" | "file":
            return f"{'-e ' if package.get('develop') else ''}./{source['url']}"
        case _:
            line = f"{name}=={package['version']}"
    return f"{line} ; {marker}" if marker else line


def _poetry_direct(pyproject: Toml) -> set[str]:
    poetry = pyproject.get("tool", {}).get("poetry", {}).get("dependencies", {})
    project = pyproject.get("project", {}).get("dependencies", [])
    names = [
        name for name, value in poetry.items() if not (isinstance(value, dict) and value.get("optional"))
    ]
    return {
        _plain(name)
        for name in [*names, *(re.split(r"[^A-Za-z0-9._-]", item.strip())[0] for item in project)]
    }


def _reachable(packages: list[Toml], start: set[str]) -> set[str]:
    """Locks before Poetry 2 do not say which group a package is for: walk from what the app names."""
    needs = {_plain(p["name"]): {_plain(name) for name in p.get("dependencies", {})} for p in packages}
    seen: set[str] = set()
    todo = list(start)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(needs.get(name, ()))
    return seen


def pipfile_requirements(lock: Toml) -> list[str]:
    """The `default` section of a Pipfile.lock (spec 6)."""
    default = lock.get("default", {})
    with_hashes = all("version" in entry for entry in default.values())
    # "pypi" is what Pipenv calls the public index; it stays what uv takes it for, which may be a mirror.
    sources = [source for source in lock.get("_meta", {}).get("sources", []) if source.get("name") != "pypi"]
    return [
        *(f"--extra-index-url {source['url']}" for source in sources),
        *_pipfile_lines(default, with_hashes),
    ]


def _pipfile_lines(default: Toml, with_hashes: bool) -> Iterator[str]:
    for name, entry in default.items():
        extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
        if "git" in entry:
            line = f"{name}{extras} @ git+{entry['git']}@{entry.get('ref', 'HEAD')}"
        elif "path" in entry:
            line = f"{'-e ' if entry.get('editable') else ''}{entry['path']}"
        elif "file" in entry:
            line = f"{name}{extras} @ {entry['file']}"
        else:
            line = f"{name}{extras}{entry['version']}"
        if entry.get("markers"):
            line += f" ; {entry['markers']}"
        yield _with_hashes(line, entry.get("hashes", []) if with_hashes else [])


def _with_hashes(line: str, hashes: list[str]) -> str:
    return " ".join([line, *(f"--hash={value}" for value in hashes)])


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
