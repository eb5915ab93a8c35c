"""Who may what."""

from datetime import UTC, datetime

import pytest

from hostd.control.access import RIGHTS, Action, Right, authorize, no_such_app
from hostd.errors import Forbidden, NotFound
from hostd.model.app import App, User

APP = App(1, "shop", 2, datetime(2026, 11, 25, tzinfo=UTC))
ADMIN, OWNER, OTHER = User(1, "root", True), User(2, "ada", False), User(3, "bob", False)


def test_every_action_has_a_row() -> None:
    assert RIGHTS.keys() == set(Action)


@pytest.mark.parametrize("action", list(Action))
def test_administrators_and_owners_may_do_everything_to_an_app(action: Action) -> None:
    authorize(ADMIN, action, APP)
    authorize(OWNER, action, APP)


@pytest.mark.parametrize("action", [action for action, right in RIGHTS.items() if right is Right.OWNER])
def test_others_hear_that_there_is_no_such_app(action: Action) -> None:
    with pytest.raises(NotFound) as heard:
        authorize(OTHER, action, APP)
    assert heard.value.message == no_such_app("shop").message


@pytest.mark.parametrize("user", [ADMIN, OWNER])
def test_what_is_done_to_an_app_needs_one(user: User) -> None:
    with pytest.raises(Forbidden):
        authorize(user, Action.PUSH)


def test_everybody_may_create_an_app_and_manage_their_tokens() -> None:
    authorize(OTHER, Action.CREATE_APP)
    authorize(OTHER, Action.MANAGE_TOKENS)
