"""What is asked about disks at the screen of the box: the data moves to a bigger one, or stays.

Owns the order of the questions: what moves can be ended, an old copy is destroyed before there is
another move, and else a disk is chosen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from textual.app import App

from edge.console.forms import DiskForm, Question
from edge.console.view import Box, View
from edge.machine.wishes import EraseOld, Move, Stay, Wish

__all__ = ["talk_of_disks"]


async def talk_of_disks(
    page: App[Any], box: Box, view: View, wish: Callable[[Wish], Awaitable[bool]]
) -> None:
    """Ask, and have it done.

    Args:
        page: On which it is asked.
        box: Behind it.
        view: Of the box.
        wish: Has the machine do something; whether it did.

    Raises:
        EdgeError: The disks can't be looked at.
    """
    if view.move is not None and not view.move.is_over:
        text = f"{view.move.words}.\nWhat was copied to the new disk is destroyed if it ends."
        asked = Question("The data is moving", text, yes="End the move", no="Let it go on")
        if await page.push_screen_wait(asked):
            await wish(Stay())
        return
    disks = await box.disks()
    if any(disk.is_left for disk in disks):
        text = "\n".join(map(str, disks))
        text += "\n\nThe data is on the new disk. Nobody can open the old copy then."
        asked = Question("Destroy the old copy?", text, yes="Destroy it", no="Keep it")
        if await page.push_screen_wait(asked):
            await wish(EraseOld())
        return
    found = await page.push_screen_wait(DiskForm(disks))
    if isinstance(found, Move):
        await wish(found)
