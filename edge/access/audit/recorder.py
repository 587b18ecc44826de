"""Takes what was done, and sees that it gets into the record: the one way in.

Promises:

- ``record`` returns once its entry is durable. Acts on how the box works, and deletions, wait for
  it before they are answered.
- ``note`` never waits. An entry for an access is durable within ``SOON`` seconds; so much a power
  cut may cost, and the closing entries of spans that are under way (see ``windows``), which speak
  of further accesses of the same kind by the same person to the same study.
- Intake and reading go on when the record can't be written: entries wait in memory, as many as
  ``_MOST_WAITING``, the part that writes them is shown as failed, and those that found no room are
  counted in the record later. What must be recorded first is refused meanwhile.
- Who proves nothing is called by the name that they gave if somebody has that name, else by none:
  people type passwords into the wrong field.

Crash order: append (durable) -> the head is remembered in the index, seconds later at the most.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import msgspec

from edge.access.audit.damage import Damages
from edge.access.audit.entry import BOX, NOBODY, Entry, Event, Kind, Outcome, Subject
from edge.access.audit.folder import EMPTY, AuditFolder, Flaw, Head
from edge.access.audit.windows import MANY, Seen, Windows
from edge.access.names import plain_name
from edge.errors import EdgeError, StorageFull

__all__ = ["SOON", "Audit", "Memory"]

log = logging.getLogger(__name__)

SOON = 1.0
"""Seconds from an access to its entry on the disk, at the most."""
_REMEMBER = 5.0
"""Seconds between two times that the index is told of the head."""
_MOST_WAITING = 20_000
_MOST_BATCH = 1000
_LOOK = 10.0
"""Seconds between two looks at spans that are over, and at the clock."""
_JUMP = 5.0
"""So many seconds the clock may be off between two looks."""
_MOST_STRANGERS = 128


class Memory(Protocol):
    """What the record asks of the index, or of a fake."""

    async def head(self) -> tuple[int, bytes]:
        """How far the record goes, as it was told: number and digest of an entry; 0 if never."""

    async def set_head(self, number: int, digest: bytes) -> None:
        """Remember; never less than before."""

    async def subjects(self, study_uids: Sequence[str]) -> Mapping[str, tuple[str, str, str]]:
        """Patient ID, name of the patient and accession number of those studies that are known."""

    async def people(self, names: Sequence[str]) -> Collection[str]:
        """Those names that somebody has."""

    async def damage(self) -> str:
        """See `edge.access.audit.damage.Memory`."""

    async def set_damage(self, text: str) -> None:
        """The same."""


@dataclass(slots=True)
class _Waiting:
    entry: Entry
    done: asyncio.Future[None] | None = None


class Audit:
    """The record, open for writing.

    ``async with`` reads how far it went; leaving it writes what waits. While ``run`` runs, it alone
    writes; else ``record`` does, as in a command.

    Args:
        folder: Its files.
        memory: Remembers its head, and knows whose studies these are.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        folder: AuditFolder,
        memory: Memory,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self._memory = memory
        self.clock = clock
        self.damages = Damages(memory, clock=clock)
        """What was found wrong with it, and whether somebody has seen to it."""
        self._found = ""
        """Damage of which the index is to be told."""
        self._acts = Windows()
        self._tries = Windows(_MOST_STRANGERS, folded=True)
        self._waiting: list[_Waiting] = []
        self._urgent = asyncio.Event()
        self._turn = asyncio.Lock()
        self._writing: asyncio.Future[tuple[Head, list[Flaw]]] | None = None
        self._under_way = 0
        self._runs = False
        self._lost = 0
        self._known = EMPTY
        self._saved = EMPTY
        self._saved_at = 0.0
        self.trouble = ""
        """Why the record can't be written; empty if it can."""
        self.written = asyncio.Event()
        """Set whenever something was; who waits for it clears it."""

    async def __aenter__(self) -> Self:
        number, digest = await self._memory.head()
        self._known = self._saved = Head(number, digest) if number else EMPTY
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for entry in (*self._acts.close(), *self._tries.close()):
            self._put(entry)
        try:
            await self._flush()
            if self._is_to_remember:
                await self._remember()
        except (EdgeError, OSError) as trouble:
            log.error("%d entries of the audit are lost: %s", len(self._waiting), trouble)

    @property
    def known(self) -> Head:
        """How far the record goes for sure."""
        return self._known

    def note(self, entry: Entry, seen: Iterable[Seen] = ()) -> None:
        """Have an access in the record soon, joined with others like it.

        Args:
            entry: The access.
            seen: The instances that it was about.
        """
        for one in self._acts.add(entry, time.monotonic(), seen):
            self._put(one)

    def suspect(self, entry: Entry) -> None:
        """Have it in the record soon that somebody was refused; many tries make few entries."""
        for one in self._tries.add(entry, time.monotonic()):
            self._put(one)

    def put(self, entry: Entry) -> None:
        """Have an entry in the record soon, as it is."""
        self._put(entry)

    async def record(self, *entries: Entry) -> None:
        """Have entries in the record; they are durable when this returns.

        Raises:
            StorageFull: The disk is full.
            OSError: It fails.
        """
        done = asyncio.get_running_loop().create_future()
        for entry in entries[:-1]:
            self._put(entry)
        self._put(entries[-1], done)
        if self._runs:
            self._urgent.set()
        else:
            await self._flush()
        await done

    async def require(self) -> None:
        """Do nothing if the record can be written: what nobody would know of is not done.

        Raises:
            StorageFull: It can't be.
        """
        if self.trouble:
            raise StorageFull(
                f"the audit can't be written, and what may not go unrecorded is not done:"
                f" {self.trouble}",
                hint="see to the disk of the box; reading and taking in images goes on",
            )

    async def subject_of(self, study_uid: str) -> Subject:
        """Whose study it is: to be asked before it is deleted."""
        return (await self._known_subjects([study_uid])).get(study_uid, Subject(study_uid))

    async def run(self) -> None:
        """Write what waits, until cancelled.

        Raises:
            StorageFull: The disk is full.
            OSError: It fails.
        """
        self._runs = True
        looked, offset = time.monotonic(), self.clock() - time.monotonic()
        try:
            while True:
                try:
                    async with asyncio.timeout(SOON / 2):
                        await self._urgent.wait()
                except TimeoutError:
                    pass
                self._urgent.clear()
                now = time.monotonic()
                if now - looked >= _LOOK:
                    looked, offset = now, self._look(now, offset)
                await self._flush()
                if self._is_to_remember and now - self._saved_at >= _REMEMBER:
                    self._saved_at = now
                    await self._remember()
        finally:
            self._runs = False

    def _look(self, now: float, offset: float) -> float:
        for entry in (*self._acts.due(now), *self._tries.due(now)):
            self._put(entry)
        is_offset = self.clock() - now
        if abs(is_offset - offset) > _JUMP:
            by = f"{is_offset - offset:+.0f} s"
            self._put(Entry(at=self.clock(), event=Event.CLOCK, actor=BOX, detail={"by": by}))
        return is_offset

    def _put(self, entry: Entry, done: asyncio.Future[None] | None = None) -> None:
        if len(self._waiting) < _MOST_WAITING or done is not None:
            self._waiting.append(_Waiting(entry, done))
        else:
            self._lost += 1

    async def _flush(self) -> None:
        """Write all that waits; whoever is cancelled meanwhile takes nothing with him."""
        async with self._turn:
            while self._waiting or self._writing is not None:
                if self._writing is None:
                    await self._begin()
                assert self._writing is not None
                try:
                    head, flaws = await asyncio.shield(self._writing)
                except (StorageFull, OSError) as error:
                    self._writing = None
                    self._fail(error)
                    raise
                self._writing = None
                self._finish(head, flaws)

    async def _begin(self) -> None:
        batch = self._waiting[:_MOST_BATCH]
        entries = await self._described([each.entry for each in batch])
        contents = [entry.to_bytes() for entry in entries]
        self._under_way = len(batch)
        self._writing = asyncio.get_running_loop().run_in_executor(
            None, self.folder.append, contents, self._known
        )

    def _finish(self, head: Head, flaws: Sequence[Flaw]) -> None:
        batch, self._waiting = self._waiting[: self._under_way], self._waiting[self._under_way :]
        self._known, self.trouble = head, ""
        for each in batch:
            if each.done is not None and not each.done.done():
                each.done.set_result(None)
        for flaw in flaws:
            entry = _entry_of(flaw, self.clock())
            self._put(entry)
            if entry.outcome is Outcome.GRAVE:
                self._found = entry.reason
            log.error("the audit was found damaged at its end: edge check audit tells more")
        if self._lost:
            reason = f"{self._lost} entries found no room while the record could not be written"
            self._lost = 0
            self._put(_damaged(self.clock(), reason))
        self.written.set()

    def _fail(self, error: Exception) -> None:
        if not self.trouble:
            log.error("the audit can't be written: %s", error)
        self.trouble = str(error)
        for each in self._waiting:
            if each.done is not None and not each.done.done():
                each.done.set_exception(error)
                each.done.exception()  # whoever is not there any more does not miss it
            each.done = None  # it is written when that is possible: it was done, or was tried

    async def _described(self, entries: Sequence[Entry]) -> list[Entry]:
        """With the patients that their studies are of, and no name that nobody has."""
        wanted = {entry.about.study_uid for entry in entries if _lacks_patient(entry)}
        known = await self._known_subjects(sorted(wanted)) if wanted else {}
        claimed = {plain_name(entry.actor.name) for entry in entries if _is_claimed(entry)} - {""}
        people = await self._known_people(sorted(claimed)) if claimed else ()
        return [_described(entry, known, people) for entry in entries]

    async def _known_subjects(self, study_uids: Sequence[str]) -> Mapping[str, Subject]:
        try:
            known = await self._memory.subjects(study_uids)
        except EdgeError:
            return {}  # an index that is damaged shall not keep the record from being written
        return {uid: Subject(uid, *told) for uid, told in known.items()}

    async def _known_people(self, names: Sequence[str]) -> Collection[str]:
        try:
            return await self._memory.people(names)
        except EdgeError:
            return ()

    @property
    def _is_to_remember(self) -> bool:
        """Whether the index is to be told of something."""
        return self._known != self._saved or bool(self._found)

    async def _remember(self) -> None:
        head = self._known
        if found := self._found:
            try:
                await self.damages.note(found)
            except EdgeError as error:
                log.warning("the index does not remember that the audit was damaged: %s", error)
            else:
                self._found = "" if self._found == found else self._found
        try:
            await self._memory.set_head(head.number, head.digest)
        except EdgeError as error:
            log.warning("the index does not remember how far the audit goes: %s", error)
        else:
            self._saved = head


