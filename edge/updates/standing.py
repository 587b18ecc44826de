"""How it stands with updates, in one value: the same for the command line, the API and the page."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from edge import config
from edge.updates.journal import Deed, Entry, Folder, Found, State, has_failed
from edge.updates.machine import Place

__all__ = ["Failure", "Phase", "Standing", "news", "standing_of"]

_LATE: Final = 14 * 86400.0
"""Seconds after which nobody has to be told any more."""


class Phase(StrEnum):
    """How far the next version has come."""

    NONE = "none"
    """None is known."""
    OFFERED = "offered"
    """The server has one."""
    FETCHING = "fetching"
    READY = "ready"
    """It is here, whole and proven."""
    WAITING = "waiting"
    """It is to be written once nothing comes in."""
    WRITING = "writing"
    """Root writes it into the other slot; the machine starts anew then."""
    TRIAL = "trial"
    """It is written, and has not proven itself yet."""


class Failure(msgspec.Struct, frozen=True):
    """A version that did not work here."""

    version: str
    at: float
    why: str
    went_back: bool
    """It ran, and the one from before runs again."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Times are POSIX seconds."""

    running: str
    """Version."""
    kind: str
    """Of machine."""
    is_image: bool
    """Whether this machine takes updates: it was made from the disk image."""
    server: str
    """``update.url``."""
    by_itself: str
    """``update.by_itself``."""
    phase: Phase
    version: str
    """Which the phase is about; empty if none is."""
    found: Found | None
    """What that is, as far as it is known."""
    fetched_bytes: int
    looked: float
    trouble: str
    hint: str
    since: float
    """When the trouble began."""
    failure: Failure | None
    """The last that failed, unless a newer one has proven itself since."""


def standing_of(settings: config.Update, folder: Folder, place: Place, state: State) -> Standing:
    """How it stands. Blocks."""
    history = folder.history()
    phase, version, found = _phase(folder, state)
    return Standing(
        running=place.shown_version,
        kind=place.kind,
        is_image=bool(place.version),
        server=settings.url,
        by_itself=settings.by_itself,
        phase=phase,
        version=version,
        found=found,
        fetched_bytes=state.synced if phase is Phase.FETCHING else 0,
        looked=state.looked,
        trouble=state.trouble,
        hint=state.hint,
        since=state.since,
        failure=_failure(history),
    )


def news(folder: Folder, now: float) -> str:
    """What went wrong of late, in a sentence; empty if nothing did. Blocks."""
    failure = _failure(folder.history())
    if failure is None or now - failure.at > _LATE:
        return ""
    what = (
        f"Version {failure.version} did not work here, the one from before runs again"
        if failure.went_back
        else f"Version {failure.version} could not be taken"
    )
    return f"{what}: {failure.why}" if failure.why else what


def _phase(folder: Folder, state: State) -> tuple[Phase, str, Found | None]:
    if (trial := folder.trial()) is not None:
        known = state.ready if state.ready and state.ready.version == trial.version else None
        return Phase.TRIAL, trial.version, known
    if (order := folder.order()) is not None and order.act == "install":
        return Phase.WRITING, order.version, state.ready
    if state.wanted is not None:
        return Phase.FETCHING, state.wanted.version, state.wanted
    if state.ready is not None:
        phase = Phase.WAITING if state.install else Phase.READY
        return phase, state.ready.version, state.ready
    if state.offered is not None:
        return Phase.OFFERED, state.offered.version, state.offered
    return Phase.NONE, "", None


def _failure(history: list[Entry]) -> Failure | None:
    for entry in reversed(history):
        if entry.deed is Deed.GOOD:
            return None
        if entry.deed in (Deed.BAD, Deed.WENT_BACK, Deed.NOT_WRITTEN, Deed.UNUSABLE):
            said = has_failed(history, entry.version)
            why = (said.why if said else "") or entry.why
            return Failure(entry.version, entry.at, why, entry.deed is Deed.WENT_BACK)
    return None
