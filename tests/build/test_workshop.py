from hostd.build.recipe import Recipe
from hostd.build.workshop import BUILD_KEY, user_env
from hostd.model.buildpack import parse_project
from hostd.model.manifest import Manifest


def env_of(project: str, **env: str) -> dict[str, str]:
    return user_env(Recipe(Manifest(), (), parse_project(project.encode())), env)


def one(value: str) -> str:
    return f'[[io.buildpacks.build.env]]\nname = "A"\nvalue = "{value}"\n'


def test_without_variables_there_is_no_key() -> None:
    assert env_of("") == {}
    assert env_of("", VITE_TITLE="shop") == {"VITE_TITLE": "shop"}


def test_the_key_changes_with_the_apps_variables_and_with_those_of_project_toml() -> None:
    keys = [
        env_of("", TOKEN="x", **{BUILD_KEY: "k"})[BUILD_KEY],
        env_of(one("1"), TOKEN="x", **{BUILD_KEY: "k"})[BUILD_KEY],
        env_of(one("2"), TOKEN="x", **{BUILD_KEY: "k"})[BUILD_KEY],
        env_of(one("2"), TOKEN="x", **{BUILD_KEY: "l"})[BUILD_KEY],
        env_of(one("2"))[BUILD_KEY],
    ]
    assert keys[0] == "k"
    assert len(set(keys)) == len(keys)
    assert env_of(one("1")) == env_of(one("1"))
    assert env_of(one("1"), A="2")["A"] == "2"
