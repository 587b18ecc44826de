"""What is not as it should be, in words for people, and what to do about it.

Owns those words, and where each leads: a page that who reads may see. What others said (an archive,
a disk) stands in their own words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from edge.access.roles import Act
from edge.cache.condition import Level, level_of
from edge.cache.status import HTTPS, OBJECTS, SETTINGS, Status
from edge.dicom.instance import Custody
from edge.machine.health import MachineState
from edge.pages.words import Words

__all__ = ["Alarm", "Reader", "alarms_of"]


class Reader(Protocol):
    """Who reads: a visit of a page, or the screen of the box."""

    @property
    def words(self) -> Words:
        """Of their language."""

    def may(self, act: Act, /) -> bool:
        """Whether they may do that."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that is not as it should be."""

    level: Level
    text: str
    advice: str
    """What to do, or that nothing is to be done."""
    words: str = ""
    """Of others, as they said it."""
    link: str = ""
    """A page where something can be done."""
    link_text: str = ""


def alarms_of(
    status: Status, visit: Reader, now: float, *, is_new: bool = False
) -> Iterator[Alarm]:
    """The gravest first; what only an admin can do something about is for them alone.

    Args:
        status: Of the box.
        visit: Who reads.
        now: POSIX seconds.
        is_new: See `level_of`.
    """
    found = [*_of_box(status, visit), *_of_line(status, visit, now)]
    if not (status.archives or status.untried or is_new):
        found.append(_without_archive(visit))
    found += [*_of_images(status, visit), *_of_devices(status, visit)]
    if not visit.may(Act.ADMINISTER):
        found = found or [*_of_others(visit, level_of(status, is_new=is_new))]
    else:
        found += _of_record(status, visit, now)
    order = (Level.ALARM, Level.WARNING, Level.BUSY, Level.SAFE)
    yield from sorted(found, key=lambda alarm: order.index(alarm.level))


def _of_box(status: Status, visit: Reader) -> Iterator[Alarm]:
    _, may = visit.words.gettext, visit.may(Act.ADMINISTER)
    failing = sorted(name for name, state in (status.parts or {}).items() if state != "running")
    if failing:
        yield Alarm(
            Level.ALARM,
            _("A part of the service is in trouble."),
            _("It is started again by itself. If this stays, call whoever looks after the box."),
            ", ".join(failing),
            "/logs" if may else "",
            _("Look at the logs"),
        )
    if status.refusal:
        yield Alarm(
            Level.ALARM,
            _("New images are refused: there is no room for them."),
            _("Leave the images on the devices, and mend the line: what the cloud has makes room."),
            status.refusal,
            "/sync" if visit.may(Act.DECIDE) else "",
            _("See what waits"),
        )
    yield from _of_machine(status.machine, visit)
    if status.drop_folder:
        yield Alarm(
            Level.WARNING,
            _("The drop folder is in trouble."),
            _("Files in it wait until that is mended."),
            status.drop_folder,
        )
    yield from _of_start(status, visit) if may else ()
    if may and status.cages:
        yield Alarm(
            Level.WARNING,
            _("This machine protects the box less than it could."),
            _("Nothing is to be done at once; the manual says what it means."),
            ", ".join(f"{name}: {lacks}" for name, lacks in status.cages.items()),
        )
    if may and status.update:
        yield Alarm(
            Level.WARNING,
            _("An update did not work here."),
            _("The box goes on with the version that it had, and all images. Nothing is urgent."),
            status.update,
            "/update",
            _("See what happened"),
        )
    for token in status.tokens[:3] if may else ():
        day = visit.words.date(token.expires)
        yield Alarm(
            Level.WARNING,
            _("Token %(name)s ended on %(day)s.", name=token.name, day=day)
            if token.ended
            else _("Token %(name)s ends on %(day)s.", name=token.name, day=day),
            _("Make a new one, and put it where the old one was."),
            link="/tokens",
            link_text=_("Tokens"),
        )


