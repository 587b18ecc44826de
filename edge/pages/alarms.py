"""What is not as it should be, in words for people, and what to do about it.

Owns those words (those of the box itself stand in `alarms_of_box`), and where each leads: a page
that who reads may see. What others said (an archive, a disk) stands in their own words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge.access.roles import Act
from edge.cache.condition import Level, level_of
from edge.cache.lost_secrets import LostSecret
from edge.cache.status import Status
from edge.dicom.instance import Custody
from edge.pages.alarm import Alarm, Reader
from edge.pages.alarms_of_box import of_box, of_record
from edge.pages.words import Words

__all__ = ["alarms_of"]


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
    found = [*of_box(status, visit), *_of_line(status, visit, now)]
    found += [*_of_certificates(status, visit), *_of_trust(status, visit)]
    found += _of_secrets(status, visit)
    if not (status.archives or status.untried or is_new):
        found.append(_without_archive(visit))
    if status.disk_key_unseen and not is_new:
        found.append(_without_disk_key(visit))
    found += [*_of_images(status, visit), *_of_devices(status, visit)]
    if not visit.may(Act.ADMINISTER):
        found = found or [*_of_others(visit, level_of(status, is_new=is_new))]
    else:
        found += of_record(status, visit, now)
    order = (Level.ALARM, Level.WARNING, Level.BUSY, Level.SAFE)
    yield from sorted(found, key=lambda alarm: order.index(alarm.level))


def _of_others(visit: Reader, level: Level) -> Iterator[Alarm]:
    """The light says that something is not as it should be, and all of that is for admins."""
    _ = visit.words.gettext
    if level in (Level.ALARM, Level.WARNING):
        yield Alarm(
            level,
            _("Something waits for an administrator."),
            _("It keeps nobody from working: images come in, and can be opened."),
        )


def _of_certificates(status: Status, visit: Reader) -> Iterator[Alarm]:
    """Of the clinic's own, which the box shows."""
    _ = visit.words.gettext
    for one in status.certificates:
        said = {"name": one.name, "day": visit.words.date(one.until), "to": one.to}
        if one.to:
            text = (
                _("The certificate %(name)s, which %(to)s is shown, ended on %(day)s.", **said)
                if one.ended
                else _("The certificate %(name)s, which %(to)s is shown, ends on %(day)s.", **said)
            )
        elif one.key.startswith("dimse."):
            text = (
                _("The certificate %(name)s, which devices are shown, ended on %(day)s.", **said)
                if one.ended
                else _(
                    "The certificate %(name)s, which devices are shown, ends on %(day)s.", **said
                )
            )
        else:
            text = (
                _("The certificate %(name)s of this box ended on %(day)s.", **said)
                if one.ended
                else _("The certificate %(name)s of this box ends on %(day)s.", **said)
            )
        yield Alarm(
            Level.WARNING,
            text,
            _(
                "Nothing gets there from then on. Ask whoever gave it for a new one, put that in"
                " the place of the old one, with its key, and start the box again."
            )
            if one.to
            else _(
                "Whoever checks it turns away from then on. Ask whoever gave it for a new one, and"
                " put that in the place of the old one, with its key: the box takes it by itself."
            ),
            one.key if visit.may(Act.ADMINISTER) else "",
        )


def _of_secrets(status: Status, visit: Reader) -> Iterator[Alarm]:
    """Those that can't be opened any more: whose they are is out of use."""
    may = visit.may(Act.ADMINISTER)
    for one, why in _by_whose(status.lost_secrets).values():
        yield Alarm(
            Level.WARNING,
            *_secret_words(one, visit.words),
            "; ".join(why) if may else "",
            "/settings" if may and one.by_page else "",
            visit.words.gettext("Settings"),
        )


def _by_whose(lost: Sequence[LostSecret]) -> dict[object, tuple[LostSecret, list[str]]]:
    """The first of each that is out of use, and what is wrong with all of its secrets.

    What the machine's file says and what can be typed are told apart.
    """
    found: dict[object, tuple[LostSecret, list[str]]] = {}
    for one in lost:
        whose = (one.archive, one.is_of_updates, one.by_page)
        found.setdefault(whose, (one, []))[1].append(one.why)
    return found


def _secret_words(one: LostSecret, words: Words) -> tuple[str, str]:
    """Whose it is; and what to do: what a file of the machine says can't be typed on the page."""
    _ = words.gettext
    if one.archive:
        return (
            _("The box can’t open its secret for the archive %(name)s any more.", name=one.archive),
            _(
                "Nothing goes there until an administrator types it again: among the settings, at"
                " the archive. Images go on coming in, and wait."
            )
            if one.by_page
            else _(
                "Nothing goes there until whoever looks after the box gives it again on the machine"
                " itself: this page can’t. Images go on coming in, and wait."
            ),
        )
    if one.is_of_updates:
        return (
            _("The box can’t open its secret for the way to the server of updates any more."),
            _(
                "No update comes from there until an administrator types it again, among the"
                " settings. Updates on a stick are taken meanwhile."
            )
            if one.by_page
            else _(
                "No update comes from there until whoever looks after the box gives it again on the"
                " machine itself: this page can’t. Updates on a stick are taken meanwhile."
            ),
        )
    return (
        _("The box can’t open its secret for the identity provider any more."),
        _(
            "Nobody can log in there until an administrator types it again, among the"
            " settings. Log in with a password or a passkey meanwhile."
        )
        if one.by_page
        else _(
            "Nobody can log in there until whoever looks after the box gives it again on the"
            " machine itself: this page can’t. Log in with a password or a passkey meanwhile."
        ),
    )


def _of_trust(status: Status, visit: Reader) -> Iterator[Alarm]:
    """Authorities of the clinic's own."""
    _ = visit.words.gettext
    for one in status.authorities[:3]:
        day = visit.words.date(one.until)
        yield Alarm(
            Level.WARNING,
            _("The certificate of the authority %(name)s ended on %(day)s.", name=one.name, day=day)
            if one.ended
            else _(
                "The certificate of the authority %(name)s ends on %(day)s.", name=one.name, day=day
            ),
            _(
                "Archive %(name)s can’t be reached without one. Ask whoever gave it for the new"
                " one, and give the box that, too: among the settings, at the archive.",
                name=one.archive,
            )
            if one.archive
            else _(
                "It came with the file that set the box up. Ask whoever gave it for the new one,"
                " and give the box that: among the settings, at each archive that needs it."
            ),
            link="/settings" if visit.may(Act.ADMINISTER) else "",
            link_text=_("Settings"),
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


def _without_disk_key(visit: Reader) -> Alarm:
    _ = visit.words.gettext
    return Alarm(
        Level.WARNING,
        _("Nobody was shown the recovery key that opens the disk now."),
        _(
            "Print it on the page Backup, and lock it away; a sheet from before opens the disk no"
            " more. Without it, what is only here is lost when the TPM of this machine fails."
        ),
        link="/backup" if visit.may(Act.ADMINISTER) else "",
        link_text=_("Backup"),
    )


def _of_line(status: Status, visit: Reader, now: float) -> Iterator[Alarm]:
    words = visit.words
    _ = words.gettext
    named = {one.archive for one in status.lost_secrets}
    for archive in status.archives:
        if not archive.online and archive.lasting and archive.name in named:
            continue  # told with what is to be done
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