def _lacks_patient(entry: Entry) -> bool:
    about = entry.about
    return bool(about.study_uid) and not (about.patient_id or about.patient_name)


def _is_claimed(entry: Entry) -> bool:
    """Whether somebody who proved nothing says to be called so."""
    actor = entry.actor
    proved = actor.role or actor.proof or actor.kind is not Kind.PERSON
    return entry.outcome is Outcome.REFUSED and not proved and actor.name not in ("", MANY.name)


def _described(entry: Entry, known: Mapping[str, Subject], people: Collection[str]) -> Entry:
    if _lacks_patient(entry) and entry.about.study_uid in known:
        entry = msgspec.structs.replace(entry, about=known[entry.about.study_uid])
    if _is_claimed(entry):
        name = plain_name(entry.actor.name)
        # A name that nobody has may be a password in the wrong field.
        name = name if name in people else ""
        entry = msgspec.structs.replace(
            entry, actor=msgspec.structs.replace(entry.actor, name=name)
        )
    return entry


def _entry_of(flaw: Flaw, at: float) -> Entry:
    if flaw.until:
        reason = f"entries {flaw.after + 1} to {flaw.until} are missing, or not all of them open"
    else:
        reason = f"{flaw.bytes} bytes behind entry {flaw.after} do not open: a power cut?"
    detail = {
        "segment": str(flaw.segment),
        "after": str(flaw.after),
        "until": str(flaw.until),
        "bytes": str(flaw.bytes),
    }
    return _damaged(at, reason, detail, grave=bool(flaw.until))


def _damaged(
    at: float, reason: str, detail: Mapping[str, str] | None = None, *, grave: bool = True
) -> Entry:
    return Entry(
        at=at,
        event=Event.RECORD_DAMAGED,
        actor=BOX,
        outcome=Outcome.GRAVE if grave else Outcome.FAILED,
        about=NOBODY,
        reason=reason,
        detail=detail or {},
    )
