"""What went wrong with an association that we asked for: from facts to words.

Pure, as `doctor`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from edge.cache.associations import Change, Finding, RefusedContext, Side
from edge.config import Dimse
from edge.dicom.uids import VERIFICATION, is_storage_sop_class
from edge.dimse.doctor import (
    BROKEN_SOFTWARE,
    MOST_SHOWN,
    name_of_uid,
    on_box,
    on_device,
    plain,
    some,
)
from edge.dimse.proposal import NotAgreed
from edge.errors import EdgeError, How, PeerError, PeerRefused

__all__ = ["given_up", "not_agreed", "not_committed", "nowhere", "purpose_of"]

_STORAGE = "sending images to it"
_PURPOSES = {
    VERIFICATION: "testing it with C-ECHO",
    "1.2.840.10008.1.20.1": "reporting storage commitment to it",
    "1.2.840.10008.5.1.4.31": "asking it for its worklist",
    "1.2.840.10008.3.1.2.3.3": "telling it of procedure steps",
    "1.2.840.10008.5.1.4.33": "telling it which images are here",
}
_RESULTS = {
    0: "no answer",
    1: "user rejection",
    2: "no reason given",
    3: "SOP class not supported",
    4: "transfer syntaxes not supported",
}
"""PS3.8 Table 9-18."""
_REASONS = {
    0x0110: "could not be looked for",
    0x0112: "are not here",
    0x0119: "are of another SOP class than was said",
    0x0122: "are of a SOP class that is not kept here",
    0x0131: "were asked for twice at once",
    0x0213: "found no room",
}
"""Failure Reason (0008,1197), PS3.4 J.3.3."""


def purpose_of(abstract_syntaxes: Iterable[str]) -> str:
    """What an association is for, by what is proposed on it."""
    found = {
        _PURPOSES.get(uid) or (_STORAGE if is_storage_sop_class(uid) else "calling it")
        for uid in abstract_syntaxes
    }
    return " and ".join(sorted(found)) or "calling it"


def given_up(error: EdgeError, settings: Dimse, *, purpose: str, called: str) -> Finding | None:
    """There was no association, or it ended before its time; None: nothing is wrong.

    Args:
        error: How.
        settings: ``[dimse]``.
        purpose: What it was for.
        called: The AE title that was called.
    """
    said = plain(str(error))
    hint = plain(error.hint)
    if isinstance(error, PeerRefused):
        return _refused(error, settings, purpose, called)
    if not isinstance(error, PeerError):
        what = f"{purpose}: this box can't speak TLS: {said}"
        return Finding("ours: tls", what, (on_box(hint or "see dimse.tls_certificate"),), purpose)
    changes: tuple[Change, ...]
    match error.how:
        case How.OURS:
            return None
        case How.UNREACHABLE:
            changes = (
                on_box(f"check host and port of the peer {called}"),
                on_device("look whether it is switched on, and its DICOM service runs"),
                Change(Side.NETWORK, "let connections from this box to it through a firewall"),
            )
        case How.TLS:
            changes = (
                on_box(hint or "take tls = true away from the peer, if it speaks plain DICOM"),
            )
        case How.ABORTED:
            changes = (on_device("look in its own log for the reason"),)
        case How.SILENT:
            changes = (
                on_device("look whether it hangs, or is overloaded"),
                on_box(_MAYBE_TLS),
            )
        case How.BROKEN:
            changes = (
                on_box(_MAYBE_TLS),
                Change(Side.NETWORK, "look at cable, switch and firewall between"),
            )
        case How.OTHER_PROTOCOL:
            changes = (
                on_box(f"check the port of the peer {called}: is it that of DICOM?"),
                on_box(_MAYBE_TLS),
            )
        case How.STALLED:
            changes = (
                Change(Side.NETWORK, "look at cable, Wi-Fi and MTU: the data came to a halt"),
                on_box(f"or raise dimse.pdu_seconds ({settings.pdu_seconds:g} now)"),
            )
        case _:
            changes = (on_device(BROKEN_SOFTWARE),)
    return Finding(f"ours: {error.how}", f"{purpose}: {said}", changes, purpose)


_MAYBE_TLS = "if that port of it speaks TLS, set tls = true for the peer; if not, take it away"


def nowhere(purpose: str, ae_title: str) -> Finding:
    """It was to be called, and nobody says where it is."""
    what = f"{purpose}: it is not said where it is"
    do = f"name host and port in the [[dimse.peer]] of {ae_title}: an address, no network"
    return Finding("ours: nowhere", what, (on_box(do),), purpose)


def _refused(error: PeerRefused, settings: Dimse, purpose: str, called: str) -> Finding:
    ours = settings.ae_title.strip()
    _, source, reason = error.codes
    changes: tuple[Change, ...]
    if (source, reason) == (1, 3):
        why = f'it does not know the AE title "{ours}"'
        changes = (on_device(f'enter this box there: AE title "{ours}", and its address'),)
    elif (source, reason) == (1, 7):
        why = f'it does not go by the AE title "{called}"'
        changes = (
            on_box(f"correct ae_title of the peer {called} (of the source, if it is a worklist)"),
            on_device(f'or set its AE title to "{called}"'),
        )
    elif source == 3:
        why = str(error).rpartition(": ")[2]
        changes = (on_device("raise its limit of associations, if this goes on"),)
    else:
        why = str(error).rpartition(": ")[2]
        changes = (on_device(f'look in its log; allow "{ours}" and its address there'),)
    what = f"{purpose}: it rejects the association: {why}"
    return Finding("ours: rejected", what, changes, f"{source}.{reason} {purpose}")


def not_agreed(contexts: Sequence[NotAgreed], purpose: str) -> Finding:
    """It accepts the association, and not what we proposed on it."""
    names = some([name_of_uid(each.abstract_syntax) for each in contexts])
    offered = some([name_of_uid(uid) for each in contexts for uid in each.transfer_syntaxes])
    what = f"{purpose}: it accepts no presentation context for {names} (in {offered})"
    changes = (on_device(f"allow there, for this box: {names}"),)
    shown = tuple(
        RefusedContext(
            name_of_uid(each.abstract_syntax),
            each.abstract_syntax,
            _RESULTS.get(each.result, f"result {each.result}"),
            tuple(map(name_of_uid, each.transfer_syntaxes[:8])),
        )
        for each in contexts[:MOST_SHOWN]
    )
    return Finding("ours: contexts", what, changes, purpose, shown)


def not_committed(reasons: Mapping[int, int]) -> Finding:
    """Images are not committed, and it was told so.

    Args:
        reasons: Failure Reason to the number of images.
    """
    counted = Counter(reasons)
    words = ", ".join(
        f"{count} {_REASONS.get(reason, f'failed with {reason:04X}')}"
        for reason, count in counted.most_common(4)
    )
    what = f"it asked for storage commitment, and was told no of some images: {words}"
    changes = (on_device("have it send those images again, then ask again"),)
    main = f"{counted.most_common(1)[0][0]:04X}" if counted else ""
    return Finding("commitment", what, changes, main)
