"""The acceptance protocol: what a technician and a clinic sign when a box is handed over.

It is filled with how the box is at this moment, and is made for paper: what only people can know is
ticked and written by hand. Nothing of it is kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cryptography import x509

from edge import __version__
from edge.access.authority import fingerprint
from edge.access.roles import Act
from edge.cache.network import look
from edge.cache.status import Status
from edge.pages.page import Page, Visit
from edge.pages.words import noted

__all__ = ["CHECKS", "PAGE"]

CHECKS: Final = (
    noted("Each device sent a study, and it opened at a workstation."),
    noted("A study went to the archive and came back, image for image."),
    noted("The line was unplugged: intake went on, and what waited went out afterwards."),
    noted("The power was cut and came back: the box started by itself."),
    noted("The power button switched it off, and on again."),
    noted("The recovery key was typed back from paper, and lies locked away in another building."),
    noted("At least two people can log in as administrators."),
    noted("Those who work here know the first page, and whom to call."),
)
"""What people did, and nobody else can know."""
_STRANGERS: Final = {
    "reject": noted("are turned away"),
    "learn": noted("are turned away and listed: end that before the box is handed over"),
    "accept": noted("may send images: that is for laboratories"),
}


async def fill(visit: Visit) -> Mapping[str, Any]:
    """How the box is, in the words of a form."""
    status, now, words = await visit.means.live.status(), time.time(), visit.words
    looks = await asyncio.to_thread(look)
    address = next((one.found for one in looks if one.what == "address" and one.is_fine), "")
    return {
        "made": f"{words.date(now)}, {words.time(now)}",
        "facts": list(_facts(visit, status, address, now)),
        "checks": CHECKS,
    }


def _facts(visit: Visit, status: Status, address: str, now: float) -> Iterator[tuple[str, str]]:
    """Names, and what holds."""
    words, config = visit.words, visit.means.config
    _ = words.gettext
    yield _("Box"), config.appliance.name
    yield _("Version"), __version__
    yield _("Address of its page"), str(visit.request.url.origin())
    if pem := visit.means.authority():
        found = fingerprint(x509.load_pem_x509_certificate(pem))
        yield _("SHA-256 of the box’s own authority"), found
    port = config.dimse.listen.rpartition(":")[2]
    title = config.dimse.ae_title
    yield (
        "DICOM",
        _("AE title %(title)s, port %(port)s", title=title, port=port)
        if not address
        else _(
            "AE title %(title)s, address %(address)s, port %(port)s",
            title=title,
            address=address,
            port=port,
        ),
    )
    yield _("Devices that nobody let in"), _(_STRANGERS[config.dimse.unknown_peers])
    known = {one.name: one for one in status.archives}
    for archive in config.cloud.archive:
        state = known.get(archive.name)
        if state is None:
            reached = _("not reached yet")
        elif state.online:
            reached = _("reached")
        else:
            reached = _("not reached since %(time)s", time=words.moment(state.since, now))
        yield _("Archive %(name)s", name=archive.name), reached
    if not config.cloud.archive:
        yield _("Archive"), _("none is set up")
    key = status.backups.has_recovery_key
    yield _("Recovery key"), _("there is one") if key else _("there is none")
    last = status.backups.last
    made = words.moment(last[0].made, now) if last else _("None was made yet.")
    yield _("Newest backup"), made
    yield _("Studies"), words.number(status.summary.studies)


PAGE: Final = Page(
    "/acceptance", "acceptance", noted("Acceptance protocol"), Act.ADMINISTER, fill=fill
)
