"""Why an association that a peer asked for ended before its time, or never began: in words.

Pure, as `doctor`.
"""

from __future__ import annotations

from pathlib import Path

from edge.cache.associations import Change, Finding, Side
from edge.config import Dimse
from edge.dimse.doctor import BROKEN_SOFTWARE, on_box, on_device, plain
from edge.dimse.tls_words import Handshake
from edge.errors import How, PeerError

__all__ = ["lost"]


def lost(
    error: PeerError,
    settings: Dimse,
    *,
    during: str,
    was_requested: bool,
    has_asked: bool,
    is_encrypted: bool,
) -> Finding | None:
    """The association ended without a release; None: nothing is wrong.

    Args:
        error: How.
        settings: ``[dimse]``.
        during: The request under way, or nothing.
        was_requested: There was an association request at all.
        has_asked: A request was answered on it before.
        is_encrypted: The connection came to the port for TLS.
    """
    if error.how is How.OURS:
        return None
    if error.how is How.OTHER_PROTOCOL:
        return _other_protocol(plain(str(error)), settings)
    if not was_requested:
        return _without_request(error, settings, is_encrypted=is_encrypted)
    if error.how is How.ABORTED and not during:
        return _aborted(has_asked=has_asked)
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
            changes = _for_handshake(str(error), settings)
        case How.SILENT | How.STALLED:
            what = f"it connected, and asked for nothing: {said}"
            changes = (
                on_device(_TLS_OR_ELSE if is_encrypted else _PLAIN_OR_ELSE),
                Change(Side.NETWORK, "large packets may be lost on the way: compare MTUs (VPN)"),
            )
        case How.BROKEN if is_encrypted:
            what = f"it spoke TLS, and hung up without asking for anything: {said}"
            changes = (_trust(settings),)
        case How.BROKEN:
            what = "it connected, and hung up without asking for anything"
            return Finding("nothing asked", what)
        case How.GAVE_WAY:
            what = f"it connected, asked for nothing, and others needed the connection: {said}"
            changes = (on_device("it opens many connections: close those that are not used"),)
        case _:
            what = f"it broke the rules of DICOM before it was associated: {said}"
            changes = (on_device(BROKEN_SOFTWARE),)
    return Finding(f"lost: {error.how}", what, changes, about)


def _for_handshake(said: str, settings: Dimse) -> tuple[Change, ...]:
    """What to change, by the cause that was found."""
    port = f", or have it call the plain port ({settings.listen})" if settings.listen else ""
    speak, trust = on_device(f"switch TLS on for this box{port}"), _trust(settings)
    renew = on_device("look at the clocks of both, and give it a new certificate")
    is_of_another_time = "expired" in said or "not yet valid" in said
    changes = {
        Handshake.NOT_TLS: (speak,),
        Handshake.TOO_OLD: (
            on_device("renew its software: TLS 1.2 is the oldest that is spoken here"),
        ),
        Handshake.NO_SUITE: (on_device("allow cipher suites of ECDHE with AES in GCM there"),),
        Handshake.NO_CERTIFICATE: (
            on_device("give it a certificate of its own, which dimse.tls_ca vouches for"),
            on_box("or name no dimse.tls_ca, if devices are not to show certificates"),
        ),
        Handshake.NOT_VOUCHED: (renew,) if is_of_another_time else _VOUCH,
        Handshake.NO_TRUST: (trust,),
    }
    return next((todo for cause, todo in changes.items() if cause in said), (speak, trust))


_VOUCH = (
    on_box(
        "add the authority of its certificate, or the certificate itself, to the file that"
        " dimse.tls_ca names"
    ),
    on_device("or give it a certificate from an authority in that file"),
)


def _trust(settings: Dimse) -> Change:
    made_here = settings.tls_certificate == Path()
    where = ", if the box made it: tls/ca.crt in data_dir" if made_here else ""
    return on_device(f"have it trust the authority of this box's certificate{where}")


def _aborted(*, has_asked: bool) -> Finding:
    """With no request under way."""
    kind = f"lost: {How.ABORTED}"
    if has_asked:
        what = "it aborted the association with no request under way, after others were answered"
        return Finding(kind, what, (on_device("look in its own log for the reason"),))
    what = "it aborted the association before it asked for anything"
    do = (
        "look in its own log: it may have proposed nothing that fits what it came for, such as an"
        " image of another SOP class or transfer syntax"
    )
    return Finding(kind, what, (on_device(do),), "nothing asked")


def _amid(error: PeerError, settings: Dimse, during: str) -> Finding:
    """It was associated."""
    said = plain(str(error))
    amid = f"in the middle of {during}" if during else "with no request under way"
    changes: tuple[Change, ...]
    match error.how:
        case How.ABORTED:
            what = f"it aborted the association {amid}"
            changes = (on_device("look in its own log for the reason; raise its timeouts"),)
        case How.BROKEN if not during:
            what = "it hung up without a release; nothing was under way, so nothing was lost"
            changes = ()
        case How.BROKEN:
            what = f"{said}, {amid}"
            changes = (
                Change(Side.NETWORK, "look at cable, Wi-Fi, switch and firewall between"),
                on_device("look whether it was switched off, or its transfer was stopped there"),
            )
        case How.STALLED | How.SILENT:
            what = f"{said}, {amid}"
            changes = (
                Change(Side.NETWORK, "look at cable, Wi-Fi and MTU: the data came to a halt"),
                on_box(f"or raise dimse.pdu_seconds ({settings.pdu_seconds:g} now)"),
            )
        case How.IDLE:
            what = f"it left an association open without using it: {said}"
            changes = (
                on_device("release associations at their end"),
                on_box(f"or raise dimse.idle_seconds ({settings.idle_seconds:g} now)"),
            )
        case How.GAVE_WAY:
            what = f"its association had to end for another's: {said}"
            changes = (
                on_device("close associations that are not used"),
                on_box(f"or raise dimse.max_associations ({settings.max_associations} now)"),
            )
        case How.TOO_LONG:
            what = f"it sent more than one instance may have: {said}"
            changes = (on_box("raise cache.max_instance_bytes, if that is meant"),)
        case _:
            what = f"it broke the rules of DICOM, {amid}: {said}"
            changes = (on_device(BROKEN_SOFTWARE),)
    return Finding(f"lost: {error.how}", what, changes, during)


_TLS_OR_ELSE = "is TLS switched on for this box?"
_PLAIN_OR_ELSE = "is it a DICOM device that called? Else have it call another port"


def _other_protocol(said: str, settings: Dimse) -> Finding:
    changes: tuple[Change, ...]
    if "HTTP" in said:
        what = "it speaks HTTP, to the port for DICOM"
        changes = (on_device("browsers and DICOMweb need the port of http.listen"),)
        return Finding("lost: HTTP", what, changes)
    if "TLS" in said:
        what = "it speaks TLS, to the port for plain DICOM"
        if settings.tls_listen:
            port = f"have it call the port for TLS ({settings.tls_listen}), or switch TLS off there"
            return Finding("lost: TLS to the plain port", what, (on_device(port),))
        changes = (
            on_device("switch TLS off for this box"),
            on_box("or name a port for TLS: dimse.tls_listen"),
        )
        return Finding("lost: TLS to the plain port", what, changes)
    what = f"what it speaks is no DICOM: {said}"
    return Finding("lost: other protocol", what, (on_device("have it call another port"),))
