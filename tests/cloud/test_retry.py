import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cloud.retry import LONGEST_RETRY_AFTER, Backoff, parse_retry_after

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


def test_delays_double_up_to_the_longest():
    class Latest(random.Random):
        def random(self):
            return 1.0

    backoff = Backoff(2.0, 20.0, Latest())
    assert [backoff.delay(failures) for failures in range(6)] == [2, 2, 4, 8, 16, 20]


@given(failures=st.integers(0, 10**9), seed=st.integers())
def test_delays_are_bounded_and_never_near_zero(failures, seed):
    delay = Backoff(2.0, 300.0, random.Random(seed)).delay(failures)
    assert 1.0 <= delay <= 300.0


def test_two_boxes_do_not_come_back_at_the_same_moment():
    delays = [Backoff(2.0, 300.0).delay(8) for _ in range(20)]
    assert all(a != b for a, b in itertools.pairwise(sorted(delays)))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
        ("Tue Nov 14 22:14:20 2023", 60.0),
        ("Tue, 14 Nov 2023 21:00:00 GMT", 0.0),
        ("Tue, 14 Nov 2123 22:14:20 GMT", LONGEST_RETRY_AFTER),
        ("9" * 500, LONGEST_RETRY_AFTER),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("\u0661\u0662", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value, seconds):
    assert parse_retry_after(value, now=NOW) == seconds


@given(st.text())
def test_any_retry_after_is_understood_or_ignored(value):
    seconds = parse_retry_after(value, now=NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER
