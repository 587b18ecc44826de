"""Who did what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edge.access.audit.entry import Event
from edge.access.roles import Act
from edge.pages.page import Group, Page, Visit
from edge.pages.words import noted

__all__ = ["EVENTS", "PAGE"]

EVENTS: Final[Mapping[Event, str]] = {
    Event.ACCESSED: noted("Images looked at"),
    Event.SHOWN: noted("Shown in a list"),
    Event.QUERIED: noted("Search"),
    Event.RECEIVED: noted("Images came in"),
    Event.IMPORTED: noted("Images from a medium"),
    Event.SENDING: noted("Sending began"),
    Event.SENT: noted("Images sent"),
    Event.EXPORTED: noted("Data taken away"),
    Event.DELETING: noted("Deleting began"),
    Event.DELETED: noted("Images deleted"),
    Event.SCHEDULED: noted("Worklist changed"),
    Event.PERFORMED: noted("Examination recorded"),
    Event.PATIENT: noted("Patient data changed"),
    Event.LOGGED_IN: noted("Log-in"),
    Event.LOGGED_OUT: noted("Log-out"),
    Event.REFUSED: noted("Turned away"),
    Event.CONNECTED: noted("Device connected"),
    Event.OVERRIDE_STARTED: noted("Emergency access began"),
    Event.OVERRIDE_STOPPED: noted("Emergency access ended"),
    Event.USER: noted("People changed"),
    Event.SECURITY: noted("Tokens and certificates"),
    Event.KEY: noted("Keys of the box"),
    Event.NETWORK: noted("Devices and archives changed"),
    Event.ADMINISTERED: noted("Box changed"),
    Event.SOFTWARE: noted("Configuration loaded"),
    Event.COMMAND: noted("Command on the box"),
    Event.CLOCK: noted("Clock changed"),
    Event.STARTED: noted("Service started"),
    Event.STOPPED: noted("Service stopped"),
    Event.READ_RECORD: noted("Record read"),
    Event.RECORD_STARTED: noted("Record began"),
    Event.RECORD_STOPPED: noted("Record ended"),
    Event.RECORD_DAMAGED: noted("Record damaged"),
    Event.RECORD_PRUNED: noted("Oldest part removed"),
}
"""What events are called, those that people look for first."""


async def fill(visit: Visit) -> Mapping[str, Any]:
    """What can be looked for."""
    return {"events": {str(event): visit.words.gettext(name) for event, name in EVENTS.items()}}


PAGE: Final = Page("/audit", "audit", noted("Audit"), Act.ADMINISTER, Group.BOX, fill=fill)
