"""Alarms of the box itself: its service and its machine, and its record of who did what."""

from __future__ import annotations

from collections.abc import Iterator

from edge.access.roles import Act
from edge.cache.condition import Level
from edge.cache.status import HTTPS, OBJECTS, SETTINGS, Status
from edge.machine.health import MachineState
from edge.pages.alarm import Alarm, Reader

__all__ = ["of_box", "of_record"]


def of_box(status: Status, visit: Reader) -> Iterator[Alarm]:
    """Of what it does, and of what is under it."""
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
    if machine.doors:
        yield Alarm(
            Level.WARNING,
            _("The firewall of the box is not as the settings say."),
            _("Images come in. Call whoever looks after the box; the manual says what to do."),
            machine.doors,
        )


def of_record(status: Status, visit: Reader, now: float) -> Iterator[Alarm]:
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
