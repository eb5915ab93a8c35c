"""Apps as people write them: deployed, updated, and failing well."""

import re
from pathlib import Path

import pytest

from tests.e2e.server import Project

APPS = Path(__file__).parent.parent / "apps"
pytestmark = [pytest.mark.network, pytest.mark.slow]


def change(project: Project, name: str, old: str, new: str) -> None:
    """Change a file and commit."""
    file = project.directory / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    project.commit()


def test_a_django_app_migrates_serves_its_static_files_and_survives_a_bad_migration(project: Project) -> None:
    project.copy(APPS / "django").commit()
    pushed = project.push().output
    assert "Applying shop.0001" in pushed
    page = project.get()
    style = re.search(r"/static/shop/style\.[0-9a-f]+\.css", page.text)
    assert style and project.get(style[0]).status_code == 200

    change(project, "shop/views.py", "The shop has", "Now the shop has")
    assert "Dependencies unchanged" in project.push().output
    assert "Now the shop has" in project.get().text

    migration = "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
    migration += '    dependencies = [("shop", "0001_initial")]\n'
    migration += '    operations = [migrations.RunSQL("no such sql")]\n'
    project.write({"shop/migrations/0002_broken.py": migration}).commit()
    assert "release failed: the release command failed" in project.push(status=1).output
    assert "Now the shop has" in project.get().text


def test_an_express_app_is_compiled_updated_and_survives_a_type_error(project: Project) -> None:
    project.copy(APPS / "express").commit()
    assert "Running the script build: tsc" in project.push().output
    assert project.get().json() == {"hello": "typescript"}

    change(project, "src/server.ts", '"typescript"', '"again"')
    assert "Dependencies unchanged" in project.push().output
    assert project.get().json() == {"hello": "again"}

    change(project, "src/server.ts", "Number(process.env.PORT)", '"not a number" * 2')
    pushed = project.push(status=1).output
    assert "error TS" in pushed
    assert "remote rejected" in pushed
    assert project.get().json() == {"hello": "again"}


def test_a_vite_site_is_built_served_by_the_router_and_survives_a_syntax_error(project: Project) -> None:
    project.copy(APPS / "vite").commit()
    assert "static files, served by the router" in project.push().output
    page = project.get("/any/path/of/the/app").text
    script = re.search(r"/assets/[\w.-]+\.js", page)
    assert script and "immutable" in project.get(script[0]).headers["Cache-Control"]
    assert "Hello from React" in project.get(script[0]).text

    change(project, "src/main.jsx", "Hello from React", "Hello again")
    project.push()
    script = re.search(r"/assets/[\w.-]+\.js", project.get().text)
    assert script and "Hello again" in project.get(script[0]).text

    change(project, "src/main.jsx", "</h1>", "")
    assert "remote rejected" in project.push(status=1).output
    assert project.get(script[0]).status_code == 200
