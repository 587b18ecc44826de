"""Whether the version on trial has proven itself, as it is asked at every start of the machine.

Owns the verdict and what follows from it: the history, the trial's end, the order that has root go
back. A version that stops before it can be asked is judged by its absence: the loader has counted
down its tries, the version from before runs, and finds that it is not the one on trial. What has to
be proven is not decided here (`edge.proving`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import StrEnum

from edge.errors import EdgeError
from edge.updates.journal import Cause, Deed, Entry, Folder, Order, Trial
from edge.updates.machine import Place

__all__ = ["NotProven", "Verdict", "judge"]

log = logging.getLogger(__name__)


class Verdict(StrEnum):
    """What was found."""

    NOTHING = "nothing on trial"
    NOT_YET = "not started yet"
    """It was written, and the machine has not been started anew since."""
    GOOD = "good"
    BAD = "bad"
    WENT_BACK = "went back"


class NotProven(EdgeError):
    """Something does not work as it has to.

    Args:
        message: What.
        cause: Whether it is the version's fault, or may be.
    """

    def __init__(self, message: str, cause: Cause = Cause.ITSELF) -> None:
        super().__init__(message)
        self.cause = cause


async def judge(
    folder: Folder, place: Place, prove: Callable[[Trial], Awaitable[None]]
) -> tuple[Verdict, str]:
    """Judge; why, if that is not plain.

    Args:
        folder: Has the trial.
        place: The machine.
        prove: Raises ``NotProven`` if something does not work.
    """
    trial = await asyncio.to_thread(folder.trial)
    if trial is None:
        return Verdict.NOTHING, ""
    if place.version != trial.version:
        order = await asyncio.to_thread(folder.order)
        is_ordered = order is not None and order.act == "install"
        if place.boot_id == trial.boot_id or is_ordered:
            return Verdict.NOT_YET, ""
        return await asyncio.to_thread(_went_back, folder, trial)
    try:
        await _proven(prove, trial)
    except NotProven as error:
        await asyncio.to_thread(_bad, folder, trial, error)
        return Verdict.BAD, str(error)
    await asyncio.to_thread(_good, folder, place, trial)
    return Verdict.GOOD, ""


async def _proven(prove: Callable[[Trial], Awaitable[None]], trial: Trial) -> None:
    try:
        await prove(trial)
    except NotProven:
        raise
    except Exception as error:
        log.exception("the gate met a defect")
        raise NotProven(f"the gate met a defect: {type(error).__name__}") from error


def _good(folder: Folder, place: Place, trial: Trial) -> None:
    """Crash order: history -> the order to keep it (Pi) -> the trial's end."""
    folder.note(Deed.GOOD, trial.version, before=trial.before, by=trial.by)
    if place.kind == "rpi":
        folder.write_order(Order(act="keep", version=trial.version))
    folder.drop_trial()


def _bad(folder: Folder, trial: Trial, error: NotProven) -> None:
    """The trial goes on until the version from before has found that it runs again."""
    folder.note(
        Deed.BAD,
        trial.version,
        before=trial.before,
        why=str(error),
        by=trial.by,
        cause=error.cause,
    )
    folder.write_order(Order(act="return", version=trial.version, why=str(error)))


def _went_back(folder: Folder, trial: Trial) -> tuple[Verdict, str]:
    said = _last_word(folder, trial)
    why = said.why if said else "it did not get as far as to say why"
    folder.note(
        Deed.WENT_BACK,
        trial.version,
        before=trial.before,
        why=why,
        by=trial.by,
        cause=said.cause if said else Cause.ITSELF,
    )
    folder.drop_trial()
    log.error(
        "version %s has not proven itself (%s): %s runs again", trial.version, why, trial.before
    )
    return Verdict.WENT_BACK, why


def _last_word(folder: Folder, trial: Trial) -> Entry | None:
    """What the version on trial found wrong itself."""
    for entry in reversed(folder.history()):
        if entry.version == trial.version:
            if entry.deed is Deed.BAD:
                return entry
            if entry.deed is Deed.WRITTEN:
                break
    return None
