"""How it stands with updates, in one value: the same for the command line, the API and the page."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from edge import config
from edge.updates.history import Deed, Entry, has_failed
from edge.updates.journal import Folder, Found, State, Trouble
from edge.updates.machine import Place
from edge.updates.versions import Version

__all__ = ["Failure", "Phase", "Standing", "news", "standing_of"]

_LATE: Final = 14 * 86400.0
"""Seconds after which nobody has to be told any more."""
_FAILED: Final = frozenset({Deed.BAD, Deed.WENT_BACK, Deed.NOT_WRITTEN, Deed.UNUSABLE})
_TRIED: Final = frozenset({Deed.FETCHED, Deed.BROUGHT, Deed.ORDERED, Deed.WRITTEN})
"""What there is of another try of a version that has failed."""


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
    is_final: bool
    """It is not taken again by itself."""


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
    here: str
    """An older version that is here, while the phase is about one that the server has; or empty."""
    newer: Found | None
    """What the server has that is newer than what the phase is about."""
    will_install: bool
    """What is on its way is to be written once it is here."""
    needs_again: bool
    """That version has failed here: it is taken only if a person says so."""
    fetched_bytes: int
    written_share: float
    """Of it, while it is written into the other slot: from 0 to 1."""
    looked: float
    unlooked: Trouble | None
    """Why the server could not be asked, until it could."""
    trouble: str
    hint: str
    since: float
    """When the trouble began."""
    next_try: float
    """When what broke off is taken up again; 0 if nothing waits for that."""
    failure: Failure | None
    """The last that failed, unless another try of it is on its way or here, or a newer one has
    proven itself since."""


def standing_of(
    settings: config.Update, folder: Folder, place: Place, state: State, *, next_try: float = 0.0
) -> Standing:
    """How it stands. Blocks."""
    history = folder.history()
    phase, version, found = _phase(folder, state, history)
    offered, ready = state.offered, state.ready
    is_newer = offered is not None and version and Version(version) < Version(offered.version)
    is_here = phase is Phase.OFFERED and ready is not None
    return Standing(
        running=place.shown_version,
        kind=place.kind,
        is_image=bool(place.version),
        server=settings.url,
        by_itself=settings.by_itself,
        phase=phase,
        version=version,
        found=found,
        here=ready.version if is_here and ready is not None else "",
        newer=offered if is_newer else None,
        will_install=state.install and phase is Phase.FETCHING,
        needs_again=bool(version) and has_failed(history, version) is not None,
        fetched_bytes=state.synced if phase is Phase.FETCHING else 0,
        written_share=(folder.written_share(version) or 0.0) if phase is Phase.WRITING else 0.0,
        looked=state.looked,
        unlooked=state.unlooked if settings.url else None,
        trouble=state.trouble,
        hint=state.hint,
        since=state.since,
        next_try=next_try if phase is Phase.FETCHING and state.trouble else 0.0,
        failure=_failure(history, state),
    )


def news(folder: Folder, now: float) -> str:
    """What went wrong of late, in a sentence; empty if nothing did. Blocks."""
    failure = _failure(folder.history(), folder.state())
    if failure is None or now - failure.at > _LATE:
        return ""
    what = (
        f"Version {failure.version} did not work here, the one from before runs again"
        if failure.went_back
        else f"Version {failure.version} could not be taken"
    )
    return f"{what}: {failure.why}" if failure.why else what


def _phase(folder: Folder, state: State, history: list[Entry]) -> tuple[Phase, str, Found | None]:
    if (trial := folder.trial()) is not None:
        known = state.ready if state.ready and state.ready.version == trial.version else None
        return Phase.TRIAL, trial.version, known
    if (order := folder.order()) is not None and order.act == "install":
        return Phase.WRITING, order.version, state.ready
    if state.wanted is not None:
        return Phase.FETCHING, state.wanted.version, state.wanted
    offered, ready = state.offered, state.ready
    if ready is not None and (state.install or not _is_better(offered, ready, history)):
        return Phase.WAITING if state.install else Phase.READY, ready.version, ready
    if offered is not None:
        return Phase.OFFERED, offered.version, offered
    return Phase.NONE, "", None


def _is_better(offered: Found | None, ready: Found, history: list[Entry]) -> bool:
    """Whether what the server has is to be taken in place of what is here."""
    if offered is None or not Version(ready.version) < Version(offered.version):
        return False
    has_worked = has_failed(history, offered.version) is None
    return has_worked or has_failed(history, ready.version) is not None


def _failure(history: list[Entry], state: State) -> Failure | None:
    tried: dict[str, bool] = {}  # by what was said last of a version
    if state.wanted is not None:
        tried[state.wanted.version] = True
    elif state.install and state.ready is not None:
        tried[state.ready.version] = True
    for entry in reversed(history):
        if entry.deed is Deed.GOOD:
            return None
        if entry.deed in _FAILED:
            if tried.get(entry.version):
                return None
            said = has_failed(history, entry.version)
            why = (said.why if said else "") or entry.why
            went_back = entry.deed is Deed.WENT_BACK
            return Failure(entry.version, entry.at, why, went_back, said is not None)
        tried.setdefault(entry.version, entry.deed in _TRIED)
    return None
