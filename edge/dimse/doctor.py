"""What went wrong with an association that a peer asked for: from facts to words.

A sentence for a technician goes on from who it was ("CT1 at 10.0.0.5: it called …"), and says what
to change, on which side. Pure: it looks at nothing but what it is given. Nothing that it writes has
a patient or an instance in it, and what a stranger wrote can forge no line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from pydicom import config as pydicom_config
from pydicom.uid import UID

from edge.cache.associations import FINE, Change, Finding, RefusedContext, Side
from edge.config import Dimse, Peer
from edge.dimse.negotiation import NotAccepted
from edge.dimse.peers import Cause, Refusal
from edge.errors import How, PeerError

__all__ = [
    "fine",
    "lost",
    "name_of_uid",
    "never_called",
    "not_accepted",
    "nothing_proposed",
    "plain",
    "rejected",
    "some",
]

MOST_SHOWN = 32
"""Presentation contexts in one finding."""
_MOST_SYNTAXES = 8
_MOST_NAMED = 4
_UID = re.compile(r"[0-9]+(?:\.[0-9]+){4,}")


def plain(text: str) -> str:
    """A text that may come from elsewhere, as ASCII that can be shown; UIDs by name, or hidden."""
    return ascii(_UID.sub(_without_uid, text))[1:-1]


def _without_uid(found: re.Match[str]) -> str:
    name = name_of_uid(found[0])
    return "(a UID)" if name == found[0] else name


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
                _device(
                    f'enter "{ours}" as the AE title of this box (called, remote or server AE)'
                ),
                _box("or change dimse.ae_title, if all devices are to call it otherwise"),
            )
        case Cause.NO_TITLE:
            what = f'it calls itself "{title}", which is no AE title'
            changes = (_device("set its own AE title: 1 to 16 plain letters, digits or _"),)
        case Cause.UNKNOWN:
            what = f'it calls itself "{title}", and no peer has that AE title'
            changes = _let_in(settings, title, host, expected)
        case Cause.ADDRESS:
            what = f"{title} is expected to call from {expected}, and it calls from {host}"
            changes = (
                _box(f'if the device has moved, set host = "{host}" for the peer {title}'),
                _device("if this is another device, give it an AE title of its own"),
            )
        case Cause.CERTIFICATE:
            what = f"it calls itself {title}, and does not show the certificate of that peer"
            changes = (
                _box(f"if it has a new certificate, set certificate for the peer {title}"),
                _device("else have it show the one that it was given for this box"),
            )
        case Cause.LIMIT:
            what = f"there were too many associations: {refusal.why}"
            changes = (_device("close associations that are not used, or use fewer at a time"),)
            key = "max_associations of its [[dimse.peer]]"
            if "max_associations" not in refusal.why:
                key = f"dimse.max_associations ({settings.max_associations} now)"
            changes += (_box(f"or raise {key}"),)
        case _:
            what = f"what it proposed is not possible: {plain(refusal.why)}"
            changes = (_device(_FAULTY),)
    about = expected if refusal.cause in (Cause.ADDRESS, Cause.UNKNOWN) else ""
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
            _remedy(reason, group, plain(ae_title), is_stranger=is_stranger),
            reason,
            tuple(_shown(each) for each in group[:MOST_SHOWN]),
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
    names = some([name_of_uid(each.abstract_syntax) for each in group])
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
    reason: str, group: Sequence[NotAccepted], ae_title: str, *, is_stranger: bool
) -> tuple[Change, ...]:
    if reason == _OTHERWISE:
        return ()
    if reason == _NOT_HERE:
        return (_device("switch these services off for this box; others are not disturbed by it"),)
    if reason == _NO_SYNTAX:
        possible = some([name_of_uid(uid) for each in group for uid in each.possible])
        return (_device(f"allow one of these transfer syntaxes: {possible or 'any UID at all'}"),)
    if reason == _NO_ROLE:
        return (_device("have it propose the SCU role, or no roles"),)
    rights = ", ".join(f'"{right}"' for right in group[0].rights)
    if is_stranger:
        return (_box(f"add a [[dimse.peer]] with ae_title = {ae_title!r} whose may has {rights}"),)
    words = ",".join(group[0].rights)
    return (
        _box(
            f"add {rights} to may in the [[dimse.peer]] of {ae_title}; if it was approved, say"
            f" edge peer approve {ae_title} --may again, with {words} beside what it may now"
        ),
    )


def _shown(context: NotAccepted) -> RefusedContext:
    return RefusedContext(
        name_of_uid(context.abstract_syntax),
        context.abstract_syntax,
        context.why,
        tuple(map(name_of_uid, context.transfer_syntaxes[:_MOST_SYNTAXES])),
        tuple(map(name_of_uid, context.possible[:_MOST_SYNTAXES])),
    )


def nothing_proposed() -> Finding:
    """The association has no context at all."""
    what = "it proposed no presentation context, so it can do nothing here"
    return Finding("contexts", what, (_device("switch the services on that it is to use"),))


def lost(
    error: PeerError, settings: Dimse, *, during: str, was_requested: bool, is_encrypted: bool
) -> Finding | None:
    """The association ended without a release; None: nothing is wrong.

    Args:
        error: How.
        settings: ``[dimse]``.
        during: The request under way, or nothing.
        was_requested: There was an association request at all.
        is_encrypted: The connection came to the port for TLS.
    """
    if error.how is How.OURS:
        return None
    if error.how is How.OTHER_PROTOCOL:
        return _other_protocol(plain(str(error)), settings)
    if not was_requested:
        return _without_request(error, settings, is_encrypted=is_encrypted)
    return _amid(error, settings, during)


def _without_request(error: PeerError, settings: Dimse, *, is_encrypted: bool) -> Finding:
    """Nothing of DICOM came, or no whole request for an association."""
    said = plain(str(error))
    about = "no request"
    changes: tuple[Change, ...]
    match error.how:
        case How.TLS:
            about = said
            what = f"it called the port for TLS, and could not speak it: {said}"
            plain_port = f" ({settings.listen})" if settings.listen else ""
            changes = (
                _device(f"switch TLS on for this box, or have it call the plain port{plain_port}"),
                _device("have it trust the authority of this box's certificate"),
                _box("if dimse.tls_ca is named, have it name the authority of its certificate"),
            )
        case How.SILENT | How.STALLED:
            what = f"it connected, and asked for nothing: {said}"
            changes = (
                _device(_TLS_OR_ELSE if is_encrypted else _PLAIN_OR_ELSE),
                Change(Side.NETWORK, "large packets may be lost on the way: compare MTUs (VPN)"),
            )
        case How.BROKEN if is_encrypted:
            what = f"it spoke TLS, and hung up without asking for anything: {said}"
            changes = (_device("have it trust the authority of this box's certificate"),)
        case How.BROKEN:
            what = "it connected, and hung up without asking for anything"
            return Finding("nothing asked", what)
        case How.GAVE_WAY:
            what = f"it connected, asked for nothing, and others needed the connection: {said}"
            changes = (_device("it opens many connections: close those that are not used"),)
        case _:
            what = f"it broke the rules of DICOM before it was associated: {said}"
            changes = (_device(_FAULTY),)
    return Finding(f"lost: {error.how}", what, changes, about)


def _amid(error: PeerError, settings: Dimse, during: str) -> Finding:
    """It was associated."""
    said = plain(str(error))
    amid = f"in the middle of {during}" if during else "with no request under way"
    changes: tuple[Change, ...]
    match error.how:
        case How.ABORTED:
            what = f"it aborted the association {amid}"
            changes = (_device("look in its own log for the reason; raise its timeouts"),)
        case How.BROKEN if not during:
            what = "it hung up without a release; nothing was under way, so nothing was lost"
            changes = ()
        case How.BROKEN:
            what = f"{said}, {amid}"
            changes = (
                Change(Side.NETWORK, "look at cable, Wi-Fi, switch and firewall between"),
                _device("look whether it was switched off, or its transfer was stopped there"),
            )
        case How.STALLED | How.SILENT:
            what = f"{said}, {amid}"
            changes = (
                Change(Side.NETWORK, "look at cable, Wi-Fi and MTU: the data came to a halt"),
                _box(f"or raise dimse.pdu_seconds ({settings.pdu_seconds:g} now)"),
            )
        case How.IDLE:
            what = f"it left an association open without using it: {said}"
            changes = (
                _device("release associations at their end"),
                _box(f"or raise dimse.idle_seconds ({settings.idle_seconds:g} now)"),
            )
        case How.GAVE_WAY:
            what = f"its association had to end for another's: {said}"
            changes = (
                _device("close associations that are not used"),
                _box(f"or raise dimse.max_associations ({settings.max_associations} now)"),
            )
        case How.TOO_LONG:
            what = f"it sent more than one instance may have: {said}"
            changes = (_box("raise cache.max_instance_bytes, if that is meant"),)
        case _:
            what = f"it broke the rules of DICOM, {amid}: {said}"
            changes = (_device(_FAULTY),)
    return Finding(f"lost: {error.how}", what, changes, during)


_FAULTY = "its DICOM software breaks the Standard: renew it, or ask its maker"
_TLS_OR_ELSE = "is TLS switched on for this box?"
_PLAIN_OR_ELSE = "is it a DICOM device that called? Else have it call another port"


def _other_protocol(said: str, settings: Dimse) -> Finding:
    changes: tuple[Change, ...]
    if "HTTP" in said:
        what = "it speaks HTTP, to the port for DICOM"
        changes = (_device("browsers and DICOMweb need the port of http.listen"),)
        return Finding("lost: HTTP", what, changes)
    if "TLS" in said:
        what = "it speaks TLS, to the port for plain DICOM"
        if settings.tls_listen:
            port = f"have it call the port for TLS ({settings.tls_listen}), or switch TLS off there"
            return Finding("lost: TLS to the plain port", what, (_device(port),))
        changes = (
            _device("switch TLS off for this box"),
            _box("or name a port for TLS: dimse.tls_listen"),
        )
        return Finding("lost: TLS to the plain port", what, changes)
    what = f"what it speaks is no DICOM: {said}"
    return Finding("lost: other protocol", what, (_device("have it call another port"),))


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
        _device(f'enter this box there: AE title "{ours}", its address, and the port of {where}'),
        _device(f'set its own AE title to "{title}", exactly so, and send a C-ECHO from it'),
        Change(
            Side.NETWORK, "let connections from it to that port through, if there is a firewall"
        ),
    ]
    if peer.host:
        changes.append(_box(f"look whether {peer.host} still is its address (host of the peer)"))
        changes.append(_box(f"try the way back: edge peer echo {title}"))
    return Finding("never called", "it has never called, as far as is known", tuple(changes))


def _let_in(settings: Dimse, title: str, host: str, meant: str) -> tuple[Change, ...]:
    device: tuple[Change, ...] = ()
    if meant:
        device = (_device(f'if it is {meant}: set its own AE title to "{meant}", exactly so'),)
    if settings.unknown_peers == "learn":
        return (*device, _box(f"if it may call: edge peer approve {title}"))
    add = f'if it may call: add a [[dimse.peer]] with ae_title = "{title}" and host = "{host}"'
    return (*device, _box(add))


def _device(what: str) -> Change:
    return Change(Side.DEVICE, what)


def _box(what: str) -> Change:
    return Change(Side.BOX, what)
