"""What a status other than success means, in words: whose answer it is decides who must change.

Pure, as `doctor`. The words of a peer (Error Comment) never come here: they may name a patient.
Ours do, without UIDs.
"""

from __future__ import annotations

from edge.cache.associations import Change, Finding, Side
from edge.dimse.doctor import on_box, on_device, plain
from edge.dimse.messages import Status

__all__ = [
    "DESTINATION",
    "answered_by_it",
    "answered_by_us",
    "destination_unknown",
    "why_it_refused",
]

DESTINATION = "destination"
"""The kind of a C-MOVE to where nobody is known; what it is about is the AE title that it named."""

_LOOK = "look in the log of this box for that moment: journalctl -u edge"
_FULL = "make room: see edge status; bring the line up, raise cache.max_bytes, or add a disk"
_DATA = "the data set that it sends is at fault: check its software, and how it is set up"
_ROUTE = "see edge peer doctor NAME of the destination, and edge peer echo NAME"
_RETRIEVALS = ("C-MOVE", "C-GET")

_Words = tuple[str, Side, str]
"""What it means, on which side, what to do."""

_OURS: dict[tuple[str, int], _Words] = {
    ("C-STORE", 0xA700): ("this box has no room left for images", Side.BOX, _FULL),
    ("C-STORE", 0xA900): ("the image is not what was announced", Side.DEVICE, _DATA),
    ("C-STORE", 0xC000): ("the image can't be understood", Side.DEVICE, _DATA),
    ("C-STORE", 0x0122): (
        "the SOP class is not the one that was negotiated",
        Side.DEVICE,
        "send each image over a presentation context of its own SOP class",
    ),
    ("C-STORE", 0x0117): ("its SOP Instance UID is none", Side.DEVICE, _DATA),
    ("C-FIND", 0xA700): ("this box could not search", Side.BOX, _LOOK),
    ("C-FIND", 0xA900): (
        "the query does not fit its information model",
        Side.DEVICE,
        "compare its query level and keys with what edge conformance says",
    ),
    ("C-FIND", 0xC000): ("the query can't be understood", Side.DEVICE, _DATA),
    ("C-FIND", 0xC001): ("this box could not search", Side.BOX, _LOOK),
    ("N-ACTION", 0x0213): (
        "this box can't take so many requests for storage commitment",
        Side.BOX,
        "see edge commit list for what waits, and edge status for the disk",
    ),
    ("N-ACTION", 0x0123): (
        "it asks for something else than storage commitment",
        Side.DEVICE,
        "have it use the Push Model (Action Type ID 1)",
    ),
    ("N-CREATE", 0x0111): (
        "the procedure step was begun before",
        Side.DEVICE,
        "have it give each step a UID of its own",
    ),
    ("N-SET", 0x0112): (
        "the procedure step is not known here",
        Side.DEVICE,
        "have it send N-CREATE to this box as well, before",
    ),
    ("N-SET", 0x0110): (
        "the procedure step can't be changed, because it is over, or the box failed",
        Side.DEVICE,
        "have it send no changes after COMPLETED or DISCONTINUED",
    ),
}
for _name in _RETRIEVALS:
    _OURS[_name, 0xA700] = ("this box could not send", Side.BOX, _LOOK)
    _OURS[_name, 0xA701] = (
        "more instances match than one request may have",
        Side.DEVICE,
        "ask for fewer studies at a time",
    )
    _OURS[_name, 0xA900] = (
        "the request does not fit its information model",
        Side.DEVICE,
        "compare its query level and unique keys with what edge conformance says",
    )
    _OURS[_name, 0xC000] = (
        "what it asks for is not known here, and the archive is out of reach",
        Side.BOX,
        "bring the line up: see edge status",
    )
_OURS["C-MOVE", 0xA702] = ("none of the images reached the destination", Side.BOX, _ROUTE)
_OURS["C-MOVE", 0xB000] = ("some of the images did not reach the destination", Side.BOX, _ROUTE)
_OURS["C-GET", 0xA702] = (
    "it took none of the images",
    Side.DEVICE,
    "have it propose their SOP classes, with explicit and implicit VR, as SCP",
)
_OURS["C-GET", 0xB000] = ("it did not take some of the images", *_OURS["C-GET", 0xA702][1:])

_MANIFOLD = {(name, 0xA900) for name in ("C-FIND", *_RETRIEVALS)}
"""Where the comment says which of several things is wrong: each has a row of its own."""

