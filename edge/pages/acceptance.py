"""The acceptance protocol: what a technician and a clinic sign when a box is handed over.

It is filled with how the box is at this moment, and is made for paper: what only people can know is
ticked and written by hand. Nothing of it is kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509

from edge.access.authority import fingerprint
from edge.access.roles import Act
from edge.addresses import host_and_port, is_everywhere
from edge.cache.network import look
from edge.cache.page_address import page_addresses
from edge.cache.status import Status
from edge.config import Config
from edge.machine.disk_key import groups_of
from edge.machine.page_port import page_found
from edge.machine.places import Places
from edge.pages.page import Page, Visit
from edge.pages.words import Words, noted
from edge.updates.machine import HERE

__all__ = ["CHECKS", "PAGE", "disk_key_of"]

CHECKS: Final = (
    noted("Each device sent a study, and it opened at a workstation."),
    noted("A study went to the archive and came back, image for image."),
    noted(
        "The line out of the house was unplugged: images came in and opened, and what waited went"
        " out afterwards."
    ),
    noted(
        "The power was cut while a study was sent: the box started by itself, with all that the"
        " device counted as sent."
    ),
    noted("The power button switched it off within a minute, and on again: nothing was lost."),
    noted("The recovery key was typed back from paper, and lies locked away in another building."),
    noted(
        "It stands behind a lock, its firmware with a password; or its disk’s key is on a stick"
        " that was taken out."
    ),
    noted("At least two people can log in as administrators."),
    noted("Those who work here know the first page, and whom to call."),
)
"""What people did, and nobody else can know; `image/README.md` says how."""
_DISK_KEYS: Final = {
    "tpm2": noted("in the TPM: whoever carries the whole machine away has it, too"),
    "recovery": noted(
        "in the TPM, which did not give it at the last start: its recovery key was typed"
    ),
    "stick": noted("on a stick, without which the box does not start"),
    "esp": noted("on the disk itself: whoever takes the disk has it, too"),
}
"""As the image's program that opens the data names them (``image/libexec/disk``)."""
_DISK_PAPERS: Final = {
    False: noted("there is one, and it was shown so as to be printed"),
    True: noted("there is one, and nobody was shown it: print it on the page Backup"),
}
"""Whether nobody was shown the one that is in force."""
_STRANGERS: Final = {
    "reject": noted("are turned away"),
    "learn": noted("are turned away and listed: end that before the box is handed over"),
    "accept": noted("may send images: that is for laboratories"),
}


async def fill(visit: Visit) -> Mapping[str, Any]:
    """How the box is, in the words of a form."""
    status, now, words = await visit.means.live.status(), time.time(), visit.words
    machine = await asyncio.to_thread(_machine, visit.means.config)
    return {
        "made": _when(words, now),
        "facts": list(_facts(visit, status, machine)),
        "checks": CHECKS,
    }


@dataclass(frozen=True, slots=True)
class _Machine:
    address: str
    """Its addresses, with commas between them; empty: none leads anywhere."""
    page: str
    """Where its page is, whatever the browser calls it that asks."""
    version: str
    """Of its system."""
    disk_key: str
    """As `disk_key_of`."""
    has_paper: bool
    """Whether the disk has a recovery key of its own."""


def _machine(config: Config) -> _Machine:
    """What it says of itself. Blocks."""
    places = Places()
    address = next((one.found for one in look() if one.what == "address" and one.is_fine), "")
    found = address.split(", ") if address else []
    of_page = page_found(places, config.http.interface, found)
    page = ", ".join(page_addresses(config, places.firewall, of_page))
    return _Machine(address, page, HERE.shown_version, disk_key_of(places), bool(groups_of(places)))


def disk_key_of(places: Places) -> str:
    """Where the key is that opens the data at a start, in words; empty: the image did not open it.

    Blocks.
    """
    try:
        how = (places.own_disk / "key").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return _DISK_KEYS.get(how, "")


def _when(words: Words, moment: float) -> str:
    """On paper a time is nothing without its day."""
    return f"{words.date(moment)}, {words.time(moment)}"


def _facts(visit: Visit, status: Status, machine: _Machine) -> Iterator[tuple[str, str]]:
    """Names, and what holds."""
    words, config = visit.words, visit.means.config
    _ = words.gettext
    yield _("Box"), config.appliance.name
    yield _("Version"), machine.version
    if machine.disk_key:
        yield _("Key of the disk"), _(machine.disk_key)
    if machine.has_paper:
        yield _("Recovery key of the disk"), _(_DISK_PAPERS[status.disk_key_unseen])
    yield _("Address of its page"), machine.page
    if pem := visit.means.authority():
        found = fingerprint(x509.load_pem_x509_certificate(pem))
        yield _("SHA-256 of the box’s own authority"), found
    host, port = host_and_port(config.dimse.listen.strip() or config.dimse.tls_listen)
    address = machine.address if is_everywhere(host) else host
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
            reached = _("not reached since %(time)s", time=_when(words, state.since))
        yield _("Archive %(name)s", name=archive.name), reached
    if not config.cloud.archive:
        yield _("Archive"), _("none is set up")
    key = status.backups.has_recovery_key
    yield _("Recovery key"), _("there is one") if key else _("there is none")
    last = status.backups.last
    made = _when(words, last[0].made) if last else _("None was made yet.")
    yield _("Newest backup"), made
    yield _("Studies"), words.number(status.summary.studies)


PAGE: Final = Page(
    "/acceptance", "acceptance", noted("Acceptance protocol"), Act.ADMINISTER, fill=fill
)
