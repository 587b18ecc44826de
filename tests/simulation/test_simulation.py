"""Some seeds of the simulation; ``scripts/simulate`` runs thousands."""

from __future__ import annotations

import time
from unittest import mock

import pytest

from edge.cache.ledger import Settlement
from edge.dicom.instance import Custody
from edge.sync.verify import Verify
from tests.simulation.simulator import Failure, simulate

AT_LEAST, AT_MOST = 4, 25
SECONDS = 20.0
"""After which no more seeds are begun: a slow machine looks at fewer."""


def test_whatever_happens_nothing_acknowledged_is_lost_and_all_become_equal():
    began = time.monotonic()
    for seed in range(1, AT_MOST + 1):
        simulate(seed)
        if seed >= AT_LEAST and time.monotonic() - began > SECONDS:
            break


@pytest.mark.parametrize("seed", [3, 18, 37, 38])
def test_a_clock_that_was_ahead_and_is_set_right_stops_nothing(seed):
    trace = simulate(seed).trace
    assert any("the clock jumped" in line for line in trace)


def test_a_seed_does_the_same_each_time():
    assert simulate(3, 60).trace == simulate(3, 60).trace


def test_a_box_that_believes_whatever_the_archive_has_is_found_out():
    def believing(self, one, seen):
        return Settlement(one.instance_id, Custody.VERIFIED)

    def until_it_fails() -> None:
        for seed in range(1, 40):
            simulate(seed)

    words = r"seed \d+ failed[\s\S]*again: scripts/simulate --seed \d+"
    with mock.patch.object(Verify, "_verdict", believing), pytest.raises(Failure, match=words):
        until_it_fails()