_OF_ANY: dict[int, _Words] = {
    0x0110: ("this box could not do it", Side.BOX, _LOOK),
    0x0122: (
        "the SOP class is not offered here",
        Side.DEVICE,
        "have it ask for what this box offers",
    ),
    0x0124: (
        "it may not do that",
        Side.BOX,
        "add the right to may in its [[dimse.peer]], if it is meant to",
    ),
    0x0211: (
        "the service that it uses has no such operation",
        Side.DEVICE,
        "have it ask for what this box offers",
    ),
    0x0213: ("this box has no room or no time for it", Side.BOX, _FULL),
    0xA700: ("this box has no room or no time for it", Side.BOX, _FULL),
}

_THEIRS: dict[int, _Words] = {
    0x0110: ("it could not do it", Side.DEVICE, "look in its log for the reason"),
    0x0112: (
        "it does not know what that is about",
        Side.DEVICE,
        "look in its log; what came before may have been lost there",
    ),
    0x0122: (
        "it does not take that SOP class",
        Side.DEVICE,
        "allow that SOP class there for this box",
    ),
    0x0124: ("it does not allow that", Side.DEVICE, "allow it there for the AE title of this box"),
    0x0211: (
        "it does not know that operation",
        Side.DEVICE,
        "allow the service there, or do not send it this",
    ),
    0x0213: ("it has no room or no time for it", Side.DEVICE, "make room there"),
}


def answered_by_us(name: str, status: int, comment: str) -> Finding | None:
    """A request of a peer was answered without success; None: that is no trouble.

    Args:
        name: Of the request: ``C-STORE``.
        status: Status (0000,0900).
        comment: Our Error Comment.
    """
    if status in (Status.SUCCESS, Status.CANCELLED):
        return None
    known = _OURS.get((name, status)) or _OF_ANY.get(status)
    why, side, do = known or ("what it asked for is not right", Side.DEVICE, _DATA)
    more = f" ({plain(comment)})" if comment else ""
    what = f"its {name} was answered with status {status:04X}: {why}{more}"
    about = f"{name} {status:04X}{more if (name, status) in _MANIFOLD else ''}"
    return Finding("operation", what, (Change(side, do),), about)


def destination_unknown(named: str, meant: str) -> Finding:
    """A C-MOVE was answered with A801.

    Args:
        named: The destination.
        meant: The AE title of a peer that is spelt alike, or so but nobody says where it is; or
            nothing.
    """
    title = plain(named)
    what = f'its C-MOVE was answered with status A801: the destination "{title}" is not known here'
    add = (
        f'on the page Devices, let a device in with AE title "{title}", its address and port; or'
        f' add a [[dimse.peer]] with ae_title = "{title}", its host and its port'
    )
    changes: tuple[Change, ...] = (on_box(add),)
    if not title:
        what = "its C-MOVE was answered with status A801: it named no AE title as destination"
        changes = (on_device("have it name the AE title to which the images are to go"),)
    elif meant == named:
        what = (
            "its C-MOVE was answered with status A801: it is not said where the destination"
            f' "{title}" is'
        )
        changes = (on_box(f"name host and port of the peer {title}: an address, no network"),)
    elif meant:
        mind = f'have it name "{plain(meant)}", which is known: small letters are not capital ones'
        changes = (on_device(mind), on_box(f"or, if it is another one, {add}"))
    return Finding(DESTINATION, what, changes, title)


def why_it_refused(status: int) -> str:
    """What a status without success means, of which a peer answered a C-STORE."""
    return _of_theirs(status)[0]


def _of_theirs(status: int) -> _Words:
    return _THEIRS.get(status) or _by_range(status)


def answered_by_it(name: str, status: int, purpose: str) -> Finding | None:
    """A request of ours was answered without success; None: that is no trouble.

    Args:
        name: Of the request.
        status: Status (0000,0900).
        purpose: What the association is for.
    """
    if status in (Status.SUCCESS, Status.CANCELLED):
        return None
    why, side, do = _of_theirs(status)
    what = f"{purpose}: it answered {name} with status {status:04X}: {why}"
    return Finding("operation", what, (Change(side, do),), f"{name} {status:04X}")


def _by_range(status: int) -> _Words:
    """PS3.4 B.2.3 and C.4: what services have in common."""
    look = "look in its log for the reason"
    if 0xA700 <= status <= 0xA7FF:
        return "it is out of resources", Side.DEVICE, "make room there; it may be its disk"
    if 0xA900 <= status <= 0xA9FF:
        return "the data set is not what it expects for that SOP class", Side.DEVICE, look
    if 0xC000 <= status <= 0xCFFF:
        return "it can't understand or use what it was sent", Side.DEVICE, look
    if 0xB000 <= status <= 0xBFFF:
        return "it did it, with a warning", Side.DEVICE, look
    return "it refused", Side.DEVICE, look
