import pytest

from edge.sync.upload import Upload
from tests import samples
from tests.fakes.cache import FakeCopy


@pytest.fixture
async def upload(ledger, retrieval):
    ledger.put(samples.ct_series(3, rows=8, columns=8))
    owed = await ledger.owed(0.0, max_bytes=10**9, max_count=10)
    return Upload(owed, retrieval, lambda: None, lambda: 5.0)


async def test_it_gives_each_instance_in_its_order(upload, ledger):
    outgoing = upload.outgoing()
    assert [one.ref for one in outgoing] == [one.ref for one in upload.batch]
    data = b"".join([piece async for piece in outgoing[1].open()])
    assert data == ledger.of(outgoing[1].ref).data
    assert upload.size == sum(one.size for one in outgoing)
    assert upload.seconds == 0.0


async def test_what_was_not_begun_did_not_leave(upload):
    first, second, _ = upload.outgoing()
    assert upload.begun == []
    async for _ in first.open():
        pass
    stream = second.open()
    await anext(stream)
    await stream.aclose()
    assert [one.ref for one in upload.begun] == [first.ref, second.ref]
    assert len(upload.unbegun) == 1


async def test_it_says_once_when_its_last_byte_was_given_away(ledger, retrieval):
    ledger.put(samples.ct_series(2, rows=8, columns=8))
    owed = await ledger.owed(0.0, max_bytes=10**9, max_count=10)
    said = []
    upload = Upload(owed, retrieval, lambda: said.append(True))
    first, last = upload.outgoing()
    async for _ in first.open():
        assert not said
    async for _ in last.open():
        assert not said
    assert said == [True]
    upload.over()
    assert said == [True]


async def test_a_request_that_is_over_has_nothing_more_to_send(upload):
    said = []
    upload._left = lambda: said.append(True)
    upload.over()
    assert said == [True]


async def test_a_copy_goes_in_place_of_its_instance(ledger, retrieval):
    ledger.put(samples.ct_series(1, rows=8, columns=8))
    owed = await ledger.owed(0.0, max_bytes=10**9, max_count=10)
    said = []
    upload = Upload(owed, retrieval, lambda: said.append(True))
    upload.send_instead(FakeCopy(b"copy"))
    (outgoing,) = upload.outgoing()
    assert (outgoing.ref, outgoing.size, upload.size) == (owed[0].ref, 4, 4)
    assert [piece async for piece in outgoing.open()] == [b"copy"]
    assert upload.unbegun == []
    assert said == [True]
