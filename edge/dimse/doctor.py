"""What went wrong with an association that a peer asked for: from facts to words.

A sentence for a technician goes on from who it was ("CT1 at 10.0.0.5: it called …"), and says what
to change, on which side. Pure: it looks at nothing but what it is given. Nothing that it writes has
a patient or an instance in it, and what a stranger wrote can forge no line.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence

from pydicom import config as pydicom_config
from pydicom.uid import UID

from edge.cache.associations import FINE, Change, Finding, RefusedContext, Side
from edge.config import Dimse
from edge.dicom.uids import hide_uids, is_storage_sop_class
from edge.dimse.negotiation import NotAccepted
from edge.dimse.peers import Cause, Refusal
from edge.others import Peer

__all__ = [
    "BROKEN_SOFTWARE",
    "MOST_SHOWN",
    "fine",
    "name_of_uid",
    "never_called",
    "not_accepted",
    "nothing_proposed",
    "on_box",
    "on_device",
    "plain",
    "rejected",
    "some",
]

BROKEN_SOFTWARE = "its DICOM software breaks the Standard: renew it, or ask its maker"

MOST_SHOWN = 32
"""Presentation contexts in one finding."""
_MOST_SYNTAXES = 8
_MOST_NAMED = 4


def plain(text: str) -> str:
    """A text that may come from elsewhere, as ASCII that can be shown; UIDs by name, or hidden."""
    return ascii(hide_uids(text, _known))[1:-1]


def _known(uid: str) -> str:
    name = name_of_uid(uid)
    return "(a UID)" if name == uid else name


def name_of_uid(uid: str) -> str:
    """Of a SOP class or transfer syntax; the UID itself if it has none."""
    return UID(uid, validation_mode=pydicom_config.IGNORE).name if uid else "no UID"


def some(names: Collection[str]) -> str:
    """The first of them, and how many more."""
    shown = list(dict.fromkeys(names))
    more = f" and {len(shown) - _MOST_NAMED} more" if len(shown) > _MOST_NAMED else ""
    return ", ".join(shown[:_MOST_NAMED]) + more


def fine() -> Finding:
    """Nothing went wrong."""
    return Finding(FINE, "all went well")


def rejected(refusal: Refusal, settings: Dimse, *, calling: str, called: str, host: str) -> Finding:
    """The association was refused, whoever asked."""
    ours = settings.ae_title.strip()
    title = plain(calling)
    expected = plain(refusal.expected)
    changes: tuple[Change, ...]
    match refusal.cause:
        case Cause.CALLED:
            what = f'it called the AE title "{plain(called)}", but this box is "{ours}"'
            changes = (
                on_device(
                    f'enter "{ours}" as the AE title of this box (called, remote or server AE)'
                ),
                on_box("or change dimse.ae_title, if all devices are to call it otherwise"),
            )
        case Cause.NO_TITLE:
            what = f'it calls itself "{title}", which is no AE title'
            changes = (on_device("set its own AE title: 1 to 16 plain letters, digits or _"),)
        case Cause.UNKNOWN:
            what = f'it calls itself "{title}", and no peer has that AE title'
            changes = _let_in(settings, title, host, expected)
        case Cause.ADDRESS:
            what = f"{title} is expected to call from {expected}, and it calls from {host}"
            changes = (
                on_box(f'if the device has moved, set host = "{host}" for the peer {title}'),
                on_device("if this is another device, give it an AE title of its own"),
            )
        case Cause.NAME:
            what = f"{title} is expected to call from {expected}, and no name server knows that now"
            changes = (
                on_box(f"see that {expected} can be resolved here: getent hosts {expected}"),
                on_box(f"or set an address as host for the peer {title}, in place of a name"),
            )
        case Cause.CERTIFICATE:
            what = f"it calls itself {title}, and does not show the certificate of that peer"
            changes = (
                on_box(f"if it has a new certificate, set certificate for the peer {title}"),
                on_device("else have it show the one that it was given for this box"),
            )
        case Cause.ENCRYPTION:
            what = f"it calls itself {title}, and that peer is let in over TLS alone"
            changes = (
                on_device(f"have it call over TLS, at {settings.tls_listen}"),
                on_box(f"or set tls_only = false for the peer {title}, and anybody may say so"),
            )
        case Cause.LIMIT:
            what = f"there were too many associations: {refusal.why}"
            changes = (on_device("close associations that are not used, or use fewer at a time"),)
            key = "max_associations of its [[dimse.peer]]"
            if "max_associations" not in refusal.why:
                key = f"dimse.max_associations ({settings.max_associations} now)"
            changes += (on_box(f"or raise {key}"),)
        case _:
            what = f"what it proposed is not possible: {plain(refusal.why)}"
            changes = (on_device(BROKEN_SOFTWARE),)
    about = expected if refusal.cause in (Cause.ADDRESS, Cause.NAME, Cause.UNKNOWN) else ""
    return Finding(f"rejected: {refusal.cause}", what, changes, about)


def not_accepted(
    contexts: Sequence[NotAccepted], accepted: Collection[str], *, ae_title: str, is_stranger: bool
) -> list[Finding]:
    """Presentation contexts were refused: one finding for each reason.

    Args:
        contexts: Those.
        accepted: Abstract syntaxes of the others.
        ae_title: By which the peer calls itself.
        is_stranger: No peer is configured or approved.
    """
    grouped: dict[str, list[NotAccepted]] = {}
    for each in contexts:
        grouped.setdefault(_reason(each, accepted), []).append(each)
    return [
        Finding(
            "contexts",
            _why_refused(reason, group, accepted),
            _remedy(reason, group, accepted, plain(ae_title), is_stranger=is_stranger),
            reason,
            _shown(group),
            is_harmless=reason == _OTHERWISE or (reason == _NOT_HERE and bool(accepted)),
        )
        for reason, group in grouped.items()
    ]


_OTHERWISE = "accepted otherwise"
_NO_SYNTAX = "transfer syntax"
_NOT_HERE = "not offered"
_NO_ROLE = "role"


def _reason(context: NotAccepted, accepted: Collection[str]) -> str:
    if context.abstract_syntax in accepted:
        return _OTHERWISE
    if context.rights:
        return f"may {' '.join(context.rights)}"
    return {3: _NOT_HERE, 4: _NO_SYNTAX}.get(context.result, _NO_ROLE)


def _why_refused(reason: str, group: Sequence[NotAccepted], accepted: Collection[str]) -> str:
    names = some(_names(group))
    if reason == _OTHERWISE:
        return f"one of its proposals for {names} was refused, and another accepted: nothing lacks"
    alone = "" if accepted else "; so it can do nothing here"
    if reason == _NOT_HERE:
        return f"it proposed what this box does not offer: {names}{alone}"
    if reason == _NO_SYNTAX:
        offered = some([name_of_uid(uid) for each in group for uid in each.transfer_syntaxes])
        return (
            f"it proposed {names} in no transfer syntax that is possible for that"
            f" ({offered or 'none at all'}){alone}"
        )
    if reason == _NO_ROLE:
        return f"it proposed {names} in a role (SCU, SCP) that it can't have here{alone}"
    rights = " and ".join(f'"{right}"' for right in group[0].rights)
    return f"it proposed {names}, and its may lacks {rights}{alone}"


def _remedy(
    reason: str,
    group: Sequence[NotAccepted],
    accepted: Collection[str],
    ae_title: str,
    *,
    is_stranger: bool,
) -> tuple[Change, ...]:
    if reason == _OTHERWISE:
        return ()
    if reason == _NOT_HERE:
        what = "switch these services off for this box; others are not disturbed by it"
        if not accepted:
            what = "have it ask for what this box offers: edge conformance lists that"
        return (on_device(what),)
    if reason == _NO_SYNTAX:
        possible = some([name_of_uid(uid) for each in group for uid in each.possible])
        return (on_device(f"allow one of these transfer syntaxes: {possible or 'any UID at all'}"),)
    if reason == _NO_ROLE:
        return (on_device("have it propose the SCU role, or no roles"),)
    rights = ", ".join(f'"{right}"' for right in group[0].rights)
    if is_stranger:
        return (
            on_box(
                f"let it in on the page Devices, and tick {rights}; or add a [[dimse.peer]] with"
                f" ae_title = {ae_title!r} whose may has that"
            ),
        )
    words = ",".join(group[0].rights)
    return (
        on_box(
            f"on the page Devices, change {ae_title} and tick {rights}; or add {rights} to may in"
            f" the [[dimse.peer]] of {ae_title}; if it was approved, say"
            f" edge peer approve {shlex.quote(ae_title)} --may again, with {words} beside what it"
            " may now"
        ),
    )


def _names(group: Sequence[NotAccepted]) -> list[str]:
    """SOP classes by name; a crowd of storage classes, which some devices propose, by number."""
    storage, others = _parted(group)
    return [*_crowd(storage), *(name_of_uid(each.abstract_syntax) for each in others)]


def _parted(
    group: Sequence[NotAccepted],
) -> tuple[Sequence[NotAccepted], Sequence[NotAccepted]]:
    """A crowd of storage classes, or none, and the others."""
    storage = [each for each in group if is_storage_sop_class(each.abstract_syntax)]
    if len({each.abstract_syntax for each in storage}) <= _MOST_NAMED:
        return (), group
    return storage, [each for each in group if not is_storage_sop_class(each.abstract_syntax)]


def _crowd(storage: Sequence[NotAccepted]) -> list[str]:
    classes = {each.abstract_syntax for each in storage}
    return [f"{len(classes)} storage classes"] if classes else []


def _shown(group: Sequence[NotAccepted]) -> tuple[RefusedContext, ...]:
    """As `_names` names them."""
    storage, others = _parted(group)
    crowd = tuple(
        RefusedContext(name, "", storage[0].why, *_syntaxes(storage)) for name in _crowd(storage)
    )
    return crowd + tuple(
        RefusedContext(
            name_of_uid(each.abstract_syntax), each.abstract_syntax, each.why, *_syntaxes([each])
        )
        for each in others[:MOST_SHOWN]
    )


def _syntaxes(contexts: Sequence[NotAccepted]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The first of those that were proposed, and of those that are possible."""
    proposed = dict.fromkeys(uid for each in contexts for uid in each.transfer_syntaxes)
    possible = dict.fromkeys(uid for each in contexts for uid in each.possible)
    return (
        tuple(map(name_of_uid, list(proposed)[:_MOST_SYNTAXES])),
        tuple(map(name_of_uid, list(possible)[:_MOST_SYNTAXES])),
    )


