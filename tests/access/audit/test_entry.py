"""An entry is written and read again; whatever strangers send, it fits into a record."""

from __future__ import annotations

import msgspec

from edge.access.audit.entry import BOX, Actor, Entry, Event, Kind, Outcome, Subject
from edge.access.roles import Identity, Proof, Role
from edge.crypto.chain import MOST


def test_it_is_read_as_it_was_written():
    entry = Entry(
        at=1.5,
        event=Event.ACCESSED,
        actor=Actor("a viewer", role="viewer", address="10.0.0.7", proof="token", token="a1"),
        outcome=Outcome.REFUSED,
        about=Subject("1.2.3", "4711", "Nobody^Ünknown", "A1"),
        times=3,
        instances=2,
        sop_classes={"1.2.840.10008.5.1.4.1.1.2": 2},
        detail={"role": "admin"},
    )
    assert Entry.from_bytes(entry.to_bytes(), 9) == msgspec.structs.replace(entry, number=9)


def test_what_is_not_known_takes_no_room():
    entry = Entry(at=1.0, event=Event.STARTED, actor=BOX)
    assert msgspec.json.decode(entry.to_bytes()) == {
        "at": 1.0,
        "event": "service started",
        "actor": {"name": "edge", "kind": "box"},
    }


def test_what_a_later_version_wrote_is_understood_as_far_as_it_can_be():
    entry = Entry(at=1.0, event=Event.STARTED, actor=BOX)
    later = msgspec.json.decode(entry.to_bytes()) | {"mood": "good"}
    assert Entry.from_bytes(msgspec.json.encode(later), 1).event is Event.STARTED
    assert Entry.from_bytes(msgspec.json.encode(later | {"event": "?"}), 2).number == 2
    assert Entry.from_bytes(b"\xff", 3).number == 3


def test_the_longest_texts_of_strangers_fit_into_a_record():
    text = "\x01" * 100_000
    entry = Entry(
        at=1.0,
        event=Event.QUERIED,
        actor=Actor(text, address=text, ae_title=text),
        what=text,
        about=Subject(text, text, text, text),
        query=text,
        target=text,
        reason=text,
        detail={f"{number}{text}": text for number in range(100)},
        sop_classes={f"{number}{text}": number for number in range(100)},
    )
    assert len(entry.to_bytes()) <= MOST


def test_half_a_character_is_replaced():
    entry = Entry(
        at=1.0,
        event=Event.REFUSED,
        actor=Actor("a\udcff"),
        detail={"\ud800": "\udfff"},
        about=Subject("1.2", "\ud800"),
    )
    read = Entry.from_bytes(entry.to_bytes(), 1)
    assert (read.actor.name, read.detail, read.about.patient_id) == ("a?", {"?": "?"}, "?")


def test_an_identity_becomes_an_actor():
    identity = Identity("a script", Role.SERVICE, "a1", Proof.TOKEN)
    assert Actor.of(identity, "10.0.0.7") == Actor(
        "a script", Kind.PERSON, "service", "token", "a1", "10.0.0.7"
    )
