"""The box's own settings over the admin API: read, tried, changed.

Promises that no secret goes out, or into the record: that gets what was and what is, without them.
What may be changed from here stands in `edge.changing`; who may, is who may ``administer`` and was
not narrowed, and where images go and who stays logged in is for people: a stolen token changes
nothing by which its thief goes on once it is revoked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from edge.access.audit.claim import SAID
from edge.access.former import TERM
from edge.access.roles import Act, Identity, Proof, needs
from edge.access.scope import ANYTHING
from edge.addresses import host_name
from edge.admin.asking import body
from edge.admin.entrance import as_json
from edge.admin.openapi import operation
from edge.admin.page_port import PagePort, check_page_port, shown_ports
from edge.authorities import LONGEST, Authority, AuthorityError, authorities_in, given
from edge.cache.own_settings import Change, Known, OwnSettings, told
from edge.errors import AccessDenied, ConfigError, DecisionRefused
from edge.machine.ports import Port

__all__ = ["Changing", "Running", "check_may_set", "settings_routes"]


@dataclass(frozen=True, slots=True)
class Running:
    """The service, as far as settings are concerned."""

    since: float
    """POSIX seconds: since then they have been in force."""
    setback: str
    """Why the ones that were changed last were taken back; empty if they were not."""
    apply: Callable[[], None]
    """Has the service begin anew."""
    has_own_certificate: bool = True
    """Of an authority of its own, for the names that it has."""
    trusted: Callable[[], Sequence[Authority]] = tuple
    """The clinic's own authorities that the machine trusts. Blocks."""
    page_ports: Callable[[], Sequence[Port]] = tuple
    """The network ports that the page may be kept to. Blocks."""


class SettingList(msgspec.Struct, forbid_unknown_fields=True):
    """All that can be set."""

    settings: list[Known]
    since: float
    setback: str
    trusted: list[Authority]
    """Of the clinic: believed on every way out, since the box was set up."""
    page_ports: list[PagePort]
    """Those that ``http.interface`` may name; none where nothing would keep the page to one."""


class Changing(msgspec.Struct, forbid_unknown_fields=True):
    """What shall be otherwise."""

    changes: Annotated[dict[str, Any], msgspec.Meta(min_length=1, max_length=200)]
    """Names of settings -> values; null: as by default. A secret that is true stays as it is."""


class Wrong(msgspec.Struct, forbid_unknown_fields=True):
    """What can't be so."""

    key: str
    """With the numbers of tables in arrays; empty if it is about no single one."""
    message: str
    hint: str
    near: tuple[str, ...] = ()
    """Values that would do, and are like the one that does not."""


class Tried(msgspec.Struct, forbid_unknown_fields=True):
    """What would become of it."""

    problem: Wrong | None
    changes: list[Change]


