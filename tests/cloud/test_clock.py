"""Whose clock is wrong."""

import pytest

from edge.cloud.certificate import Certificate
from edge.cloud.clock import offset_words, words_of_look
from edge.cloud.knock import Look
from edge.cloud.words import NOT_EARLIER

DAY = 86400.0
NOW = NOT_EARLIER + 400 * DAY


def certificate(start, end):
    return Certificate(("a.example",), "An Authority", NOW + start * DAY, NOW + end * DAY)


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (100.0, 0.0, "1 minute ahead of the archive's"),
        (0.0, 7200.0, "2 hours behind the archive's"),
        (0.0, 86400.0 * 3 + 5, "3 days behind the archive's"),
        (30.0, 0.0, "30 s ahead of the archive's"),
    ],
)
def test_how_far_two_clocks_are_apart(ours, theirs, words):
    assert offset_words(ours, theirs) == words


@pytest.mark.parametrize(
    ("look", "now", "words", "hint"),
    [
        (Look(), NOW, None, None),
        (Look(certificate(-9, 9)), NOW, None, None),
        (Look(certificate(-9, -2)), NOW, "expired on", "check this box's clock first"),
        (Look(certificate(-9, -2), NOW), NOW, "2 days ago", "have the archive's keeper renew it"),
        (Look(certificate(2, 9)), NOW, "is valid from", "clock first"),
        (Look(certificate(-9, -2), NOW - 3 * DAY), NOW, "clock is wrong", "timedatectl"),
        # Their clock makes nothing better: then it does not count.
        (Look(certificate(-9, -2), NOW + 3 * DAY), NOW, "expired on", "clock first"),
        # Before this code was there.
        (Look(certificate(-9, 9)), 0.0, "it says 1970-01-01", "timedatectl"),
    ],
)
def test_a_certificate_that_is_not_valid_now(look, now, words, hint):
    told = words_of_look(look, "a.example:443", now)
    if words is None:
        assert told is None
    else:
        assert words in told[0]
        assert hint in told[1]
