"""Validators: what a client has is called good only if it is."""

from __future__ import annotations

import dataclasses
import time

import pytest
from aiohttp.test_utils import make_mocked_request

from edge.dicom.instance import InstanceRef
from edge.dicomweb.responses import Refused
from edge.dicomweb.validators import NO_VALIDATORS, is_range_good, unchanged, validators_of
from tests.dicomweb.doubles import Entry

ENTRY = Entry(InstanceRef("1.2", "1.3", "1.4"), "1.5", "1.2.840.10008.1.2.1", 100, 1)
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


def asked(**headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request("GET", "/", headers=fields)


def test_a_tag_is_of_the_bytes_and_of_the_form():
    tags = [
        validators_of([ENTRY], "a", exact=True).tag,
        validators_of([ENTRY], "b", exact=True).tag,
        validators_of([dataclasses.replace(ENTRY, version="2")], "a", exact=True).tag,
        validators_of([ENTRY, ENTRY], "a", exact=True).tag,
    ]
    assert len(set(tags)) == 4
    assert validators_of([ENTRY], "a", exact=True).tag == tags[0]
    assert validators_of([ENTRY], "a").tag == f"W/{tags[0]}"


def test_what_was_edited_in_the_archive_is_another_description_and_the_same_image():
    edited = dataclasses.replace(ENTRY, edition="e1")
    assert validators_of([edited], "a", exact=True) == validators_of([ENTRY], "a", exact=True)
    as_it_came = validators_of([ENTRY], "a", edited=True)
    described = validators_of([edited], "a", edited=True)
    again = validators_of([dataclasses.replace(ENTRY, edition="e2")], "a", edited=True)
    assert len({as_it_came.tag, described.tag, again.tag}) == 3
    # The date is that of the bytes: it says nothing of an edit.
    assert (as_it_came.modified, described.modified) == (1_700_000_000, 0)
    assert unchanged(asked(If_Modified_Since=DATE), described) is None
    assert unchanged(asked(If_Modified_Since=DATE), as_it_came).status == 304


def test_what_was_never_seen_has_no_validators():
    unseen = dataclasses.replace(ENTRY, version="")
    assert validators_of([ENTRY, unseen], "a") is NO_VALIDATORS
    assert unchanged(asked(If_None_Match="*"), NO_VALIDATORS) is None
    assert "ETag" not in NO_VALIDATORS.headers()


def test_copies_are_for_one_reader_who_asks_each_time():
    headers = validators_of([ENTRY], "a", exact=True).headers()
    assert headers["Cache-Control"] == "no-store"


def test_the_very_date_of_one_instance_calls_a_copy_good():
    found = validators_of([ENTRY], "a", exact=True)
    assert found.headers()["Last-Modified"] == DATE
    assert unchanged(asked(If_Modified_Since=DATE), found).status == 304
    assert unchanged(asked(If_Modified_Since=DATE, If_None_Match='"x"'), found) is None


@pytest.mark.parametrize(
    "date", ["Tue, 14 Nov 2023 22:13:19 GMT", "Tue, 14 Nov 2033 22:13:20 GMT", "yesterday", ""]
)
def test_no_other_date_does_for_clocks_are_set_back(date):
    found = validators_of([ENTRY], "a", exact=True)
    assert unchanged(asked(If_Modified_Since=date), found) is None


def test_what_may_still_be_replaced_in_its_second_has_no_date():
    fresh = dataclasses.replace(ENTRY, received=time.time())
    assert "Last-Modified" not in validators_of([fresh], "a").headers()


def test_a_study_has_no_date_since_losing_an_instance_makes_it_no_younger():
    assert "Last-Modified" not in validators_of([ENTRY, ENTRY], "a").headers()


@pytest.mark.parametrize("condition", ["TAG", '"x", TAG', "*"])
def test_what_is_wanted_as_it_was_is_given_if_it_is(condition):
    found = validators_of([ENTRY], "a", exact=True)
    assert unchanged(asked(If_Match=condition.replace("TAG", found.tag)), found) is None


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("condition", ['"x"', "W/TAG"])
def test_what_is_wanted_as_it_was_is_refused_if_it_may_not_be(condition, exact):
    found = validators_of([ENTRY], "a", exact=exact)
    with pytest.raises(Refused) as caught:
        unchanged(asked(If_Match=condition.replace("W/TAG", f"W/{found.tag[-34:]}")), found)
    assert caught.value.status == 412


@pytest.mark.parametrize(
    ("conditions", "good"),
    [
        ({}, False),
        ({"If_None_Match": "TAG"}, True),
        ({"If_None_Match": 'W/"x", W/TAG'}, True),
        ({"If_None_Match": "*"}, True),
        ({"If_None_Match": '"x"'}, False),
        ({"If_None_Match": '"x"', "If_Modified_Since": DATE}, False),
    ],
)
def test_a_copy_is_good_or_it_is_not(conditions, good):
    found = validators_of([ENTRY], "a", exact=True)
    request = asked(**{name: text.replace("TAG", found.tag) for name, text in conditions.items()})
    answer = unchanged(request, found)
    assert (answer is not None) is good
    if answer is not None:
        assert answer.status == 304
        assert answer.headers["ETag"] == found.tag


def test_the_rest_of_something_else_is_not_sent():
    exact, weak = validators_of([ENTRY], "a", exact=True), validators_of([ENTRY], "a")
    assert is_range_good(asked(), exact)
    assert is_range_good(asked(If_Range=exact.tag), exact)
    assert not is_range_good(asked(If_Range='"x"'), exact)
    assert not is_range_good(asked(If_Range=weak.tag), weak)
