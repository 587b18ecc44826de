"""Versions are in the order in which the boot loader sorts its entries."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest

from edge.errors import UpdateRefused
from edge.updates.versions import LONGEST, Version, check_version

RISING = (
    "1.0~rc1 1.0~rc2 1.0 1.0-1 1.0-2 1.0^20261130 1.0.1 1.0a 1.0b 1.2 1.10 1.10.1 2 2.0 10"
    " 2026.11.30 2026.12.1"
).split()


def test_they_rise():
    for before, after in itertools.pairwise(RISING):
        assert Version(before) < Version(after), (before, after)
        assert not Version(after) < Version(before)
    assert Version("1.02") == Version("1.2")
    assert len({Version("1.02"), Version("1.2")}) == 1


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_says_the_same():
    for before, after in itertools.combinations(RISING, 2):
        done = subprocess.run(
            ["systemd-analyze", "compare-versions", before, "lt", after], check=False
        )
        assert done.returncode == 0, (before, after)


@pytest.mark.parametrize("text", ["", "v1", "1_0", "1+3", "1/2", "1 2", "1" * (LONGEST + 1), "1\n"])
def test_what_can_be_no_label_or_file_name_is_no_version(text):
    with pytest.raises(UpdateRefused, match="not a version"):
        check_version(text)


def test_the_longest_fits_a_partition():
    assert len("edge-verity-" + check_version("1" * LONGEST)) <= 36
