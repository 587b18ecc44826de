import pytest

from edge.cache.peers import PeerBook
from edge.config import Dimse
from edge.dimse.doctor import rejected
from edge.dimse.names import Names, address_of
from edge.dimse.peers import Caller, Cause, Peers, Refusal
from edge.index.database import Database
from edge.others import Peer
from tests.dimse.pki import Clinic
from tests.dimse.test_names import Clock


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
        # What a name means may be known in a moment; an address is the wrong one for good.
        assert answer.result == (2 if expected == "no such name" else 1)


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


@pytest.fixture
async def book(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        yield PeerBook(database, Dimse(unknown_peers="learn", peer=(Peer("CT1", "10.0.0.1"),)))


def learning(book):
    return Peers(Dimse(unknown_peers="learn", peer=book.configured), book)


async def test_an_approved_peer_is_known_at_once_and_unknown_once_it_is_forgotten(book):
    peers = learning(book)
    call = {"calling": "CT9", "called": "EDGE", "host": "10.0.0.9"}
    assert isinstance(await peers.identify(**call), Refusal)
    await book.approve(Peer("CT9", may=("store", "query"), max_associations=3), "x")
    caller = await peers.identify(**call)
    assert (caller.may, caller.max_associations) == ({"store", "query"}, 3)
    assert not caller.is_stranger
    assert peers.find("CT9").host == "10.0.0.9"
    await book.forget("CT9", "x")
    assert isinstance(await peers.identify(**call), Refusal)
    assert peers.find("CT9") is None


async def test_a_stranger_is_rejected_and_listed_with_what_it_wanted(book):
    peers = learning(book)
    refusal = await peers.identify(
        calling="CT9", called="EDGE", host="10.0.0.9", services="storage, verification"
    )
    assert (refusal.result, refusal.source, refusal.reason) == (1, 1, 3)
    (one,) = book.strangers.all()
    assert (one.ae_title, one.host, one.called) == ("CT9", "10.0.0.9", "EDGE")
    assert (one.services, one.certificate, one.calls) == ("storage, verification", "", 1)


async def test_who_calls_another_title_or_from_another_place_is_listed_too(book):
    peers = learning(book)
    wrong = await peers.identify(calling="CT9", called="ARCH\nIVE", host="10.0.0.9")
    assert wrong.reason == 7
    assert (await peers.identify(calling="CT1", called="EDGE", host="10.0.0.8")).reason == 3
    called = {one.ae_title: (one.called, one.why) for one in book.strangers.all()}
    assert called["CT9"][0] == "ARCH\\nIVE"
    assert "expected to call from 10.0.0.1" in called["CT1"][1]


async def test_what_is_no_ae_title_is_not_listed(book):
    await learning(book).identify(calling="A\nB", called="EDGE", host="10.0.0.9")
    assert book.strangers.all() == []


async def test_where_strangers_are_rejected_or_accepted_they_are_not_listed(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        for what in ("reject", "accept"):
            settings = Dimse(unknown_peers=what)
            book = PeerBook(database, settings)
            await Peers(settings, book).identify(calling="CT9", called="EDGE", host="10.0.0.9")
            assert book.strangers.all() == []


async def test_a_certificate_is_asked_for_over_tls_alone(tmp_path):
    clinic = Clinic(tmp_path)
    ct1, ct2 = clinic.issue("ct1").der, clinic.issue("ct2").der
    peers = Peers(Dimse(peer=(Peer("CT1", certificate="ct1"),)))
    call = {"calling": "CT1", "called": "EDGE", "host": "10.0.0.5"}
    assert isinstance(await peers.identify(**call), Caller)
    assert isinstance(await peers.identify(**call, certificate=ct1, is_encrypted=True), Caller)
    other = await peers.identify(**call, certificate=ct2, is_encrypted=True)
    assert "must show the certificate 'ct1'; it showed CN=ct2" in other.why
    nothing = await peers.identify(**call, is_encrypted=True)
    assert "it showed none" in nothing.why


async def test_a_peer_that_speaks_tls_alone_is_nobody_on_the_plain_port(tmp_path):
    clinic = Clinic(tmp_path)
    ct1, ct2 = clinic.issue("ct1").der, clinic.issue("ct2").der
    peers = Peers(Dimse(peer=(Peer("CT1", certificate="ct1", tls_only=True),)))
    call = {"calling": "CT1", "called": "EDGE", "host": "10.0.0.5"}
    plain = await peers.identify(**call)
    assert (plain.cause, plain.reason) == (Cause.ENCRYPTION, 3)
    assert "must call over TLS" in plain.why
    assert isinstance(await peers.identify(**call, certificate=ct1, is_encrypted=True), Caller)
    other = await peers.identify(**call, certificate=ct2, is_encrypted=True)
    assert other.cause is Cause.CERTIFICATE


async def test_peers_that_share_a_title_are_told_apart_by_certificate(tmp_path):
    ct2 = Clinic(tmp_path).issue("ct2").der
    both = (Peer("CT", certificate="ct1", may=("query",)), Peer("CT", certificate="ct2"))
    caller = await Peers(Dimse(peer=both)).identify(
        calling="CT", called="EDGE", host="10.0.0.5", certificate=ct2, is_encrypted=True
    )
    assert caller.may == {"store"}


def test_who_is_called_is_one_address_and_no_network():
    peers = Peers(Dimse(peer=(Peer("WS", "10.0.0.0/24"), Peer("WS", "10.0.0.7", name="Room 1"))))
    assert peers.find("WS").host == "10.0.0.7"
    assert peers.named("Room 1").host == "10.0.0.7"
    assert peers.named("WS").host == "10.0.0.7"
    assert peers.named("nobody") is None


def test_a_title_is_known_by_one_that_is_spelt_alike():
    peers = Peers(Dimse(peer=(Peer("WS1 "), Peer("ws1"), Peer("Ct1"))))
    assert [peers.alike(title) for title in ("ws1", "WS1", "Ws1", "CT1", "MR1")] == [
        "ws1",
        "WS1",
        "WS1",
        "Ct1",
        "",
    ]


async def test_a_peer_whose_name_can_not_be_looked_up_is_rejected_for_now_and_no_stranger(tmp_path):
    """PS3.8 9.3.4: transient; the device tries again, and no case says that it called wrongly."""
    broken = True

    def resolve(name):
        if broken:
            raise OSError("no name server answers")
        return frozenset({address_of("10.0.0.5")})

    names = Names(resolve, clock=(clock := Clock()))
    settings = Dimse(unknown_peers="learn", peer=(Peer("CT1", host="ct1.clinic.example"),))
    call = {"calling": "CT1", "called": "EDGE", "host": "10.0.0.5"}
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        book = PeerBook(database, settings)
        peers = Peers(settings, book, names=names)
        refusal = await peers.identify(**call)
        assert (refusal.result, refusal.source, refusal.reason) == (2, 1, 3)
        assert refusal.cause is Cause.NAME
        assert "can't be found now" in refusal.why
        assert book.strangers.all() == []
        finding = rejected(refusal, settings, **call)
        assert "name server" in finding.what
        broken = False
        clock.now += 10
        assert isinstance(await peers.identify(**call), Caller)
        elsewhere = await peers.identify(**call | {"host": "10.0.0.6"})
        assert (elsewhere.result, elsewhere.cause) == (1, Cause.ADDRESS)
