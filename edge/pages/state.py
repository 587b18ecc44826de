"""The state of the box in words for people: the sentence, the red number, the facts.

Owns those words, in the language of who reads. What they say is what `Status.sentence` says, and
the light is `edge.cache.condition`'s. No patient is in them. What others said (an archive, a disk)
stands in its own words.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from edge.access.roles import Act
from edge.cache.condition import Level, level_of, offline_since
from edge.cache.status import Status
from edge.machine.health import HOT, MachineState
from edge.pages.alarm import Alarm
from edge.pages.alarms import alarms_of
from edge.pages.page import Visit
from edge.pages.words import Messages, Words

__all__ = ["CUT_OFF", "Fact", "Told", "cut_off_of", "sentence_of", "told", "worries_of"]

CUT_OFF: Final = "The box is on no network: devices can't reach it."


@dataclass(frozen=True, slots=True)
class Fact:
    """A number about the box."""

    name: str
    """Of its icon."""
    label: str
    value: str
    note: str
    share: float | None = None
    """Of what there may be; a bar shows it."""
    level: Level = Level.SAFE


@dataclass(frozen=True, slots=True)
class Told:
    """All of it."""

    level: Level
    sentence: str
    """One, which a nurse reads."""
    note: str
    """What is worth knowing beside it."""
    number: int
    """Studies that exist only here, for certain or perhaps."""
    number_text: str
    """The same, grouped."""
    number_label: str
    alarms: tuple[Alarm, ...]
    facts: tuple[Fact, ...]


def told(status: Status, visit: Visit, temperature: float | None) -> Told:
    """Say it to whoever looks.

    Args:
        status: Of the box.
        visit: Who looks: alarms that only an admin can do something about lead only them on.
        temperature: Of the machine; None if it is not known.
    """
    words, numbers = visit.words, status.summary
    now = time.time()
    alone = numbers.studies_only_here + numbers.studies_perhaps_only_here
    return Told(
        level=level_of(status),
        sentence=_sentence(status, words, now),
        note=_note(status, visit),
        number=alone,
        number_text=words.number(alone),
        number_label=words.ngettext("study exists only here", "studies exist only here", alone),
        alarms=tuple(alarms_of(status, visit, now)),
        facts=tuple(_facts(status, words, temperature, now)),
    )


def sentence_of(status: Status) -> str:
    """The sentence in English, for a screen that knows no other language. Blocks."""
    return _sentence(status, Words("en", Messages()), time.time())


def cut_off_of(status: Status) -> str:
    """The same while the box itself is on no network, which only its screen can tell. Blocks."""
    words, numbers = Words("en", Messages()), status.summary
    if trouble := _trouble(status, words):
        return trouble
    alone = numbers.studies_only_here + numbers.studies_perhaps_only_here
    if not alone:
        return CUT_OFF
    which = "1 study exists" if alone == 1 else f"{words.number(alone)} studies exist"
    return f"{CUT_OFF} {which} only here."


@dataclass(frozen=True, slots=True)
class _Screen:
    """Whoever stands before the box reads it: nobody has to log in."""

    words: Words

    @staticmethod
    def may(act: Act, /) -> bool:
        """See `edge.pages.alarm.Reader`."""
        del act
        return False


def worries_of(status: Status, *, is_new: bool) -> list[str]:
    """What is not as it should be, for the screen, which knows of the machine by itself. Blocks.

    Args:
        status: Of the box.
        is_new: Nobody is there yet.
    """
    screen = _Screen(Words("en", Messages()))
    others = replace(status, machine=MachineState())
    return [one.text for one in alarms_of(others, screen, time.time(), is_new=is_new)]


def _sentence(status: Status, words: Words, now: float) -> str:
    numbers, _ = status.summary, words.gettext
    alone = numbers.studies_only_here + numbers.studies_perhaps_only_here
    if trouble := _trouble(status, words):
        return trouble
    if (down := offline_since(status)) is not None:
        return _while_down(alone, words.moment(down, now), words)
    if alone:
        return _alone(alone, status, words)
    if numbers.studies_unproven:
        return words.ngettext(
            "Everything is in the cloud; %(n)s study is being checked once more.",
            "Everything is in the cloud; %(n)s studies are being checked once more.",
            numbers.studies_unproven,
        )
    if not (numbers.studies or numbers.rejected or numbers.trashed):
        return _empty(status, words)
    return _("Everything is safe in the cloud.")


def _empty(status: Status, words: Words) -> str:
    """Nothing came in yet: what it lacks before anything does is worth more than that."""
    _ = words.gettext
    has_archive = bool(status.archives or status.untried)
    if not has_archive and not status.backups.has_recovery_key:
        return _("Nothing is here yet. It lacks a cloud archive and a recovery key.")
    if not has_archive:
        return _("Nothing is here yet. It lacks a cloud archive.")
    if not status.backups.has_recovery_key:
        return _("Nothing is here yet. It lacks a recovery key.")
    return _("Nothing is here yet.")


def _trouble(status: Status, words: Words) -> str:
    """What is worse than anything about the line; empty if nothing is."""
    _ = words.gettext
    if status.parts is None:
        return _("The service is not running: nothing comes in.")
    if status.refusal:
        return _("The box takes no new images.")
    if lost := status.summary.lost:
        return words.ngettext(
            "%(n)s image was lost and must be sent again.",
            "%(n)s images were lost and must be sent again.",
            lost,
        )
    return ""


def _while_down(alone: int, since: str, words: Words) -> str:
    if not alone:
        return words.gettext(
            "Everything is safe in the cloud; line down since %(time)s; intake goes on.", time=since
        )
    return words.ngettext(
        "%(n)s study exists only here; line down since %(time)s; intake goes on.",
        "%(n)s studies exist only here; line down since %(time)s; intake goes on.",
        alone,
        time=since,
    )


def _alone(alone: int, status: Status, words: Words) -> str:
    if not (status.archives or status.untried):
        return words.ngettext(
            "%(n)s study exists only here: no cloud archive is set up.",
            "%(n)s studies exist only here: no cloud archive is set up.",
            alone,
        )
    if status.line.waits:
        return words.ngettext(
            "%(n)s study exists only here and waits for its turn on the line.",
            "%(n)s studies exist only here and wait for their turn on the line.",
            alone,
        )
    return words.ngettext(
        "%(n)s study is on its way to the cloud.",
        "%(n)s studies are on their way to the cloud.",
        alone,
    )


def _note(status: Status, visit: Visit) -> str:
    numbers, words = status.summary, visit.words
    if not numbers.studies:
        return words.gettext("Send a study to the box, and it shows here at once.")
    studies = words.ngettext("%(n)s study", "%(n)s studies", numbers.studies)
    images = words.ngettext("%(n)s image", "%(n)s images", numbers.instances)
    if visit.seen_from:
        text = words.gettext(
            "All of the box: %(studies)s, %(images)s.", studies=studies, images=images
        )
    else:
        text = words.gettext("%(studies)s, %(images)s.", studies=studies, images=images)
    if (coming := status.procedures.coming_in) > 0:
        text += " " + words.ngettext(
            "More images of %(n)s study may still come.",
            "More images of %(n)s studies may still come.",
            coming,
        )
    return text


def _facts(status: Status, words: Words, temperature: float | None, now: float) -> Iterator[Fact]:
    _, line, numbers = words.gettext, status.line, status.summary
    down = offline_since(status)
    yield Fact(
        "line",
        _("Line"),
        _("down")
        if down is not None
        else _("waits")
        if line.waits
        else _("up")
        if status.archives
        else _("none"),
        _line_note(status, words, now),
        level=Level.SAFE if down is None else Level.WARNING,
    )
    if numbers.backlog_bytes:
        eta = line.backlog_eta
        yield Fact(
            "up",
            _("To be sent"),
            words.bytes(numbers.backlog_bytes),
            _("done by %(time)s", time=words.moment(eta, now))
            if eta is not None
            else _("waits for the line")
            if down is not None
            else _("no time can be told yet"),
            level=Level.BUSY,
        )
    share = numbers.sealed_bytes / status.capacity_bytes if status.capacity_bytes else 0.0
    yield Fact(
        "disk",
        _("Disk"),
        _("under %(share)s", share=words.percent(0.01))
        if 0 < share < 0.01
        else words.percent(share),
        _(
            "%(used)s of %(all)s",
            used=words.bytes(numbers.sealed_bytes),
            all=words.bytes(status.capacity_bytes),
        ),
        share=min(share, 1.0),
        level=Level.ALARM if status.refusal else Level.SAFE,
    )
    if temperature is not None:
        yield Fact(
            "heat",
            _("Temperature"),
            words.degrees(temperature),
            _("too hot: give it air") if temperature >= HOT else _("as it should be"),
            level=Level.WARNING if temperature >= HOT else Level.SAFE,
        )


def _line_note(status: Status, words: Words, now: float) -> str:
    _, line = words.gettext, status.line
    down = offline_since(status)
    if down is not None:
        return _("since %(time)s", time=words.moment(down, now))
    if line.waits:
        if line.waits_until is not None:
            return _(
                "until %(time)s, as the calendar says", time=words.moment(line.waits_until, now)
            )
        return line.waits
    if line.upload_speed:
        return _("%(speed)s a second of late", speed=words.bytes(line.upload_speed))
    contacts = [one.contact for one in status.archives if one.contact is not None]
    if contacts:
        return _("the archive answered at %(time)s", time=words.moment(max(contacts), now))
    return _("no archive was reached yet") if status.untried else _("no archive is set up")
