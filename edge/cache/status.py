"""The state of the box in one value, the same for the command line, the API and the web page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec

from edge.cache.backup import Overview
from edge.cache.emergencies import EmergencyState
from edge.cache.ending import EndingAuthority, EndingCertificate, EndingToken
from edge.cache.lost_secrets import LostSecret
from edge.cache.worklist import SourceState
from edge.dicom.instance import Custody
from edge.index.commitments import Standing
from edge.index.remote import ArchiveState
from edge.index.summary import Summary, WaitingStudy
from edge.machine.health import MachineState

__all__ = [
    "FOUND",
    "HTTPS",
    "LINE",
    "MEMORY",
    "OBJECTS",
    "SETTINGS",
    "AuditState",
    "Cages",
    "LineState",
    "Parts",
    "PrefetchState",
    "ProcedureState",
    "ReadLine",
    "Standing",
    "Status",
    "WaitingStudy",
]

LINE = "line"
"""The cursor under which sync keeps what it counted and measured."""

Parts = Mapping[str, str]
"""Part of the service -> "running", or why it is not."""

Cages = Mapping[str, str]
"""Process of the service -> what the kernel refused its cage (`edge.cage`); empty: nothing."""

MEMORY = "memory"
"""Among them: what endangers the service's own, in whole words."""

SETTINGS, HTTPS, OBJECTS = "settings", "https", "objects"
FOUND = frozenset({SETTINGS, HTTPS, OBJECTS})
"""Among them, too: what the start found damaged, and did not end for, in whole words."""


@dataclass(frozen=True, slots=True)
class LineState:
    """What sync may use of the line, and how fast it is. Times are POSIX seconds."""

    waits: str = ""
    """Why sync waits; empty if it does not."""
    waits_until: float | None = None
    upload_kbps: int | None = None
    """The limit of now, in kbit/s; None is none, 0 lets nothing through."""
    download_kbps: int | None = None
    month_sent_bytes: int = 0
    month_received_bytes: int = 0
    """What viewers fetched counts, too."""
    budget_bytes: int = 0
    """Of a month; 0 means that there is none."""
    budget_left_bytes: int | None = None
    budget_renewed: float | None = None
    """When the next month begins."""
    upload_speed: float | None = None
    """Bytes a second, as measured of late."""
    download_speed: float | None = None
    backlog_eta: float | None = None
    """When all that waits will be there; None if that can't be said, as while the line is down."""
    studies: tuple[WaitingStudy, ...] = ()
    """That wait, in the order in which they go; the first hundred."""


@dataclass(frozen=True, slots=True)
class PrefetchState:
    """What is to come before anybody asks for it."""

    studies: int = 0
    """Priors, reports and what people pinned; as soon as there is room and the line is open."""
    later: int = 0
    """In quiet hours."""
    pinned_studies: int = 0
    pinned_bytes: int = 0
    """Of them, on disk."""
    pinned_missing: int = 0
    """Instances of them that are only in the archive."""
    pinned_fit: bool = True
    """Whether all of them may be here."""


@dataclass(frozen=True, slots=True)
class ProcedureState:
    """What comes in, and what other systems were not told."""

    coming_in: int = 0
    """Studies that are not complete yet."""
    in_progress: int = 0
    """Performed procedure steps."""
    untold: int = 0
    """Messages to peers that wait."""
    refused: int = 0
    """Messages that peers would not take."""
    dropped: int = 0
    """Messages that will never be sent."""


@dataclass(frozen=True, slots=True)
class AuditState:
    """The record of who did what, and how much of it another machine has."""

    entries: int = 0
    server: str = ""
    """That gets them; empty if none does."""
    waiting: int = 0
    """Entries that it does not have yet."""
    trouble: str = ""
    """Why they wait; empty if nothing is wrong."""
    trouble_since: float = 0.0
    """POSIX seconds."""
    damage: str = ""
    """What of it was found changed or missing, and no admin has seen to; empty if nothing was."""
    damage_since: float = 0.0
    """When it was found, in POSIX seconds."""


