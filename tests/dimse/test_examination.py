"""What ``edge peer doctor`` looks at: peers, rows, and which belong together."""

from __future__ import annotations

import pytest

from edge.cache.associations import Associations, Direction, Finding, Other
from edge.cache.peers import PeerBook
from edge.config import Dimse
from edge.dimse.doctor import fine, rejected
from edge.dimse.doctor_statuses import destination_unknown
from edge.dimse.examination import examine
from edge.dimse.peers import Cause, Refusal
from edge.index.database import Database
from edge.others import Peer

SETTINGS = Dimse(
    peer=(Peer("CT1", "10.0.0.1", name="CT, ground floor"), Peer("WS1", "10.0.0.2", 11112))
)


class Box:
    """A book of peers, one of associations, and a clock."""

    def __init__(self, database):
        self.now = 1_000_000_000.0
        self.book = PeerBook(database, SETTINGS)
        self.associations = Associations(database, lambda: self.now)

    def note(self, title, host, finding=None, direction=Direction.IN, *, is_known=True):
        self.now += 1
        self.associations.note(
            Other(direction, title, host, is_known), finding or Finding("lost", "it broke")
        )

    async def examine(self, name=""):
        return await examine(self.book, self.associations, SETTINGS, name)


@pytest.fixture
async def box(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        yield Box(database)


async def test_a_peer_that_never_called_is_said_to_have_never_called(box):
    found = await box.examine("CT, ground floor")
    (peer,) = found.peers
    assert (peer.ae_title, peer.called, peer.was_called) == ("CT1", None, None)
    assert peer.missing.what == "it has never called, as far as is known"
    assert found.troubles == ()


async def test_of_a_peer_that_called_it_is_known_when_all_was_well(box):
    box.note("CT1", "10.0.0.1", fine())
    box.note("CT1", "10.0.0.1:104", fine(), Direction.OUT)
    (peer,) = (await box.examine("CT1")).peers
    assert (peer.called, peer.was_called, peer.missing) == (1_000_000_001, 1_000_000_002, None)


async def test_trouble_from_its_address_under_another_title_is_its_own(box):
    box.note("ct1", "10.0.0.1", is_known=False)
    box.note("", "10.0.0.1", is_known=False)
    box.note("WS1", "10.0.0.1")
    box.note("CT1", "10.0.0.1:104", direction=Direction.OUT)
    box.note("CT7", "10.0.0.7", is_known=False)
    found = await box.examine("CT1")
    assert [one.ae_title for one in found.troubles] == ["CT1", "", "ct1"]
    assert [one.ae_title for one in (await box.examine("10.0.0.7")).troubles] == ["CT7"]
    assert len((await box.examine()).troubles) == 5
    assert len((await box.examine()).peers) == 2


async def test_an_association_without_trouble_after_it_is_told(box):
    box.note("CT1", "10.0.0.1")
    assert (await box.examine("CT1")).troubles[0].fine_since is None
    box.note("CT1", "10.0.0.1", fine(), Direction.OUT)
    assert (await box.examine("CT1")).troubles[0].fine_since is None
    box.note("CT1", "10.0.0.1", fine())
    assert (await box.examine("CT1")).troubles[0].fine_since == 1_000_000_003


async def test_who_was_let_in_since_is_not_said_to_be_turned_away(box):
    refusal = Refusal(1, 1, 3, "x", Cause.UNKNOWN)
    turned_away = rejected(refusal, SETTINGS, calling="CT1", called="EDGE", host="10.0.0.1")
    assert turned_away.changes
    box.note("CT1", "10.0.0.1", turned_away, is_known=False)
    box.note("CT7", "10.0.0.7", turned_away, is_known=False)
    stranger, ours = (await box.examine()).troubles
    assert (stranger.ae_title, stranger.is_known) == ("CT7", False)
    assert stranger.changes == turned_away.changes
    assert (ours.ae_title, ours.is_known, ours.changes) == ("CT1", True, ())
    assert ours.what.endswith("; it was let in since")


async def test_a_place_that_was_named_as_a_destination_is_known_by_that(box):
    box.note("WS1", "10.0.0.2", destination_unknown("NOWHERE", ""))
    box.note("CT1", "10.0.0.1", destination_unknown("ws1", "WS1"))
    found = await box.examine("NOWHERE")
    assert found.is_known
    assert [(one.ae_title, one.about) for one in found.troubles] == [("WS1", "NOWHERE")]
    # One row for each that was named, told of who named it and of who may be meant.
    assert [one.about for one in (await box.examine("WS1")).troubles] == ["ws1", "NOWHERE"]
    assert [one.about for one in (await box.examine("ws1")).troubles] == ["ws1"]


async def test_whoever_is_nobody_is_said_to_be_unknown(box):
    assert not (await box.examine("MR7")).is_known
    assert (await box.examine("WS1")).is_known
    box.note("MR7", "10.0.0.7", is_known=False)
    assert (await box.examine("MR7")).is_known
