"""Has in the audit what the box does by itself, and what comes in by the drop folder.

What an archive deletes here, and what is erased, is on the disk before the next step is taken; what
it edits, what goes to it and what comes from it is there within a second.
"""

from __future__ import annotations

from edge.access.audit.entry import BOX, Actor, Entry, Event, Kind, Subject
from edge.access.audit.pruning import Pruning
from edge.access.audit.recorder import Audit
from edge.access.audit.syslog import Forwarder
from edge.cache.acts import BoxAct, Deed
from edge.cache.tally import Tally
from edge.config import Config
from edge.supervision import Supervisor

__all__ = ["BoxWitness", "start_audit"]

_EVENTS = {
    Deed.TRASHED: Event.DELETED,
    Deed.ERASED: Event.DELETED,
    Deed.EDITED: Event.PATIENT,
    Deed.WITHDRAWN: Event.DELETED,
    Deed.SENT: Event.SENT,
    Deed.FETCHED: Event.RECEIVED,
}
_BY_ARCHIVE = frozenset({Deed.TRASHED, Deed.EDITED})
"""The archive is who did it."""
_JOINED = frozenset({Deed.SENT, Deed.FETCHED, Deed.WITHDRAWN})
_DROP_FOLDER = Actor("drop folder", Kind.MACHINE)


class BoxWitness:
    """Told of acts of the box.

    Args:
        audit: The record.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def tell(self, act: BoxAct) -> None:
        """Have it in the record; see `edge.cache.acts.Tell`.

        Raises:
            StorageFull: It can't be written, and may not go unrecorded.
        """
        is_theirs = act.deed in _BY_ARCHIVE
        entry = Entry(
            at=self._audit.clock(),
            event=_EVENTS[act.deed],
            actor=Actor(act.archive, Kind.ARCHIVE) if is_theirs else BOX,
            what=str(act.deed),
            about=Subject(act.study_uid),
            target="" if is_theirs else act.archive,
            reason=act.why,
            instances=len({uid for uid, _ in act.seen}),
        )
        if act.deed in _JOINED:
            self._audit.note(entry, act.seen)
        elif act.deed is Deed.EDITED:
            self._audit.put(entry)  # an archive may edit thousands at once
        else:
            await self._audit.record(entry)

    def imported(self, tally: Tally) -> None:
        """A file or a medium was taken in from the drop folder."""
        for study_uid, seen in tally.stored.items():
            entry = Entry(
                at=self._audit.clock(),
                event=Event.IMPORTED,
                actor=_DROP_FOLDER,
                what="drop folder",
                about=Subject(study_uid),
            )
            self._audit.note(entry, seen)


def start_audit(
    supervisor: Supervisor, audit: Audit, config: Config, *, keeps_all: bool = False
) -> None:
    """Start what writes the record, keeps it within its bounds, and sends it elsewhere.

    Args:
        supervisor: Starts it.
        audit: The record.
        config: Its bounds, and where it is sent.
        keeps_all: Nothing of it is removed, whatever the configuration says.
    """
    settings = config.audit
    supervisor.start("audit", audit.run)
    if not keeps_all:
        supervisor.start("audit's bounds", Pruning(settings, audit).run)
    if settings.syslog.server:
        forwarder = Forwarder(
            settings.syslog, audit, box=config.appliance.name, ae_title=config.dimse.ae_title
        )
        supervisor.start("audit's syslog", forwarder.run)
