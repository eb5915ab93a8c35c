"""Which Dialect each Kind speaks."""

from collections.abc import Mapping

from hostd.forges.base import Dialect
from hostd.forges.gitea import GITEA
from hostd.forges.github import GITHUB
from hostd.forges.gitlab import GITLAB
from hostd.model.forge import Kind

DIALECTS: Mapping[Kind, Dialect] = {Kind.GITHUB: GITHUB, Kind.GITLAB: GITLAB, Kind.GITEA: GITEA}
