"""A box behind the page on its screen, in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from edge.cache.condition import Level
from edge.console.view import Code, Person, SecondFactorNeeded, View
from edge.errors import AccessDenied, DecisionRefused, WrongKey
from edge.machine.moves import MoveState
from edge.machine.networks import NetworkState
from edge.machine.wishes import Back, Keep, Move, Network, Stay

__all__ = ["ANNA", "IN_USE", "NEW", "FakeBox"]

IN_USE = View(
    name="radiology",
    sentence="Everything is safe in the cloud.",
    level=Level.SAFE,
    address="https://radiology.local:8443/",
    addresses=("192.168.1.10", "fd00::10"),
    fingerprint=":".join(f"{one:02X}" for one in range(32)),
    has_machine=True,
)
NEW = replace(
    IN_USE,
    sentence="This box is new: open its web page in a browser here; type the set-up code.",
    level=Level.BUSY,
    address="https://radiology.local:8443/welcome",
    code=Code("7K2M-Q0XE-41TR-ZB9D", 1_900_000_000.0),
    needs_login=False,
)
ANNA = Person("anna", "session-1", "password and totp")


class FakeBox:
    """What it was asked, in ``asked``; what it answers is set beside."""

    def __init__(self, view: View = IN_USE) -> None:
        self.view = view
        self.asked = []
        self.wants_second = False
        self.only_here = 0
        self.refuses = ""
        self.looks = []
        self.disks_found = []
        self.fails = None
        self.takes = 0.0
        self.may_end = asyncio.Event()
        """What takes long is over; a test may have it take until then."""
        self.may_end.set()
        self.answers_wishes = asyncio.Event()
        self.answers_wishes.set()
        self.ended = []
        """What went on to its end."""

    async def look(self):
        await asyncio.sleep(self.takes)
        self.looks.append(self.view)
        if self.fails is not None:
            raise self.fails
        return self.view

    async def new_code(self):
        self.asked.append("new code")
        code = Code("AAAA-BBBB-CCCC-DDDD", 1_900_000_000.0)
        self.view = replace(self.view, code=code)
        return code

    async def log_in(self, name, password, second):
        self.asked.append(("log in", name, password, second))
        if (name, password) != ("anna", "right"):
            raise AccessDenied("the name, the password or the code is wrong")
        if self.wants_second and not second:
            raise SecondFactorNeeded
        return ANNA

    async def log_out(self, person):
        self.asked.append(("log out", person.name))

    async def unlock(self, secret, needs):
        self.asked.append(("unlock", secret, needs))
        if secret != "right":
            raise WrongKey("this does not open the box")
        self.view = replace(self.view, needs=None, sentence="Everything is safe in the cloud.")

    async def wish(self, wish, person):
        self.asked.append((wish, None if person is None else person.name))
        await self.answers_wishes.wait()
        if self.fails is not None:
            raise self.fails
        state = self.view.network
        match wish:
            case Network(settings):
                state = NetworkState(state.kept, settings, 1_900_000_000.0)
            case Keep():
                state = NetworkState(state.tried)
            case Back():
                state = NetworkState(state.kept)
            case Move(disk):
                self.view = replace(self.view, move=MoveState("made", disk, 43))
            case Stay():
                self.view = replace(self.view, move=None)
        self.view = replace(self.view, network=state)

    async def keep_page(self, port, person):
        self.asked.append(("keep page", port, None if person is None else person.name))
        if self.refuses:
            raise DecisionRefused(self.refuses)
        self.view = replace(self.view, page_by=port)

    async def disks(self):
        return self.disks_found

    async def reset(self, person, *, is_forced):
        self.asked.append(("reset", person.name, is_forced))
        await self.may_end.wait()
        self.ended.append("reset")
        if self.refuses:
            raise DecisionRefused(self.refuses)
        if self.only_here and not is_forced:
            raise DecisionRefused(f"the box is not reset: {self.only_here} studies exist only here")