def nothing_proposed() -> Finding:
    """The association has no context at all."""
    what = "it proposed no presentation context, so it can do nothing here"
    return Finding("contexts", what, (on_device("switch the services on that it is to use"),))


def never_called(peer: Peer, settings: Dimse) -> Finding:
    """A peer that is known has not called, as far as is remembered."""
    ports = []
    if settings.listen:
        ports.append(settings.listen)
    if settings.tls_listen:
        ports.append(f"{settings.tls_listen} with TLS")
    ours, where = settings.ae_title.strip(), " or ".join(ports)
    title = peer.ae_title.strip()
    changes = [
        on_device(f'enter this box there: AE title "{ours}", its address, and the port of {where}'),
        on_device(f'set its own AE title to "{title}", exactly so, and send a C-ECHO from it'),
        Change(
            Side.NETWORK, "let connections from it to that port through, if there is a firewall"
        ),
    ]
    if peer.host:
        changes.append(on_box(f"look whether {peer.host} still is its address (host of the peer)"))
        changes.append(on_box(f"try the way back: edge peer echo {shlex.quote(title)}"))
    return Finding("never called", "it has never called, as far as is known", tuple(changes))


def _let_in(settings: Dimse, title: str, host: str, meant: str) -> tuple[Change, ...]:
    device: tuple[Change, ...] = ()
    if meant:
        device = (on_device(f'if it is {meant}: set its own AE title to "{meant}", exactly so'),)
    if settings.unknown_peers == "learn":
        let = f"let it in on the page Devices, or by edge peer approve {shlex.quote(title)}"
    else:
        let = (
            f'on the page Devices, let a device in with AE title "{title}" and address {host}; or'
            f' add a [[dimse.peer]] with ae_title = "{title}" and host = "{host}"'
        )
    return (*device, on_box(f"if it may call: {let}"))


def on_device(what: str) -> Change:
    """To be changed there."""
    return Change(Side.DEVICE, what)


def on_box(what: str) -> Change:
    """To be changed here."""
    return Change(Side.BOX, what)
