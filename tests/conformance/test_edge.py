"""The edge passes every check of the suite."""

from __future__ import annotations

import pytest

from tests.bench.servers import EDGE
from tests.conformance import beside
from tests.conformance.run import checks
from tests.conformance.suite import Verdict

LEFT_OUT = {
    "anonymize=yes gives another SOP Instance UID and no patient.": (
        "who may see an instance may see whose it is; de-identification needs a profile (PS3.15 E)"
    ),
    "Acceptable media types that are both DICOM's and rendered are a 400.": (
        "viewers send such lists, and are given what they prefer"
    ),
}
"""What the Standard leaves to an origin server and the edge does without: the reason for each."""


@pytest.fixture(scope="module")
def results():
    return beside.run((EDGE,))[EDGE]


@pytest.mark.parametrize("check", checks(), ids=lambda check: f"{check.number} {check.section}")
def test_the_edge_does_what_the_standard_says(check, results):
    result = results[check.number]
    wanted = Verdict.NOT_OFFERED if check.sentence in LEFT_OUT else Verdict.PASSED
    assert result.verdict is wanted, f"{check.sentence} {result.reason}"
