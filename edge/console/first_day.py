"""A factory reset at the screen of the box: the name is typed, and what is lost is said first.

Owns the order of the questions: what exists only here is destroyed by who says so twice. Promises
that a refusal is told in words that hold whether the box has an archive or none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from textual.app import App

from edge.console.forms import Question, ResetForm
from edge.errors import DecisionRefused

__all__ = ["talk_of_reset"]

_REFUSED: Final = "the box is not reset: "
_ANYWAY: Final = "Wait until that has changed; or destroy it anyway, and it is lost for good."


async def talk_of_reset(
    page: App[Any], name: str, reset: Callable[[bool], Awaitable[None]]
) -> None:
    """Ask, and have it done.

    Args:
        page: On which it is asked.
        name: Of the box.
        reset: Does it, by force or not.

    Raises:
        EdgeError: It could not be done, or not even by force.
    """
    lost, is_forced = "", False
    while await page.push_screen_wait(ResetForm(name, lost)) is not None:
        try:
            await reset(is_forced)
        except DecisionRefused as error:
            if is_forced:
                raise
            why = str(error).removeprefix(_REFUSED)
            text = f"{why[:1].upper()}{why[1:]}.\n{_ANYWAY}"
            asked = Question("The box is not reset", text, yes="Destroy it anyway", no="Leave it")
            if not await page.push_screen_wait(asked):
                return
            lost, is_forced = f"Destroyed all the same, though {why}", True
        else:
            return  # the machine starts anew
