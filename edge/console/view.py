"""What the page on the screen shows: gathered elsewhere, drawn elsewhere. No patient is in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Protocol

from edge.cache.condition import Level
from edge.errors import AccessDenied, Needs
from edge.machine.disks import Disk
from edge.machine.moves import MoveState
from edge.machine.networks import NetworkState
from edge.machine.ports import Port
from edge.machine.wishes import Wish

__all__ = ["Box", "Code", "CodeWrong", "FormerShown", "Person", "SecondFactorNeeded", "View"]


@dataclass(frozen=True, slots=True)
class Code:
    """By which the first admin is made."""

    text: str
    """Empty: one was handed out elsewhere, and can't be shown again."""
    until: float
    """POSIX seconds."""


@dataclass(frozen=True, slots=True)
class FormerShown:
    """What browsers are shown for some hours yet at the former name of a box that was renamed."""

    fingerprint: str
    """As that of the view."""
    host: str
    """Such as ``edge.local``."""
    until: float
    """POSIX seconds."""


@dataclass(frozen=True, slots=True)
class View:
    """The box, for who stands before it."""

    name: str
    sentence: str
    """As the page Now has it."""
    level: Level
    address: str
    """Of the web page, as a browser takes it."""
    addresses: tuple[str, ...] = ()
    """Of the machine, on the network; none: it is on no network."""
    fingerprint: str = ""
    """SHA-256 of the authority (or the certificate) that browsers ask about; empty: no TLS."""
    former: FormerShown | None = None
    """None: the same is shown everywhere."""
    code: Code | None = None
    """None: there is somebody who can log in."""
    troubles: tuple[str, ...] = ()
    """Of the machine."""
    sticks: tuple[str, ...] = ()
    """What is said of each that is in."""
    network: NetworkState = field(default_factory=NetworkState)
    ports: tuple[Port, ...] = ()
    page_by: str = ""
    """The network port by which alone the page is to be reached; empty: by each."""
    page_ports: tuple[Port, ...] = ()
    page_waits: bool = False
    """The settings that are written, such as ``page_by``, are not in force yet."""
    """Those that it may be kept to; none where nothing would keep it to one."""
    update: str = ""
    """What is done with one just now; empty: nothing that anybody need know who stands there."""
    move: MoveState | None = None
    """How far the data is on its way to another disk; None: it does not move."""
    has_machine: bool = False
    """It takes wishes: network settings, restart, power off."""
    needs_login: bool = True
    """Settings are for who logs in; not on a box in which nobody is yet."""
    has_issuer: bool = False
    """Some of its people log in by an identity provider, which nobody can at the screen."""
    is_lab: bool = False
    zone: tzinfo | None = None
    """In which times are told; None: the machine's own."""
    needs: Needs | None = None
    """What it waits for, if it is locked; None if it is open."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who logged in at the screen; an admin."""

    name: str
    session_id: str
    proved: str


class SecondFactorNeeded(Exception):
    """The password was right, and a code is needed beside it; any one of ``factors`` gives one."""

    def __init__(self, factors: tuple[str, ...] = ("totp",)) -> None:
        super().__init__()
        self.factors = factors


class CodeWrong(AccessDenied):
    """The code beside a password that was right is not."""


class Box(Protocol):
    """What the page asks; the tests have one of their own."""

    async def look(self) -> View:
        """How it is now."""

    async def new_code(self) -> Code:
        """Another code for the first admin; the one before is worthless then.

        Raises:
            EdgeError: There is somebody already.
        """

    async def log_in(self, name: str, password: str, second: str) -> Person:
        """Let an admin in.

        Raises:
            SecondFactorNeeded: A code is needed, too.
            CodeWrong: It is another one.
            AccessDenied: They are none, or it was wrong.
        """

    async def log_out(self, person: Person) -> None:
        """They have gone."""

    async def unlock(self, secret: str, needs: Needs) -> None:
        """Open a locked box.

        Args:
            secret: Its passphrase, or the one that it shall have; or its recovery key.
            needs: Which of them.

        Raises:
            EdgeError: That does not open it, or not now.
        """

    async def wish(self, wish: Wish, person: Person | None) -> None:
        """Have the machine do something.

        Args:
            wish: What.
            person: Who wants it; None: whoever stands there.

        Raises:
            EdgeError: It is not for them, or the machine won't.
        """

    async def keep_page(self, port: str, person: Person | None) -> None:
        """Have the page be reached by one network port alone, once the service has begun anew.

        Args:
            port: Which; empty: by each.
            person: Who wants it; None: whoever stands there.

        Raises:
            EdgeError: It is not for them, or can't be said here.
        """

    async def disks(self) -> list[Disk]:
        """Those of the machine, as they are now.

        Raises:
            EdgeError: They can't be looked at.
        """

    async def reset(self, person: Person, *, is_forced: bool) -> None:
        """Have the box be as on its first day.

        Raises:
            EdgeError: Studies exist only here, and it was not forced.
        """
