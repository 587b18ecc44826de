"""Moments in headers, also those that no calendar has."""

from __future__ import annotations

import pytest

from edge.cloud.dates import posix_time

NOW = 1_795_946_400.0


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 29 Nov 2026 10:00:00 GMT",
        "Sun, 29 Nov 2026 10:00:00 -0000",
        "Sun, 29 Nov 2026 11:00:00 +0100",
        "Sunday, 29-Nov-26 10:00:00 GMT",
        "Sun Nov 29 10:00:00 2026",
    ],
)
def test_a_moment_is_the_same_however_it_is_written(text):
    assert posix_time(text) == NOW


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "soon",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Sun, 29 Nov 99999 10:00:00 GMT",
        "Sun, 29 Nov 2026 10:00:00 +9999999999",
        "Thu, 01 Jan 1970 99999999999999999999:00:00 GMT",
        "Thu, 99999999999999999999 Jan 1970 00:00:00 GMT",
        "Wed, 31 Dec 1969 23:59:59 GMT",
    ],
)
def test_what_no_calendar_here_holds_is_none(text):
    assert posix_time(text) is None
