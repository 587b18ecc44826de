import pytest

from edge.cloud.retry import Backoff
from edge.dicom.instance import Custody
from edge.errors import CloudUnreachable
from edge.sync.inquiry import Patience, by_series, list_instances
from tests import samples
from tests.fakes.archive import Fault


def rows_of(ledger):
    return [row.owed for row in ledger.rows.values()]


def test_work_is_done_series_by_series(ledger):
    for series in (1, 2, 1):
        ledger.put(samples.ct_series(2, rows=8, columns=8, series=series))
    groups = list(by_series(rows_of(ledger)))
    assert sorted(map(len, groups)) == [2, 4]
    assert all(len({one.ref.series_uid for one in group}) == 1 for group in groups)


async def test_what_is_listed_is_found_in_one_question(ledger, cloud, archive, slices):
    ledger.put(slices)
    for part in slices:
        cloud.put(part.data)
    listing = await list_instances(archive, rows_of(ledger))
    assert listing.found == {part.ref.sop_uid for part in slices}
    assert listing.rows == 6
    assert cloud.asked("instances") == 1


async def test_what_a_list_lacks_is_asked_for_by_its_uid(ledger, cloud, archive, slices):
    ledger.put(slices)
    for part in slices:
        cloud.put(part.data)
    cloud.cap = 4  # No archive that we know is so mean.
    listing = await list_instances(archive, rows_of(ledger))
    assert listing.found == {part.ref.sop_uid for part in slices}
    assert cloud.asked("instances") == 1 + 2


async def test_a_few_of_a_series_are_asked_for_by_their_uids(ledger, cloud, archive, slices):
    ledger.put(slices[:2])
    for part in slices[1:]:
        cloud.put(part.data)
    listing = await list_instances(archive, rows_of(ledger))
    assert listing.found == {slices[1].ref.sop_uid}
    assert listing.rows is None
    asked = {query["SOPInstanceUID"] for _, _, query in cloud.requests}
    assert asked == {part.ref.sop_uid for part in slices[:2]}


async def test_what_can_not_be_asked_is_not_missing(ledger, cloud, archive, slices):
    ledger.put(slices, Custody.SENT)
    cloud.faults["search"].append(Fault(status=500))
    with pytest.raises(CloudUnreachable):
        await list_instances(archive, rows_of(ledger))


def test_patience_asks_ever_more_rarely_and_then_runs_out():
    patience = Patience(10.0, Backoff(1.0, 100.0))
    now, asked = 1000.0, []
    while (again := patience.ask_again_at(7, now)) is not None:
        asked.append(again - now)
        now = again
    assert 10.0 <= now - 1000.0 < 30.0
    assert len(asked) < 10
    assert patience.ask_again_at(7, now) is not None  # It begins anew.


def test_who_was_found_is_forgotten():
    patience = Patience(10.0, Backoff(1.0, 1.0))
    patience.ask_again_at(7, 1000.0)
    patience.forget([7])
    assert patience.ask_again_at(7, 2000.0) is not None
