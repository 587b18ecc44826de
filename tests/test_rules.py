"""The languages of rules: what is written is what is meant, and what is wrong is shown where."""

from __future__ import annotations

import pytest

from edge.rules import ANY, SAME, PinRule, PriorRule, pin_of, prior_of
from edge.week import RuleError

YEAR = 365.25


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("any: 3 within 5 years", PriorRule(ANY, 3, 5 * YEAR)),
        (
            "CT: 2 within 3 years of CT,MR same body part",
            PriorRule("CT", 2, 3 * YEAR, frozenset({"CT", "MR"}), same_body_part=True),
        ),
        ("mg : All", PriorRule("MG")),
        ("US:none", PriorRule("US", 0)),
        (
            "any: 1 same body part of same modality within 10 days",
            PriorRule(ANY, 1, 10, frozenset({SAME}), same_body_part=True),
        ),
        ("XA: 4 of XA, CT within 1 month", PriorRule("XA", 4, 30.4375, frozenset({"XA", "CT"}))),
        ("NM: 4 within 6 Weeks", PriorRule("NM", 4, 42)),
    ],
)
def test_a_rule_of_priors_is_understood(text, rule):
    assert prior_of(text) == (rule,)


def test_a_rule_may_be_for_several_modalities():
    assert prior_of("CT, MR: 1") == (PriorRule("CT", 1), PriorRule("MR", 1))


@pytest.mark.parametrize(
    ("text", "why", "position"),
    [
        ("", "for whom it is", 1),
        ("3 within 5 years", "for whom it is", 1),
        (": 3", "for whom it is", 1),
        ("CT", "for whom it is", 1),
        ("CT MR: 2", '"MR" is too much before the colon', 4),
        ("C-T: 2", '"C-T" is no modality', 1),
        ("CT:", "how many", 4),
        ("CT: many", '"many" is not how many', 5),
        ("CT: 0", "must be 1 to 1000", 5),
        ("CT: 2 within", "an age such as", 13),
        ("CT: 2 within many years", '"many" is not an age', 14),
        ("CT: 2 within 3", "needs a unit", 15),
        ("CT: 2 within 3 moons", '"moons" is not days', 16),
        ("CT: 2 of", "are missing", 9),
        ("CT: 2 of CT,,MR", '"" is no modality', 13),
        ("CT: 2 of same", '"modality" is missing', 14),
        ("CT: 2 same part", '"body" is missing', 12),
        ("CT: 2 same body", '"part" is missing', 16),
        ("CT: 2 please", '"please" is not "within 3 years"', 7),
        ("CT: 2 within 1 year within 2 years", '"within" stands there twice', 21),
        ("CT: none within 1 year", '"none" stands alone', 10),
    ],
)
def test_what_is_no_rule_of_priors_is_shown_where(text, why, position):
    with pytest.raises(RuleError, match=why) as caught:
        prior_of(text)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("study 1.2.840.1", PinRule(study_uid="1.2.840.1")),
        ("Patient 4711", PinRule(patient_id="4711")),
        ("patient ab 12 of CLINIC EAST", PinRule(patient_id="ab 12", issuer="CLINIC EAST")),
        ("modality MG", PinRule(modalities=frozenset({"MG"}))),
        (
            "modality mg, us within 2 years",
            PinRule(modalities=frozenset({"MG", "US"}), max_age_days=2 * YEAR),
        ),
    ],
)
def test_a_rule_of_pins_is_understood(text, rule):
    assert pin_of(text) == rule


@pytest.mark.parametrize(
    ("text", "why", "position"),
    [
        ("", "is missing", 1),
        ("series 1.2", '"series" is not "study UID"', 1),
        ("study", "a Study Instance UID is missing", 6),
        ("study one", '"one" is no Study Instance UID', 7),
        ("study 1.2 3", '"3" is too much', 11),
        ("study " + "1." * 40 + "1", "is no Study Instance UID", 7),
        ("patient  ", "a Patient ID is missing", 10),
        ("modality", "a modality is missing", 9),
        ("modality MG old", '"old" is too much', 13),
        ("modality MG within", "an age such as", 19),
    ],
)
def test_what_is_no_rule_of_pins_is_shown_where(text, why, position):
    with pytest.raises(RuleError, match=why) as caught:
        pin_of(text)
    assert caught.value.position == position
