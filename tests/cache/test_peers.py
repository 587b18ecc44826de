import asyncio
from pathlib import Path

import pytest

from edge.cache.changes import Changes
from edge.cache.peers import Forgotten, PeerBook
from edge.config import Dimse
from edge.errors import DecisionRefused
from edge.index import peers, snapshot
from edge.index.database import Database
from edge.others import Peer

KEY = bytes(32)
LEARNING = Dimse(unknown_peers="learn", peer=(Peer("CT1", "10.0.0.1"),))


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", KEY) as opened:
        yield opened


@pytest.fixture
async def book(database):
    return PeerBook(database, LEARNING, clock=lambda: 7.0)


def called(book, title, host):
    book.strangers.note(title, host, called="EDGE", services="storage", why="no peer")


async def test_a_stranger_is_approved_where_it_called_from_and_for_storing_alone(book):
    called(book, "CT9", "10.0.0.9")
    done = await book.approve(Peer("CT9"), "a person")
    assert (done.peer, done.who, done.approved) == (Peer("CT9", "10.0.0.9"), "a person", 7.0)
    assert done.peer.may == ("store",)
    assert book.in_force == (Peer("CT1", "10.0.0.1"), Peer("CT9", "10.0.0.9"))
    assert book.strangers.all() == []


async def test_everything_that_was_said_is_kept(book, database):
    settings = Dimse(tls_ca=Path("/ca.pem"))
    wish = Peer("WS", "", 11113, ("query", "retrieve"), "Reading room", True, "ws.example", 3)
    await PeerBook(database, settings).approve(wish, "x", host="10.0.0.0/24")
    await book.refresh()
    (one,) = book.approved
    assert one.peer == Peer(
        "WS", "10.0.0.0/24", 11113, ("query", "retrieve"), "Reading room", True, "ws.example", 3
    )


async def test_approving_again_replaces_what_was_said(book):
    await book.approve(Peer("CT9"), "x", host="10.0.0.9")
    await book.approve(Peer("CT9", may=("store", "query")), "x")
    assert [one.peer for one in book.approved] == [Peer("CT9", "10.0.0.9", may=("store", "query"))]


@pytest.mark.parametrize(
    ("peer", "host", "words"),
    [
        (Peer("CT1"), "10.0.0.9", "the configuration names CT1"),
        (Peer("CT9"), None, "nobody called as CT9"),
        (Peer("TWICE"), None, "called from 10.0.0.7, 10.0.0.8"),
        (Peer("A\\B"), "", "ae_title must be"),
        (Peer("CT9"), "10.0.0.999", "is no address"),
        (Peer("CT9", port=0), "", "port must be"),
        (Peer("CT9", may=("everything",)), "", "no right: everything"),
        (Peer("CT9", certificate="x.example"), "", "tls_ca"),
        (Peer("CT9", max_associations=-1), "", "max_associations"),
    ],
)
async def test_what_can_not_be_meant_is_refused_and_changes_nothing(book, peer, host, words):
    called(book, "TWICE", "10.0.0.7")
    called(book, "TWICE", "10.0.0.8")
    with pytest.raises(DecisionRefused, match=words):
        await book.approve(peer, "x", host=host)
    assert book.approved == ()


async def test_the_configuration_wins_over_what_was_approved_before(database):
    await PeerBook(database, Dimse()).approve(Peer("CT1", may=("query",)), "x", host="")
    book = PeerBook(database, LEARNING)
    await book.refresh()
    assert [one.peer.ae_title for one in book.approved] == ["CT1"]
    assert book.in_force == LEARNING.peer


async def test_who_is_forgotten_is_no_peer_any_more(book):
    await book.approve(Peer("CT9"), "x", host="")
    assert await book.forget("CT9", "x")
    assert book.in_force == LEARNING.peer
    assert not await book.forget("CT9", "x")
    with pytest.raises(DecisionRefused, match="peer of the configuration"):
        await book.forget("CT1", "x")


async def test_a_stranger_that_the_configuration_knows_is_no_peer_that_was_forgotten(book, caplog):
    caplog.set_level("INFO", logger="edge.cache.peers")
    called(book, "CT1", "10.0.0.9")
    gone = await book.forget("CT1", "x")
    assert gone == Forgotten(approved=False, stranger=True, configured=True)
    assert book.strangers.all() == []
    assert "stranger 'CT1' was taken off the list by x" in caplog.text
    assert await book.forget("CT9", "x") == Forgotten(False, False, False)


async def test_what_another_process_approved_is_in_force_once_the_service_is_told(book, database):
    told = Changes()
    running = asyncio.ensure_future(book.run(told))
    await asyncio.sleep(0.05)
    await PeerBook(database, LEARNING).approve(Peer("CT9"), "x", host="")
    told.wake()
    async with asyncio.timeout(5):
        while len(book.in_force) < 2:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    running.cancel()


async def test_a_right_of_a_newer_version_is_none_here(book, database):
    await book.approve(Peer("CT9"), "x", host="")
    await database.write(lambda db: db.execute("UPDATE peers SET may = 'store teleport'"))
    await book.refresh()
    assert book.approved[0].peer.may == ("store",)


async def test_a_backup_carries_approved_peers_and_no_strangers(book, tmp_path):
    await book.approve(Peer("CT9", may=("store", "query")), "x", host="10.0.0.9")
    called(book, "CT8", "10.0.0.8")
    await book.strangers.write()
    taken = await asyncio.to_thread(snapshot.take, tmp_path / "index.db", KEY)
    async with Database(tmp_path / "again.db", KEY) as again:
        await again.write(lambda db: snapshot.restore(db, taken, 0.0))
        restored = PeerBook(again, LEARNING)
        await restored.refresh()
        assert restored.approved == book.approved
        assert restored.strangers.all() == []


async def test_approved_peers_are_found_in_an_index_that_is_set_aside(book, tmp_path):
    await book.approve(Peer("CT9"), "x", host="10.0.0.9")
    found = await asyncio.to_thread(peers.salvage, tmp_path / "index.db", KEY)
    async with Database(tmp_path / "again.db", KEY) as again:
        await again.write(lambda db: peers.put_back(db, found))
        anew = PeerBook(again, LEARNING)
        await anew.refresh()
        assert anew.approved == book.approved
    (tmp_path / "broken.db").write_bytes(b"rubbish" * 1000)
    assert await asyncio.to_thread(peers.salvage, tmp_path / "broken.db", KEY) is None
