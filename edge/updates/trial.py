"""Whether the version on trial has proven itself, as it is asked at every start of the machine.

Owns the verdict and what follows from it: the history, the trial's end, the order that has root go
back. A version that stops before it can be asked is judged by its absence: the loader has counted
down its tries, the version from before runs, and finds that it is not the one on trial. A Pi's
counts nothing, and starts the version from before at once: there it is counted here how often the
machine was told to start the other one. Where nothing is known of a trial any more, and the loader
counts all the same, the version that runs is judged as any other, and root finds what to go back
to. What has to be proven is not decided here (`edge.proving`).

Promises that a disk which takes no more costs a line of the history, and no verdict: what says what
to do is written first, in the place of bundles, if there is no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import partial
from typing import Any

from edge.errors import EdgeError
from edge.updates.history import Cause, Deed, Entry
from edge.updates.journal import TRIES, Folder, Order, Trial
from edge.updates.machine import Place

__all__ = ["NotProven", "Verdict", "judge"]

log = logging.getLogger(__name__)

_MOST = 500
"""Characters of why it is gone back from a version."""


class Verdict(StrEnum):
    """What was found."""

    NOTHING = "nothing on trial"
    NOT_YET = "not started yet"
    """It was written, and the machine has not been started anew since; or is to try it again."""
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
        return await _judge_unknown(folder, place, prove)
    if (await asyncio.to_thread(place.machine)).version != trial.version:
        return await asyncio.to_thread(_other_runs, folder, place, trial)
    try:
        await _proven(prove, trial)
    except NotProven as error:
        await asyncio.to_thread(_bad, folder, trial, error)
        return Verdict.BAD, str(error)
    await asyncio.to_thread(_good, folder, place, trial)
    return Verdict.GOOD, ""


async def _judge_unknown(
    folder: Folder, place: Place, prove: Callable[[Trial], Awaitable[None]]
) -> tuple[Verdict, str]:
    """What its loader counts would be blessed unseen: ``trial.json`` was lost, or is damaged."""
    if not await asyncio.to_thread(lambda: place.is_counted):
        return Verdict.NOTHING, ""
    version = (await asyncio.to_thread(place.machine)).version
    trial = Trial(version=version, before="", boot_id="")
    log.warning(
        "what is known of the trial of version %s is lost: it is judged all the same", version
    )
    try:
        await _proven(prove, trial)
    except NotProven as error:
        why, cause = str(error), error.cause
        await asyncio.to_thread(partial(_note, folder, Deed.BAD, trial, why=why, cause=cause))
        return Verdict.BAD, why
    await asyncio.to_thread(_note, folder, Deed.GOOD, trial)
    await asyncio.to_thread(folder.drop_trial)
    return Verdict.GOOD, ""


def _other_runs(folder: Folder, place: Place, trial: Trial) -> tuple[Verdict, str]:
    """The version from before runs: whether that is so because the other one does not."""
    order = folder.order()
    is_ordered = order is not None and order.act == "install"
    if place.boot_id == trial.boot_id or is_ordered:
        return Verdict.NOT_YET, ""
    said = _last_word(folder, trial)
    if place.kind == "rpi" and said is None and trial.tries < TRIES:
        again = Order(act="try", version=trial.version)
        _with_room(folder, partial(folder.write_order, again))
        return Verdict.NOT_YET, f"the machine was told {trial.tries} times to start it"
    return _went_back(folder, trial, said)


async def _proven(prove: Callable[[Trial], Awaitable[None]], trial: Trial) -> None:
    try:
        await prove(trial)
    except NotProven:
        raise
    except Exception as error:
        log.exception("the gate met a defect")
        raise NotProven(f"the gate met a defect: {type(error).__name__}") from error


def _good(folder: Folder, place: Place, trial: Trial) -> None:
    """Crash order: history -> the trial's end. On a Pi root ends it, once the version is kept."""
    _note(folder, Deed.GOOD, trial)
    if place.kind == "rpi":
        order = Order(act="keep", version=trial.version)
        _with_room(folder, partial(folder.write_order, order))
    else:
        folder.drop_trial()


def _bad(folder: Folder, trial: Trial, error: NotProven) -> None:
    """The trial goes on until the version from before has found that it runs again.

    Crash order: the order -> history. Root may begin the first before there is the second.
    """
    order = Order(act="return", version=trial.version, why=str(error)[:_MOST])
    try:
        _with_room(folder, partial(folder.write_order, order))
    finally:
        _note(folder, Deed.BAD, trial, why=str(error), cause=error.cause)


def _went_back(folder: Folder, trial: Trial, said: Entry | None) -> tuple[Verdict, str]:
    why = said.why if said else "it did not get as far as to say why"
    cause = said.cause if said else Cause.ITSELF
    _note(folder, Deed.WENT_BACK, trial, why=why, cause=cause)
    folder.drop_trial()
    log.error(
        "version %s has not proven itself (%s): %s runs again", trial.version, why, trial.before
    )
    return Verdict.WENT_BACK, why


def _note(folder: Folder, deed: Deed, trial: Trial, **more: Any) -> None:
    """Have it in the history, if the disk takes it."""
    note = partial(folder.note, deed, trial.version, before=trial.before, by=trial.by, **more)
    try:
        _with_room(folder, note)
    except OSError as error:
        log.error("that version %s is %s can't be kept: %s", trial.version, deed, error)


def _with_room(folder: Folder, write: Callable[[], object]) -> None:
    """Write something; if there is no room, then where bundles were.

    Raises:
        OSError: There is none even so.
    """
    try:
        write()
    except OSError:
        folder.keep_only()
        write()


def _last_word(folder: Folder, trial: Trial) -> Entry | None:
    """What the version on trial found wrong itself."""
    for entry in reversed(folder.history()):
        if entry.version == trial.version:
            if entry.deed is Deed.BAD:
                return entry
            if entry.deed is Deed.WRITTEN:
                break
    return None
