"""How the python buildpack finds the web process: by reading, never by importing."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.buildpacks import yard

SCRIPT = 'set -eu -o pipefail; shopt -s nullglob; source "$1"; layers=$2; find_web; write_launch'


def web(app: Path, layers: Path) -> str:
    """The command line of the process type that is found, empty if there is none."""
    layers.mkdir()
    library = yard.BUILDPACKS / "python" / "lib" / "web.sh"
    subprocess.run(["bash", "-c", SCRIPT, "bash", library, layers], cwd=app, check=True, capture_output=True)
    processes = tomllib.loads((layers / "launch.toml").read_text()).get("processes", [])
    return str(processes[0]["command"][2]).removeprefix("exec ") if processes else ""


GUNICORN = "--bind 0.0.0.0:$PORT --threads 4 --forwarded-allow-ips '*'"
UVICORN = "--host 0.0.0.0 --port $PORT --proxy-headers --forwarded-allow-ips '*'"
MANAGE = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.config.settings')"


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"app.py": "app = Flask(__name__)"}, f"gunicorn 'app:app' {GUNICORN}"),
        ({"main.py": "api: fastapi.FastAPI = fastapi.FastAPI()"}, f"uvicorn main:api {UVICORN}"),
        ({"shop/__init__.py": "site = Flask('shop')"}, f"gunicorn 'shop:site' {GUNICORN}"),
        ({"src/shop/main.py": "app = FastAPI()"}, f"uvicorn shop.main:app {UVICORN} --app-dir src"),
        (
            {"shop/__init__.py": "def create_app():\n    app = Flask('shop')\n    return app"},
            f"gunicorn 'shop:create_app()' {GUNICORN}",
        ),
        (
            {"main.py": "def create_app():\n    app = FastAPI()\n    return app"},
            f"uvicorn main:create_app --factory {UVICORN}",
        ),
        (
            {"wsgi.py": "app = create_app()", "shop/__init__.py": "def create_app():\n    app = Flask('a')"},
            f"gunicorn 'wsgi:app' {GUNICORN}",
        ),
        ({"app.py": "app = Dash(__name__)"}, f"gunicorn 'app:app.server' {GUNICORN}"),
        ({"manage.py": MANAGE, "shop/config/wsgi.py": ""}, f"gunicorn 'shop.config.wsgi' {GUNICORN}"),
        ({"manage.py": MANAGE, "shop/config/asgi.py": ""}, f"uvicorn shop.config.asgi {UVICORN}"),
        ({"main.py": "print('hello')"}, "python main.py"),
        ({"app.py": "# app = Flask(__name__)"}, "python app.py"),
        ({"requirements.txt": ""}, ""),
        ({"app.py": "app = Flask(__name__)", "Procfile": "web: waitress-serve app:app\n"}, ""),
        (
            {"app.py": "app = Flask(__name__)", "Procfile": "worker: python w.py"},
            f"gunicorn 'app:app' {GUNICORN}",
        ),
    ],
)
def test_the_web_process_is_found(tmp_path: Path, files: dict[str, str], command: str) -> None:
    app = tmp_path / "app"
    for name, text in files.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    assert web(app, tmp_path / "layers") == command


@pytest.mark.parametrize(
    "text",
    [
        "app = Flask(__name__)  # '; touch hacked; '",
        "a$(touch hacked) = Flask(__name__)\nx[$(touch hacked)] = Flask(1)",
        "app=Flask(`touch hacked`)",
        "def create_app(x=$(touch hacked)):\n app = Flask('$(touch hacked)')",
    ],
)
def test_what_an_app_says_is_never_run(tmp_path: Path, text: str) -> None:
    app = tmp_path / "app"
    (app / "a$(touch hacked)").mkdir(parents=True)
    (app / "a$(touch hacked)" / "__init__.py").write_text(text)
    (app / "main.py").write_text(text)
    web(app, tmp_path / "layers")
    assert not list(tmp_path.rglob("hacked"))
