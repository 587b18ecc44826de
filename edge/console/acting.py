"""What a key of the page begins: one thing at a time, and for some of it somebody logs in first."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Any

from textual import work
from textual.app import App, ScreenStackError
from textual.worker import Worker

from edge.console.keys import KeysInOrder
from edge.console.view import Person, View

__all__ = ["Acting", "act", "act_by_person"]


class Acting(App[None]):
    """A page with such keys, without any of its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.keys = KeysInOrder(self)
        self.is_acting = False
        """A key was pressed, and what it began is not over."""
        self.person: Person | None = None
        """Who is logged in."""
        self.view: View | None = None
        """What is shown; None: nothing yet."""


def act(
    doing: Callable[[Any], Coroutine[Any, Any, None]], *, may_log_in: bool = False
) -> Callable[[Any], Worker[None] | None]:
    """What a key begins; nothing, while something is under way that another key began.

    Args:
        doing: It.
        may_log_in: Somebody is asked to log in first, if nobody did.
    """

    @work(group="act")
    async def do(page: Acting) -> None:
        try:
            await doing(page)
        except ScreenStackError:
            if page.screen_stack:
                raise  # else the page ended meanwhile: there is nobody to be asked
        finally:
            page.is_acting = False
            page.keys.end_log_in()

    @wraps(doing)
    def begin(page: Acting) -> Worker[None] | None:
        if page.is_acting:
            return None
        page.is_acting = True
        view = page.view
        is_open = view is not None and view.needs is None and view.needs_login
        if may_log_in and is_open and page.person is None:
            page.keys.begin_log_in()  # what is typed from now on is for that
        return do(page)

    return begin


act_by_person = partial(act, may_log_in=True)
