"""How a locked box is opened at its screen: by what it needs, asked again while that is wrong."""

from __future__ import annotations

from typing import Any

from textual.app import App

from edge.console.advice import words_of
from edge.console.forms import UnlockForm
from edge.console.view import Box
from edge.errors import EdgeError, Needs

__all__ = ["talk_of_unlocking"]


async def talk_of_unlocking(page: App[Any], box: Box, needs: Needs) -> None:
    """Ask until it is open, or somebody leaves it.

    Args:
        page: On which it is asked.
        box: Behind it.
        needs: What opens it.
    """
    wrong = ""
    while isinstance(secret := await page.push_screen_wait(UnlockForm(needs, wrong)), str):
        try:
            await box.unlock(secret, needs)
        except EdgeError as error:
            wrong = words_of(error)
        else:
            return
