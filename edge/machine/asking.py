"""The service's side: a wish is left, and its answer waited for.

Promises that a wish is whole when root sees it, and that one which nobody answers is taken back:
nothing is carried out hours later, when nobody thinks of it any more. Only who has begun what must
not be left half done leaves a wish that stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.errors import MachineRefused
from edge.machine.disks import Disk
from edge.machine.places import Places
from edge.machine.wishes import Disks, EraseOld, Move, Stay, Wish, checked, to_bytes

__all__ = ["Answer", "NoAnswer", "answer_to", "ask", "disks_from", "is_there", "leave"]

_PATIENCE: Final = 30.0
_PATIENCE_WITH_DISKS: Final = 110.0
"""Seconds: what is written to a slow disk ends first."""
_LOOK: Final = 0.05


class NoAnswer(MachineRefused):
    """The machine was asked, and did not say in time what became of it."""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a wish."""

    done: bool
    message: str = ""
    """Why not, or what was done."""
    hint: str = ""


def is_there(places: Places) -> bool:
    """Whether this machine takes wishes at all: it is an appliance, or set up as one. Blocks."""
    return os.access(places.requests, os.W_OK | os.X_OK)


async def ask(places: Places, wish: Wish, patience: float | None = None) -> Answer:
    """Have the machine do something.

    Args:
        places: Of this machine.
        wish: What.
        patience: Seconds for the answer; None: as long as such a thing takes.

    Raises:
        MachineRefused: It won't, or could not.
        NoAnswer: It does not answer, so that nobody knows whether it did.
    """
    checked(wish)
    if patience is None:
        is_of_disks = isinstance(wish, Move | Stay | EraseOld)
        patience = _PATIENCE_WITH_DISKS if is_of_disks else _PATIENCE
    request = await asyncio.to_thread(leave, places, wish)
    try:
        return await answer_to(places, request, patience)
    except NoAnswer as error:
        if not await asyncio.to_thread(request.exists):
            raise NoAnswer(
                f"{error}: it has begun with what was wished, and may yet do it",
                hint=f"look whether it was done, or wish it again; {error.hint}",
            ) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(request.unlink)


async def answer_to(places: Places, request: Path, patience: float = _PATIENCE) -> Answer:
    """Wait for the answer to a wish that was left, and leave that where it is.

    Args:
        places: Of this machine.
        request: Its file, see `leave`.
        patience: Seconds for the answer.

    Raises:
        MachineRefused: It won't, could not, or does not answer.
    """
    answer_at, until = places.answers / request.name, time.monotonic() + patience
    while time.monotonic() < until:
        answer = await asyncio.to_thread(_read, answer_at)
        if answer is not None:
            if not answer.done:
                raise MachineRefused(answer.message, hint=answer.hint)
            return answer
        await asyncio.sleep(_LOOK)
    raise NoAnswer(
        "the machine does not answer", hint="systemctl status edge-machine.path edge-machine"
    )


async def disks_from(places: Places) -> list[Disk]:
    """The disks of the machine, as root sees them now.

    Raises:
        MachineRefused: They can't be looked at.
    """
    answer = await ask(places, Disks())
    return msgspec.json.decode(answer.message, type=list[Disk])


def leave(places: Places, wish: Wish) -> Path:
    """Leave a wish, and wait for nothing; its file. Blocks.

    Raises:
        MachineRefused: This machine takes none.
    """
    name = f"{secrets.token_hex(16)}.json"
    unfinished = places.requests / f".{name}.new"
    flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC
    try:
        descriptor = os.open(unfinished, flags, 0o600)
        with open(descriptor, "wb") as opened:  # noqa: PTH123 - of a descriptor
            opened.write(to_bytes(wish))
        return unfinished.rename(places.requests / name)
    except OSError as error:
        raise MachineRefused(
            f"this machine takes no wishes: {places.requests}: {error.strerror}",
            hint="an appliance does; elsewhere, set up edge-machine.path as the README says",
        ) from error


def _read(path: Path) -> Answer | None:
    try:
        data: Any = path.read_bytes()
    except OSError:
        return None
    return msgspec.json.decode(data, type=Answer)
