"""Links by which a study is shown to somebody who has no log-in: a patient, another doctor.

A link has 256 random bits, of which only the hash is kept, as of a token. It stands behind the
``#`` of an address, which no browser sends: neither a log nor a proxy sees it. Whoever opens it
gets a session (`edge.access.sessions`) that looks at the images of the one study, and does nothing
else; it ends with the link. Promises that a link ends at its time, when somebody ends it, when its
study is erased, and when its maker is disabled, here or by who vouches for them, gets another role,
is narrowed or goes; that a clock which is set back opens none again that was tried after its end;
that it holds for no longer than ``access.link_days`` says by now; that it is for no more addresses
than its maker is; and that what was never a link, and what is over, get the same answer. Who may
make one is the door's to ask; that no token does is asked here, for it would live on in it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from edge.access.acts import Act, Service
from edge.access.roles import Identity, Proof, Role
from edge.access.scope import Scope
from edge.access.sessions import AHEAD_SECONDS, Proved, Sessions, Visitor
from edge.access.throttle import Throttle
from edge.config import Access
from edge.errors import AccessDenied, DecisionRefused, StorageFull
from edge.index import links as table
from edge.index.database import Database
from edge.index.links import LinkRow
from edge.index.sessions import LINK

__all__ = ["Link", "Links", "NewLink", "OneOfAll", "OpenedLink"]

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_MOST = 50
"""Of one study."""
_HOUR, _DAY = 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Link:
    """A link, as it may be shown to who decides about the study. Times are POSIX seconds."""

    link_id: str
    study_uid: str
    maker: str
    note: str = field(repr=False)
    """For whom it is, in the maker's words."""
    created: float
    until: float
    opened: int
    """So many times."""
    last_opened: float
    """0: never."""


@dataclass(frozen=True, slots=True)
class OneOfAll:
    """A link among those of all studies, as admins see it."""

    link: Link
    patient_name: str


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link that was just made."""

    secret: str = field(repr=False)
    """It can't be shown again."""
    link: Link


@dataclass(frozen=True, slots=True)
class OpenedLink:
    """Somebody is in by a link."""

    secret: str = field(repr=False)
    """Of their session."""
    name: str
    """Of the link, in the record."""
    study_uid: str
    until: float


class Links:
    """The links of this box.

    Args:
        database: The index.
        sessions: Of everybody.
        throttle: Of everybody, too.
        settings: ``[access]``.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        sessions: Sessions,
        throttle: Throttle,
        settings: Access,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._throttle = throttle
        self._settings = settings
        self._clock = clock

    async def keep_to_limit(self) -> None:
        """Have those that exist end as soon as ``access.link_days`` has it now; at each start.

        Raises:
            StorageFull: The disk is full; `open` keeps to it all the same.
        """
        longest, now = self._longest(), self._clock()
        await self._database.write(lambda db: table.limit(db, longest, now))

    async def make(self, study_uid: str, hours: float, note: str, maker: Identity) -> NewLink:
        """Make one.

        Args:
            study_uid: Of the study; that its maker may see it has been asked.
            hours: It ends then.
            note: For whom it is.
            maker: Who has it made.

        Raises:
            AccessDenied: Who asks is no person that logged in, or may not look at images.
            DecisionRefused: The box makes none, none for so long, or no more of that study.
        """
        if maker.proof not in (Proof.SESSION, Proof.PASSWORD):
            raise AccessDenied(
                "links are made by people who log in", hint="log in, and make it then", known=True
            )
        # Whoever was kept from images gets to none by a link of their own, in no emergency either.
        usually = replace(maker, emergency="")
        usually.enter(Service.DICOMWEB, Act.READ)
        usually.require(Act.READ)
        if hours > (most := self._longest() / _HOUR):
            raise DecisionRefused(
                f"a link holds for {most:g} hours at the most"
                if most
                else "no links are made here",
                hint="access.link_days says for how long one may hold",
            )
        secret, now = secrets.token_urlsafe(32), self._clock()
        scope = Scope(
            services=frozenset({Service.DICOMWEB}),
            acts=frozenset({Act.READ}),
            networks=maker.scope.networks,
            studies=frozenset({study_uid}),
        )
        row = LinkRow(
            link_id=secrets.token_hex(6),
            digest=_digest(secret),
            study_uid=study_uid,
            maker=maker.name,
            note=note,
            scope=scope.write(),
            created=now,
            until=now + hours * _HOUR,
        )
        if not await self._database.write(lambda db: table.put(db, row, most=_MOST)):
            raise DecisionRefused(
                f"the study has {_MOST} links", hint="end those that nobody needs any more"
            )
        return NewLink(secret, _link(row))

    async def open(self, secret: str, visitor: Visitor) -> OpenedLink:
        """Let somebody in by a link.

        Args:
            secret: Of the link.
            visitor: Who.

        Raises:
            AccessDenied: It is none, or not any more, or not for there; it is not told which.
            TooManyAttempts: Too much that was none came from there.
        """
        row = None
        if _SECRET.fullmatch(secret):
            row = await table.find(self._database, _digest(secret))
        scope = None if row is None else Scope.read(row.scope)
        if row is None or scope is None or not scope.may_come_from(visitor.address):
            self._throttle.wrong_token(visitor.address)
            raise _over()
        link_id, now = row.link_id, self._clock()
        if now >= (until := min(row.until, row.created + self._longest())):
            with suppress(StorageFull):
                await self._database.write(lambda db: table.forget_over(db, now))
            raise _over()
        if row.created > now + AHEAD_SECONDS or row.last_opened > now + AHEAD_SECONDS:
            raise _over()  # one of the two clocks was wrong, and nobody knows how long it held
        name = f"{LINK} {link_id}"
        try:
            opened, _ = await self._sessions.open(
                name,
                Role.VIEWER,
                Proved.LINK,
                visitor,
                issuer=LINK,
                until=until,
                still=lambda db: table.mark_opened(db, link_id, now),
            )
        except AccessDenied:
            raise _over() from None
        return OpenedLink(opened, name, row.study_uid, until)

    async def of_study(self, study_uid: str) -> tuple[Link, ...]:
        """Those of a study that are not over, the newest first."""
        rows = await table.of_study(self._database, study_uid, self._clock())
        return tuple(map(_link, rows))

    async def all(self) -> tuple[OneOfAll, ...]:
        """Those of all studies that are not over, the newest first; a thousand at the most."""
        rows = await table.all_of(self._database, self._clock())
        return tuple(OneOfAll(_link(row), patient) for row, patient in rows)

    async def end(self, link_id: str, study_uid: str) -> bool:
        """End one, and everybody's look at it; False if the study has none that is called so."""
        ended = await self._database.write(lambda db: table.end(db, link_id, study_uid))
        if ended:
            await self._sessions.end_all(f"{LINK} {link_id}", LINK)
        return ended

    def _longest(self) -> float:
        """Seconds for which one may hold."""
        return self._settings.link_days * _DAY


def _link(row: LinkRow) -> Link:
    return Link(
        row.link_id,
        row.study_uid,
        row.maker,
        row.note,
        row.created,
        row.until,
        row.opened,
        row.last_opened,
    )


def _over() -> AccessDenied:
    return AccessDenied(
        "the link opens nothing, or not any more", hint="ask whoever sent it for another"
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
