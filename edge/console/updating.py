"""What the screen of the box says of an update that is written or has to prove itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edge.updates.journal import Folder
from edge.updates.machine import HERE, Place

__all__ = ["update_said"]

_LEAVE_ON: Final = "leave the power on"


def update_said(data_dir: Path, place: Place = HERE) -> str:
    """It; empty if nothing of the kind is under way. Blocks.

    Args:
        data_dir: Of the box, which may be locked.
        place: The machine.
    """
    folder = Folder(data_dir)
    trial = folder.trial()
    if trial is not None and place.version == trial.version:
        return f"{trial.version} runs, and is checked: {_LEAVE_ON}"
    if trial is not None and place.boot_id == trial.boot_id:
        return f"{trial.version} is written, and the box starts anew soon: {_LEAVE_ON}"
    order = folder.order()
    if trial is not None or order is None or order.act != "install":
        return ""
    share = folder.written_share(order.version)
    if share is None:
        return f"{order.version} is proven, then written: {_LEAVE_ON}"
    return f"{order.version} is written, {share:.0%} so far: {_LEAVE_ON}"