ReadLine = Callable[[str | None, int, Sequence[WaitingStudy]], LineState]
"""Makes it from what was kept under ``LINE``, the bytes of the backlog, and who waits."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is here, who vouches for it, and how the box and the way to the archive are."""

    summary: Summary
    archives: tuple[ArchiveState, ...]
    """Of those that are configured, the ones that were tried."""
    untried: tuple[str, ...]
    """The others' names."""
    capacity_bytes: int
    """Sealed bytes that may be kept in all."""
    refusal: str
    """Why new images are refused; empty if they are not."""
    drop_folder: str
    """What hinders the drop folder: it can't be read, or what was admitted can't be taken away.

    Empty if nothing does, or there is none. Without a running service it may be the last known.
    """
    parts: Parts | None
    """None if the service is not running."""
    backups: Overview
    """Those that were made, and whether any can be."""
    line: LineState = LineState()
    trash_until: float | None = None
    """When the first of what is in the trash will be erased; None if nothing is in it."""
    prefetch: PrefetchState = PrefetchState()
    commitments: Standing = field(default_factory=Standing)
    """What devices asked the box to vouch for."""
    procedures: ProcedureState = ProcedureState()
    worklist: tuple[SourceState, ...] = ()
    """The sources of the worklist that are configured, and what people and programs added."""
    tokens: tuple[EndingToken, ...] = ()
    """Those that end within a month, or did; the first of them first."""
    authorities: tuple[EndingAuthority, ...] = ()
    """Those that end within a month, or ended; the first of them first."""
    certificates: tuple[EndingCertificate, ...] = ()
    """The clinic's own, shown to who comes here: those that end within a month, or ended."""
    lost_secrets: tuple[LostSecret, ...] = ()
    """Of archives and the identity provider, which are out of use until they are given again."""
    cages: Cages = field(default_factory=dict)
    """Those that are not whole."""
    found: Mapping[str, str] = field(default_factory=dict)
    """What the start found damaged, see ``FOUND``, and what is wrong with it."""
    audit: AuditState = AuditState()
    emergencies: EmergencyState = field(default_factory=EmergencyState)
    machine: MachineState = field(default_factory=MachineState)
    """What is under the box."""
    update: str = ""
    """What went wrong with the last update; empty if nothing did of late."""
    disk_key_unseen: bool = False
    """The disk has a recovery key, and nobody was shown the one that is in force."""

    @property
    def is_hindered(self) -> bool:
        """Whether what the start found damaged keeps a part from its work."""
        return bool(self.found.keys() - {OBJECTS})

    @property
    def sentence(self) -> str:
        """The state for a nurse: what is wrong, then always what exists only here."""
        return " ".join([*self._troubles(), f"{self._safety()}{self._line()}."])

    def _troubles(self) -> Iterator[str]:
        """The gravest first."""
        numbers = self.summary
        if self.parts is None:
            yield "The service is not running: nothing comes in."
        elif failing := sorted(name for name, state in self.parts.items() if state != "running"):
            yield f"The service is in trouble: {', '.join(failing)}."
        yield from self._alarms()
        for trouble in self.machine.troubles():
            yield f"{trouble}."
        if self.refusal:
            yield f"New images are refused: {self.refusal}."
        if self.drop_folder:
            yield f"The drop folder is in trouble: {self.drop_folder}."
        if conflicts := numbers.in_conflict:
            yield f"{_count(conflicts, 'image is', 'images are')} in conflict."
        if refused := numbers.custody.get(Custody.REFUSED, 0) - numbers.given_up:
            yield f"The archive refuses {_count(refused, 'image', 'images')}."
        yield from self._troubles_of_archives()
        yield from self._absences()
        if self.trash_until is not None:
            trashed = _count(numbers.trashed, "image", "images")
            day = datetime.fromtimestamp(self.trash_until).astimezone().date()
            yield f"In the trash until {day}: {trashed} that the archive deleted."
        if kept := numbers.withdrawals_refused:
            yield f"An archive still has {_count(kept, 'image', 'images')} that it should delete."
        yield from self._troubles_of_devices()
        if self.audit.trouble:
            waiting = _count(self.audit.waiting, "entry waits", "entries wait")
            yield (
                f"The audit can't be sent to {self.audit.server}: {self.audit.trouble}; {waiting}."
            )
        if not self.prefetch.pinned_fit:
            missing = _count(self.prefetch.pinned_missing, "image", "images")
            yield f"What is pinned does not fit: {missing} of it may stay in the archive."
        if self.disk_key_unseen:
            yield "Nobody was shown the recovery key of the disk: print it, on the page Backup."
        yield from self._endings()

    def _endings(self) -> Iterator[str]:
        for ending in (self.certificates, self.authorities, self.tokens):
            for one in ending[:1]:
                more = f", and {len(ending) - 1} more" if len(ending) > 1 else ""
                yield f"{one.sentence}{more}."

    def _alarms(self) -> Iterator[str]:
        if self.update:
            yield f"{self.update}: edge update history."
        if emergency := self.emergencies.sentence:
            yield f"{emergency}."
        if damage := self.audit.damage:
            yield f"The audit was found damaged: {damage}: edge check audit."
        for _, words in sorted(self.found.items()):
            yield f"{words[:1].upper()}{words[1:]}."
        if lost := self.summary.lost:
            yield f"{_count(lost, 'image was', 'images were')} lost and must be sent again."

    def _troubles_of_devices(self) -> Iterator[str]:
        if lost := self.commitments.given_up:
            yield (
                f"{_count(lost, 'storage commitment', 'storage commitments')} could not be"
                f" reported: {self.commitments.reason}."
            )
        if refused := self.procedures.refused:
            messages = _count(refused, "message", "messages")
            yield f"Other systems refused {messages}: edge mpps outbox."
        for source in self.worklist:
            if source.error:
                yield f"Worklist {source.name} can't be renewed: {source.error}."

    def _absences(self) -> Iterator[str]:
        numbers = self.summary
        if numbers.absent:
            yield (
                f"The archive has {_count(numbers.absent, 'study', 'studies')} less than before:"
                " deleted there, an outage, another database, missing rights?"
            )
        if numbers.absent_suspected:
            suspected = _count(numbers.absent_suspected, "study", "studies")
            yield f"The archive does not list {suspected} as before: another look follows."
        if numbers.absent_decided:
            decided = _count(numbers.absent_decided, "study", "studies")
            yield f"What was decided of {decided} that the archive has no more is not done yet."

    def _troubles_of_archives(self) -> Iterator[str]:
        for lost in self.lost_secrets:
            yield f"{lost.sentence}."
        named = {lost.archive for lost in self.lost_secrets}
        for archive in self.archives:
            if archive.role != "primary" and not archive.online and archive.name not in named:
                yield f"Archive {archive.name} can't be reached: {archive.reason}."
            if archive.online and archive.reason:
                yield f"Archive {archive.name} takes nothing: {archive.reason}."

    def _safety(self) -> str:
        numbers = self.summary
        facts = []
        if only_here := numbers.studies_only_here:
            facts.append(f"{_count(only_here, 'study exists', 'studies exist')} only here")
        if perhaps := numbers.studies_perhaps_only_here:
            more = "more " if only_here else ""
            facts.append(f"{_count(perhaps, f'{more}study', f'{more}studies')} may exist only here")
        if carried := numbers.by_courier:
            facts.append(f"{_count(carried, 'image is', 'images are')} under way by courier")
        if unproven := numbers.studies_unproven:
            waits = _count(unproven, "study waits", "studies wait")
            facts.append(f"{waits} for proof that the archive has it all")
        if facts:
            return ", ".join(facts)
        if not (numbers.studies or numbers.rejected or numbers.trashed):
            return "Nothing is here yet"
        # What was just said of lost, absent and deleted images is not safe there.
        absent = numbers.absent + numbers.absent_suspected + numbers.absent_decided
        is_named = numbers.lost or numbers.trashed or absent
        return f"Everything {'else ' if is_named else ''}is safe in the cloud"

    def _line(self) -> str:
        primary = [archive for archive in self.archives if archive.role == "primary"]
        if offline := [archive for archive in primary if not archive.online]:
            mend = any(archive.lasting for archive in offline)
            what = "the way to the archive must be mended" if mend else "the line is down"
            goes_on = "" if self.refusal or self.parts is None else ", intake goes on"
            return f"; {what}{goes_on}"
        if self.line.waits and (self.archives or self.untried):
            return f"; {self.line.waits}"
        if self.untried and not primary:
            return "; the archive was not reached yet"
        return "" if self.archives else "; no archive is configured"

    def for_others(self) -> Status:
        """What of it those may know who do not look after the box.

        What protects it, and what it lacks, is for those who do.
        """
        return replace(self, tokens=(), cages={}, found={}, audit=AuditState(self.audit.entries))

    def as_json(self) -> dict[str, Any]:
        """For ``edge status --json`` and the API."""
        return {
            "sentence": self.sentence,
            **asdict(self.summary),
            "capacity_bytes": self.capacity_bytes,
            "refusal": self.refusal,
            "drop_folder": self.drop_folder,
            "archives": [asdict(archive) for archive in self.archives],
            "running": self.parts is not None,
            "parts": dict(self.parts or {}),
            "backups": msgspec.to_builtins(self.backups),
            "line": asdict(self.line),
            "trash_until": self.trash_until,
            "prefetch": asdict(self.prefetch),
            "commitments": asdict(self.commitments),
            "procedures": asdict(self.procedures),
            "worklist": [asdict(source) for source in self.worklist],
            "tokens": [asdict(token) for token in self.tokens],
            "authorities": [asdict(one) for one in self.authorities],
            "certificates": [asdict(one) for one in self.certificates],
            "lost_secrets": [asdict(one) for one in self.lost_secrets],
            "cages": dict(self.cages),
            "found": dict(self.found),
            "audit": asdict(self.audit),
            "emergencies": asdict(self.emergencies),
            "machine": asdict(self.machine),
            "update": self.update,
            "disk_key_unseen": self.disk_key_unseen,
        }


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