class Given(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody gives as the certificate of an authority."""

    pem: str
    """As a text; there may be several, and other lines beside them."""


class Read(msgspec.Struct, forbid_unknown_fields=True):
    """What that is."""

    problem: Wrong | None
    authorities: list[Authority]
    pem: str
    """As it would be kept; empty if it can't be used."""


class Moved(msgspec.Struct, forbid_unknown_fields=True):
    """The box has another name on the LAN."""

    former: str
    """Such as ``edge.local``."""
    host: str
    """Such as ``st-brigid.local``."""
    hours: float
    """The former one, and the certificate that is shown there, hold so long yet."""


class Changed(msgspec.Struct, forbid_unknown_fields=True):
    """What became of it; ``since`` in the list tells when it is in force."""

    changes: list[Change]
    begins_anew: bool
    moved: Moved | None
    """None: its name and certificate stay as they are."""


_NAME: Final = "appliance.name"
_OF_PEOPLE: Final = ("cloud.", "access.")
"""Where images go, and for how long who is in stays in: what outlives a proof that was stolen."""


def check_may_set(asking: Identity, keys: Iterable[str]) -> None:
    """Do nothing if who asks may say these; where images go is among what can be said.

    Raises:
        AccessDenied: They were narrowed: it would get them to what they were kept from. Or it is a
            token, and images would go on going where it said once it is revoked.
    """
    if asking.scope != ANYTHING:
        raise AccessDenied(
            f"{asking.name} was narrowed, and changes no settings",
            hint="have an admin do it who was not, or use edge config set",
            known=True,
        )
    if asking.proof is Proof.TOKEN:
        for key in keys:
            if key.startswith(_OF_PEOPLE):
                raise AccessDenied(
                    f"no token changes {key}: it would hold once the token is revoked",
                    hint="log in as a person, or use edge config set on the machine",
                    known=True,
                )


def settings_routes(
    own: OwnSettings, running: Running, identity: Callable[[web.Request], Identity]
) -> Sequence[web.RouteDef]:
    """``/settings``.

    Args:
        own: The settings.
        running: The service.
        identity: Who asks.
    """

    @operation("Every setting: what it is, and whether it can be changed here.", answer=SettingList)
    @needs(Act.ADMINISTER)
    async def listed(request: web.Request) -> web.Response:
        try:
            known = await own.known()
        except ConfigError as error:
            raise _refused(error) from error
        trusted = list(await asyncio.to_thread(running.trusted))
        ports = await asyncio.to_thread(shown_ports, running.page_ports, request)
        return as_json(SettingList(known, running.since, running.setback, trusted, ports))

    @operation("What would become of a change; nothing is changed.", answer=Tried, body=Changing)
    @needs(Act.ADMINISTER)
    async def check(request: web.Request) -> web.Response:
        wish = await body(request, Changing)
        try:
            changes, _ = await own.check(wish.changes)
            await asyncio.to_thread(check_page_port, wish.changes, running.page_ports, request)
        except ConfigError as error:
            return as_json(Tried(_wrong(error), []))
        return as_json(Tried(None, changes))

    @operation(
        "What a text has that is given as an archive's authority: whose certificates, and until"
        " when they hold; nothing is changed.",
        answer=Read,
        body=Given,
    )
    @needs(Act.ADMINISTER)
    async def read(request: web.Request) -> web.Response:
        said = await body(request, Given)
        request[SAID] = b""  # somebody may give a key by mistake
        return as_json(await asyncio.to_thread(_read, said.pem))

    @operation(
        "Change settings; the service begins anew with them once nothing is under way.",
        answer=Changed,
        body=Changing,
    )
    @needs(Act.ADMINISTER)
    async def change(request: web.Request) -> web.Response:
        wish = await body(request, Changing)
        request[SAID] = b""  # it may have secrets in it, in the middle
        check_may_set(identity(request), wish.changes)
        try:
            await asyncio.to_thread(check_page_port, wish.changes, running.page_ports, request)
            changes = await own.change(wish.changes)
        except ConfigError as error:
            raise _refused(error) from error
        request[SAID] = msgspec.json.encode(told(changes))
        if changes:
            running.apply()
        moved = _moved(changes) if running.has_own_certificate else None
        return as_json(Changed(changes, bool(changes), moved))

    return [
        web.get("/settings", listed),
        web.post("/settings/check", check),
        web.post("/settings/authority", read),
        web.post("/settings", change),
    ]


def _read(pem: str) -> Read:
    try:
        kept = given(pem)
        return Read(None, authorities_in(kept), kept)
    except AuthorityError as error:
        problem = Wrong("authority", str(error), error.hint)
    try:  # of one that ended it is told which it is
        return Read(problem, authorities_in(pem) if len(pem) <= LONGEST else [], "")
    except AuthorityError:
        return Read(problem, [], "")


def _refused(error: ConfigError) -> DecisionRefused:
    return DecisionRefused(error.in_short, hint=error.hint)


def _wrong(error: ConfigError) -> Wrong:
    message = error.what.removeprefix("= ") or str(error)
    return Wrong(error.key, message, error.hint, error.near)


def _moved(changes: Sequence[Change]) -> Moved | None:
    for one in changes:
        if one.key == _NAME:
            former, host = (f"{host_name(name)}.local" for name in (one.before, one.after))
            if former != host:
                return Moved(former, host, TERM.total_seconds() / 3600)
    return None
