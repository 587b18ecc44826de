import pytest

from edge.cloud.archive import Advice, StoreOutcome, StoreResult
from edge.cloud.retry import Backoff
from edge.dicom.instance import InstanceRef
from edge.sync.fullness import Fullness

REF = InstanceRef("1.2", "1.2.3", "1.2.3.4")
STORED = StoreResult(REF, StoreOutcome.STORED)
FULL = StoreResult(REF, StoreOutcome.FAILED, Advice.FULL)
OTHERWISE = StoreResult(REF, StoreOutcome.FAILED, Advice.RETRY)


@pytest.fixture
def fullness():
    return Fullness(Backoff(100.0, 3600.0))


def test_an_archive_that_has_no_room_for_anything_is_left_alone_ever_longer(fullness):
    assert fullness.heard([(1, FULL), (2, OTHERWISE)], 1000.0)
    assert 1050.0 <= fullness.until <= 1100.0
    assert fullness.heard([(3, FULL)], 1100.0)
    assert 1200.0 <= fullness.until <= 1300.0


def test_what_there_was_no_room_for_goes_behind_all_else(fullness):
    fullness.heard([(1, FULL)], 1000.0)
    fullness.heard([(2, FULL)], 2000.0)
    assert fullness.behind == {1, 2}
    assert not fullness.is_of(1)
    fullness.heard([(3, STORED)], 3000.0)
    assert fullness.behind == frozenset()
    assert fullness.is_of(1)
    assert fullness.is_of(2)


def test_others_that_were_stored_beside_it_show_that_there_is_room(fullness):
    assert not fullness.heard([(1, STORED), (2, FULL)], 1000.0)
    assert fullness.until == 0.0
    assert fullness.is_of(2)


def test_others_that_are_stored_after_it_show_that_it_concerns_one_alone(fullness):
    fullness.heard([(1, FULL)], 1000.0)
    until = fullness.until
    assert not fullness.heard([(2, STORED)], 1100.0)
    assert not fullness.heard([(1, FULL)], 1200.0)
    assert fullness.is_of(1)
    assert fullness.until == until


def test_an_archive_that_was_full_and_fills_again_is_full_for_another(fullness):
    fullness.heard([(1, FULL)], 1000.0)
    fullness.heard([(2, STORED)], 1100.0)
    assert fullness.heard([(3, FULL)], 1200.0)
    assert 1250.0 <= fullness.until <= 1300.0
    fullness.cleared(1)
    assert not fullness.is_of(1)


def test_what_says_nothing_of_room_means_nothing(fullness):
    assert not fullness.heard([(1, OTHERWISE)], 1000.0)
    assert fullness.until == 0.0
