import pytest

from edge.cache.ledger import Owed
from edge.dicom.instance import Custody, InstanceRef
from edge.sync.batches import BatchSize, Suspects

MIB = 1024 * 1024


def owed(*numbers):
    return [
        Owed(number, InstanceRef("1", "1.1", f"1.1.{number}"), "", "", 1, Custody.EDGE_ONLY, 0, b"")
        for number in numbers
    ]


def test_a_batch_grows_to_the_largest_and_shrinks_to_the_smallest():
    size = BatchSize(16 * MIB)
    for _ in range(10):
        size.carried(100 * MIB, 1.0)
    assert size.limit == 16 * MIB
    size.failed()
    assert size.limit == 8 * MIB
    for _ in range(20):
        size.failed()
    assert size.limit == 16 * 1024


@pytest.mark.parametrize("largest", [0, 1000, MIB])
def test_a_small_largest_is_kept_to(largest):
    assert BatchSize(largest).limit == min(max(largest, 16 * 1024), 256 * 1024)


def test_the_unsuspected_travel_together():
    assert Suspects().first_batch(owed(1, 2, 3)) == owed(1, 2, 3)


def test_one_failure_in_company_is_nobodys_fault():
    suspects = Suspects()
    suspects.failed([1, 2])
    suspects.failed([3], Suspects.CUT)
    assert suspects.first_batch(owed(1, 2, 3)) == owed(1, 2, 3)


def test_from_the_second_failure_on_one_travels_alone():
    suspects = Suspects()
    for _ in range(2):
        suspects.failed([2])
    assert suspects.first_batch(owed(1, 2, 3)) == owed(1)
    assert suspects.first_batch(owed(2, 3)) == owed(2)
    assert suspects.suspicion(2) == 1


def test_who_was_refused_by_name_travels_alone_at_once():
    suspects = Suspects()
    assert suspects.refused(1) == 1
    assert suspects.refused(1) == 2
    assert suspects.was_refused(1)
    assert suspects.first_batch(owed(1, 2)) == owed(1)


def test_who_is_cleared_is_like_any_other():
    suspects = Suspects()
    suspects.refused(1)
    suspects.cleared([1, 2])
    assert suspects.suspicion(1) == 0
    assert not suspects.was_refused(1)


def test_a_line_that_breaks_makes_a_suspect_less_quickly_than_an_answer_without_its_name():
    suspects = Suspects()
    for _ in range(3):
        suspects.failed([1], Suspects.CUT)
    assert suspects.first_batch(owed(1, 2)) == owed(1, 2)
    suspects.failed([1], Suspects.CUT)
    assert suspects.first_batch(owed(1, 2)) == owed(1)


def test_a_batch_takes_some_twenty_seconds_of_the_line_however_slow_it_is():
    size = BatchSize(16 * MIB)
    for _ in range(8):
        speed = 20_000
        size.carried(size.limit, size.limit / speed)
    assert 10 <= size.limit / speed <= 30
    speed = 500_000
    for _ in range(12):
        size.carried(size.limit, size.limit / speed)
    assert 10 <= size.limit / speed <= 30


def test_the_speed_of_a_request_that_took_no_time_says_nothing():
    size = BatchSize(16 * MIB)
    size.carried(1000, 0.0)
    assert size.speed is None


def test_a_line_that_keeps_breaking_loses_little_each_time():
    size = BatchSize(16 * MIB)
    speed, up = 1_000_000, 0.0
    for _ in range(200):
        seconds = size.limit / speed
        if up + seconds > 10.0:
            size.failed(10.0 - up)
            up = 0.0
        else:
            size.carried(size.limit, seconds)
            up += seconds
    assert 0.2 < size.limit / speed < 0.6
    assert size.breaks


def test_a_line_that_holds_again_is_trusted_again():
    size = BatchSize(16 * MIB)
    size.carried(MIB, 1.0)
    size.failed(1.0)
    for _ in range(100):
        size.carried(size.limit, size.limit / MIB)
    assert size.limit > 4 * MIB
    assert not size.breaks