def _of_start(status: Status, visit: Reader) -> Iterator[Alarm]:
    """What was found damaged, and hinders only a part: for admins."""
    _, found = visit.words.gettext, status.found
    if words := found.get(SETTINGS):
        yield Alarm(
            Level.ALARM,
            _("Settings of this box could not be read, and do not hold."),
            _("The others hold. Look at the settings, and save what is missing: then this ends."),
            words,
            "/settings",
            _("Settings"),
        )
    if words := found.get(HTTPS):
        yield Alarm(
            Level.ALARM,
            _("The box’s own TLS certificate can’t be shown everywhere, or can’t be renewed."),
            _("Images come in. The manual says how the certificate is mended."),
            words,
        )
    if words := found.get(OBJECTS):
        yield Alarm(
            Level.WARNING,
            _("The start found files of images that can’t be read."),
            _("Nothing was removed. Have the disk checked, and start the box again."),
            words,
            "/logs",
            _("Look at the logs"),
        )


def _of_machine(machine: MachineState, visit: Reader) -> Iterator[Alarm]:
    _ = visit.words.gettext
    if machine.mains == "ending":
        yield Alarm(
            Level.ALARM,
            _("The box powers off."),
            _("It takes no new images. Leave them on the devices until it is on again."),
        )
    elif machine.mains == "low":
        yield Alarm(
            Level.ALARM,
            _("The mains failed, and the battery is nearly empty."),
            _("The box takes no new images, and powers off. Leave images on the devices."),
        )
    elif machine.mains == "battery":
        yield Alarm(
            Level.WARNING,
            _("The mains failed: the box runs on its battery."),
            _("Work on as usual. If the mains stay away, the box powers off by itself."),
        )
    for disk in machine.disks:
        if not disk.problem:
            continue
        yield Alarm(
            Level.ALARM if disk.is_failing else Level.WARNING,
            _("The disk %(name)s may fail.", name=disk.name)
            if disk.is_failing
            else _("The disk %(name)s is not as it should be.", name=disk.name),
            _("Call whoever looks after the box: the disk has to be replaced soon.")
            if disk.is_failing
            else _("Have it looked at when the box is serviced."),
            disk.problem,
        )
    if machine.is_hot:
        yield Alarm(
            Level.WARNING,
            _("The box is too hot."),
            _("Give it air: nothing on it, nothing before its openings, no heating beside it."),
        )
    if machine.replace_battery or machine.lost_ups:
        yield Alarm(
            Level.WARNING,
            _("The battery beside the box is not as it should be."),
            _("Look at the UPS and its cable; its battery lasts some years."),
        )


def _of_record(status: Status, visit: Reader, now: float) -> Iterator[Alarm]:
    """Of who did what: for admins."""
    words, audit = visit.words, status.audit
    _ = words.gettext
    if audit.damage:
        yield Alarm(
            Level.WARNING,
            _(
                "The record of who did what was found damaged at %(time)s.",
                time=words.moment(audit.damage_since, now),
            ),
            _("Somebody may have changed it, or a disk fails. Check it, and say that you know."),
            audit.damage,
            "/audit#check",
            _("Check the record"),
        )
    if audit.trouble:
        yield Alarm(
            Level.WARNING,
            _("The audit can’t be sent to %(server)s.", server=audit.server),
            _("It is kept here, and sent as soon as that works again."),
            audit.trouble,
        )
    if opened := status.emergencies.open:
        yield Alarm(
            Level.WARNING,
            words.ngettext(
                "Emergency access is open for %(n)s person now.",
                "Emergency access is open for %(n)s people now.",
                opened,
            ),
            _("It ends by itself. Read who opened it, and why."),
            link="/people",
            link_text=_("People"),
        )
    if unseen := status.emergencies.unseen:
        yield Alarm(
            Level.WARNING,
            words.ngettext(
                "%(n)s emergency access was looked at by nobody yet.",
                "%(n)s emergency accesses were looked at by nobody yet.",
                unseen,
            ),
            _("Read why it was opened, and say that you looked at it."),
            link="/people",
            link_text=_("People"),
        )


def _of_others(visit: Reader, level: Level) -> Iterator[Alarm]:
    """The light says that something is not as it should be, and all of that is for admins."""
    _ = visit.words.gettext
    if level in (Level.ALARM, Level.WARNING):
        yield Alarm(
            level,
            _("Something waits for an administrator."),
            _("It keeps nobody from working: images come in, and can be opened."),
        )


def _without_archive(visit: Reader) -> Alarm:
    _ = visit.words.gettext
    return Alarm(
        Level.WARNING,
        _("No cloud archive is set up: images are kept in this box alone."),
        _("Set one up, so that a stolen or broken box loses nothing."),
        link="/settings" if visit.may(Act.ADMINISTER) else "",
        link_text=_("Settings"),
    )


