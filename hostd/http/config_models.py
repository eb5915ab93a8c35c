"""ConfigVars as the API takes and gives them. A secret's value is taken, never given."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from hostd.control.config import Sourced, generated
from hostd.control.groups import GroupDetails
from hostd.errors import Invalid
from hostd.http.models import Taken, Text
from hostd.model.config import (
    GENERATED_LONGEST,
    GENERATED_SHORTEST,
    Config,
    ConfigChange,
    ConfigChanges,
    ConfigVar,
    Scope,
)

GroupName = Annotated[str, Path(max_length=64, examples=["payments"])]
ReleaseNumber = Annotated[int | None, Query(ge=1, le=2**31, examples=[3])]


class ConfigVarChange(Taken):
    """What is wanted of a ConfigVar; a member that is absent or null leaves it as it is.

    `generate` makes a random secret of so many characters, which nobody is shown.
    """

    value: Text | None = Field(None, examples=["hello"])
    generate: StrictInt | None = Field(None, ge=GENERATED_SHORTEST, le=GENERATED_LONGEST, examples=[64])
    secret: StrictBool | None = Field(None, examples=[True])
    scopes: list[Scope] | None = Field(None, min_length=1, max_length=3, examples=[["run", "build"]])


def _plain(given: object) -> object:
    return {"value": given} if isinstance(given, str) else given


ConfigChangesTaken = Annotated[
    dict[
        Text,
        Annotated[
            ConfigVarChange | None,
            BeforeValidator(_plain, json_schema_input_type=Text | ConfigVarChange | None),
        ],
    ],
    Field(
        min_length=1,
        max_length=500,
        examples=[{"GREETING": "hello", "API_KEY": {"value": "s3cret", "secret": True}, "OLD_NAME": None}],
    ),
]


class ConfigVarShown(BaseModel):
    """A ConfigVar. `value` is null for a secret; `source` says where it comes from."""

    value: str | None = Field(examples=["hello"])
    secret: bool = Field(examples=[False])
    scopes: list[Scope] = Field(examples=[["run"]])
    source: str = Field(examples=["own", "group payments", "production", "all previews"])

    @staticmethod
    def of(var: ConfigVar, source: str) -> "ConfigVarShown":
        """The ConfigVar as it is shown."""
        return ConfigVarShown(
            value=None if var.secret else var.value,
            secret=var.secret,
            scopes=[scope for scope in Scope if scope in var.scopes],
            source=source,
        )


class DifferenceShown(BaseModel):
    """A name that is otherwise in the second config. Values that must not be shown are null."""

    model_config = ConfigDict(from_attributes=True)
    name: str = Field(examples=["GREETING"])
    kind: str = Field(examples=["changed"])
    before: str | None = Field(examples=["hello"])
    after: str | None = Field(examples=["good evening"])


class NewGroup(Taken):
    """A ConfigGroup to create."""

    name: StrictStr = Field(examples=["payments"])


class GroupShown(BaseModel):
    """A ConfigGroup, and the Environments it is attached to."""

    name: str = Field(examples=["payments"])
    config: Mapping[str, ConfigVarShown]
    attached_to: Sequence[str] = Field(examples=[["shop-production", "topic--shop"]])

    @staticmethod
    def of(details: GroupDetails) -> "GroupShown":
        """The ConfigGroup as it is shown."""
        return GroupShown(
            name=details.group.name,
            config=config_shown(details.config, f"group {details.group.name}"),
            attached_to=[place.label for place in details.places],
        )


def config_shown(config: Config, source: str) -> dict[str, ConfigVarShown]:
    """ConfigVars that all come from one place."""
    return {name: ConfigVarShown.of(var, source) for name, var in sorted(config.items())}


def sources_shown(sources: Sourced) -> dict[str, ConfigVarShown]:
    """ConfigVars from several places, what is later winning."""
    shown = {
        name: ConfigVarShown.of(var, source) for source, config in sources for name, var in config.items()
    }
    return dict(sorted(shown.items()))


def changes_of(taken: Mapping[str, ConfigVarChange | None]) -> ConfigChanges:
    """What was taken as what `control` works with. Raises Invalid."""
    return {name: _change(name, change) for name, change in taken.items()}


def _change(name: str, change: ConfigVarChange | None) -> ConfigChange | None:
    if change is None:
        return None
    scopes = frozenset(change.scopes) if change.scopes else None
    if change.generate is None:
        return ConfigChange(change.value, change.secret, scopes)
    if change.value is not None or change.secret is False:
        raise Invalid(f"{name} is to be generated: then it has no value of yours, and is a secret")
    return generated(change.generate, scopes)
