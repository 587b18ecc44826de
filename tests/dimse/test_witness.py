"""What the record is told of studies that people sent."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edge.access.audit.entry import Actor, Outcome
from edge.cache.gifts import Gift, GiftState
from edge.cache.tally import Tally
from edge.dimse.witness import DimseWitness


@pytest.mark.parametrize(
    ("state", "sent", "reason", "outcome", "said"),
    [
        (GiftState.DONE, 3, "", Outcome.SUCCESS, ""),
        (GiftState.FAILED, 2, "why", Outcome.FAILED, "2 of 3 instances were taken; why"),
        (
            GiftState.STOPPED,
            1,
            "",
            Outcome.FAILED,
            "it was stopped; 1 of 3 instances were taken",
        ),
    ],
)
def test_it_says_how_much_a_peer_took_and_why_not_all(state, sent, reason, outcome, said):
    noted = []
    audit = SimpleNamespace(clock=lambda: 1.0, note=lambda entry, seen=(): noted.append(entry))
    gift = Gift(1, "1.2", "OTHER", "somebody", 0.0, state, 3, sent, 0, reason, 1.0)
    DimseWitness(audit).gave(Actor("somebody"), gift, Tally())
    [entry] = noted
    assert (entry.outcome, entry.reason, entry.target) == (outcome, said, "OTHER")
    assert entry.about.study_uid == "1.2"