def _of_line(status: Status, visit: Reader, now: float) -> Iterator[Alarm]:
    words = visit.words
    _ = words.gettext
    for archive in status.archives:
        if not archive.online and archive.lasting:
            yield Alarm(
                Level.WARNING,
                _("The archive %(name)s can’t be used until somebody mends it.", name=archive.name),
                _("Call whoever looks after the box. Images go on coming in, and wait."),
                archive.reason,
                "/sync#line" if visit.may(Act.DECIDE) else "",
                _("Test the way to the cloud"),
            )
        elif not archive.online:
            yield Alarm(
                Level.WARNING,
                _(
                    "The archive %(name)s does not answer since %(time)s.",
                    name=archive.name,
                    time=words.moment(archive.since, now),
                ),
                _("Work on as usual: images come in, and go to the cloud once the line is back."),
                archive.reason,
            )
        elif archive.reason:
            yield Alarm(
                Level.WARNING,
                _("The archive %(name)s takes nothing now.", name=archive.name),
                _("Images wait here; it is asked again and again."),
                archive.reason,
            )


def _of_images(status: Status, visit: Reader) -> Iterator[Alarm]:
    words, numbers = visit.words, status.summary
    _, link = words.gettext, "/sync" if visit.may(Act.DECIDE) else ""
    if numbers.lost:
        yield Alarm(
            Level.ALARM,
            words.ngettext("%(n)s image was lost.", "%(n)s images were lost.", numbers.lost),
            _("Send it again from the device that made it."),
            link=link,
            link_text=_("See which"),
        )
    if conflicts := numbers.in_conflict:
        yield Alarm(
            Level.WARNING,
            words.ngettext(
                "%(n)s image exists in two versions.",
                "%(n)s images exist in two versions.",
                conflicts,
            ),
            _("Both are kept. Somebody who knows the patient has to choose."),
            link=link and f"{link}#conflicts",
            link_text=_("Compare and choose"),
        )
    if refused := numbers.custody.get(Custody.REFUSED, 0) - numbers.given_up:
        yield Alarm(
            Level.WARNING,
            words.ngettext(
                "The archive refuses %(n)s image.", "The archive refuses %(n)s images.", refused
            ),
            _("It is safe here. What the archive said, and what can be done, stands with each."),
            link=link and f"{link}#letters",
            link_text=_("See why"),
        )
    if kept := numbers.withdrawals_refused:
        yield Alarm(
            Level.WARNING,
            words.ngettext(
                "The archive still has %(n)s image that it was told to delete.",
                "The archive still has %(n)s images that it was told to delete.",
                kept,
            ),
            _("It is asked again. If this stays, the archive’s own people have to delete it."),
        )
    if not status.prefetch.pinned_fit:
        yield Alarm(
            Level.WARNING,
            _("What is pinned does not fit on the disk."),
            _("A part of it stays in the cloud, and opens from there. Let go what nobody needs."),
            link="/studies?pinned=true",
            link_text=_("What is pinned"),
        )
    if numbers.absent:
        yield Alarm(
            Level.WARNING,
            words.ngettext(
                "%(n)s study is gone from the archive.",
                "%(n)s studies are gone from the archive.",
                numbers.absent,
            ),
            _("It is kept here until somebody says whether that was meant."),
            link=link and f"{link}#absences",
            link_text=_("Decide"),
        )


def _of_devices(status: Status, visit: Reader) -> Iterator[Alarm]:
    words = visit.words
    _ = words.gettext
    if refused := status.procedures.refused:
        yield Alarm(
            Level.WARNING,
            words.ngettext(
                "Another system would not take %(n)s message about examinations.",
                "Other systems would not take %(n)s messages about examinations.",
                refused,
            ),
            _("What they said stands with each; it can be sent again, or left."),
            link="/sync#told" if visit.may(Act.DECIDE) else "",
            link_text=_("See why"),
        )
    if lost := status.commitments.given_up:
        yield Alarm(
            Level.WARNING,
            words.ngettext(
                "%(n)s device question about stored images could not be answered.",
                "%(n)s device questions about stored images could not be answered.",
                lost,
            ),
            _("Is the device switched on, and on the network?"),
            status.commitments.reason,
        )
    for source in status.worklist:
        if source.error:
            yield Alarm(
                Level.WARNING,
                _("The worklist from %(name)s can’t be renewed.", name=source.name),
                _("Devices get what was known last."),
                source.error,
                "/worklist#sources",
                _("Worklist"),
            )
