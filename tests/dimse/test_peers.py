import pytest

from edge.config import Dimse, Peer
from edge.dimse.peers import Caller, Peers, Refusal


def identify(settings, calling="CT1", called="EDGE", host="10.0.0.5"):
    return Peers(settings).identify(calling=calling, called=called, host=host)


async def test_a_configured_peer_is_known_with_its_rights():
    settings = Dimse(peer=(Peer("CT1", may=("store", "query")),))
    caller = await identify(settings)
    assert caller == Caller("CT1", "10.0.0.5", "EDGE", frozenset({"store", "query"}))
    assert str(caller) == "CT1 at 10.0.0.5"
    assert not caller.is_stranger


async def test_an_unknown_calling_title_is_rejected_with_reason_3():
    refusal = await identify(Dimse(peer=(Peer("CT1"),)), calling="CT2")
    assert (refusal.result, refusal.source, refusal.reason) == (1, 1, 3)
    assert "CT2" in refusal.why


async def test_an_unknown_called_title_is_rejected_with_reason_7_even_for_known_peers():
    for settings in (Dimse(peer=(Peer("CT1"),)), Dimse(unknown_peers="accept")):
        refusal = await identify(settings, called="ARCHIVE")
        assert (refusal.result, refusal.source, refusal.reason) == (1, 1, 7)


async def test_strangers_may_store_where_they_are_accepted():
    caller = await identify(Dimse(unknown_peers="accept"))
    assert caller.may == {"store"}
    assert caller.is_stranger


@pytest.mark.parametrize(
    ("expected", "host", "is_known"),
    [
        ("10.0.0.5", "10.0.0.5", True),
        ("10.0.0.5", "::ffff:10.0.0.5", True),
        ("10.0.0.0/24", "10.0.0.5", True),
        ("10.0.0.6", "10.0.0.5", False),
        ("fe80::1", "fe80::1%eth0", True),
        ("localhost", "127.0.0.1", True),
        ("localhost", "10.0.0.5", False),
        ("no such name", "10.0.0.5", False),
        ("10.0.0.5", "", False),
    ],
)
async def test_a_peer_must_call_from_its_address(expected, host, is_known):
    answer = await identify(Dimse(peer=(Peer("CT1", host=expected),)), host=host)
    assert isinstance(answer, Caller) is is_known
    if not is_known:
        assert answer.reason == 3
        assert expected in answer.why


async def test_an_address_is_checked_although_strangers_are_accepted():
    settings = Dimse(unknown_peers="accept", peer=(Peer("CT1", host="10.0.0.6"),))
    assert isinstance(await identify(settings), Refusal)


async def test_peers_that_share_a_title_are_told_apart_by_address():
    settings = Dimse(
        peer=(Peer("CT1", "10.0.0.4", may=("query",)), Peer("CT1", "10.0.0.5", may=("store",)))
    )
    assert (await identify(settings)).may == {"store"}


@pytest.mark.parametrize("title", ["", "A\\B", "A\nB", "café", "SEVENTEEN_LETTERS"])
async def test_what_is_no_ae_title_is_rejected_and_shown_safely(title):
    refusal = await identify(Dimse(unknown_peers="accept"), calling=title)
    assert refusal.reason == 3
    assert refusal.why.isascii()
    assert refusal.why.isprintable()
