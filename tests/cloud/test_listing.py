import pytest

from edge.cloud.listing import Answer, by_study, describe_study, fingerprint, list_instances, uid_of
from edge.errors import CloudRefused, CloudUnreachable
from tests import samples
from tests.fakes.archive import Fault

STUDY = {
    "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]},
    "00080061": {"vr": "CS", "Value": ["CT"]},
    "00201206": {"vr": "IS", "Value": [1]},
    "00201208": {"vr": "IS", "Value": [5]},
}


@pytest.mark.parametrize(
    "change",
    [
        {"00201208": {"vr": "IS", "Value": [6]}},
        {"00201206": {"vr": "IS", "Value": [2]}},
        {"00080061": {"vr": "CS", "Value": ["CT", "SR"]}},
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^C"}]}},
        {"00080050": {"vr": "SH", "Value": ["new"]}},
    ],
)
def test_a_change_shows_in_the_fingerprint(change):
    assert fingerprint(STUDY | change) != fingerprint(STUDY)


def test_attributes_that_few_archives_give_show_only_if_they_are_given():
    other = STUDY | {"00101000": {"vr": "LO", "Value": ["P7"]}}
    assert fingerprint(other) != fingerprint(STUDY)
    assert fingerprint(STUDY | {"00101000": {"vr": "LO"}}) == fingerprint(STUDY)


def test_a_study_that_is_listed_for_two_patients_is_nobodys_for_sure():
    other = STUDY | {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "C^D"}]}}
    third = STUDY | {"0020000D": {"vr": "UI", "Value": ["1.2.4"]}}
    found = by_study([STUDY, third, other, {}])
    assert found == {"1.2.3": Answer(other, frozenset({"00100010"})), "1.2.4": Answer(third)}
    again = by_study([STUDY, other, other])["1.2.3"]
    assert again == found["1.2.3"]
    assert fingerprint(again.study, again.contradicted) != fingerprint(again.study)


def test_where_the_study_may_be_retrieved_does_not():
    moved = STUDY | {"00081190": {"vr": "UR", "Value": ["https://elsewhere"]}}
    assert fingerprint(moved) == fingerprint(STUDY)


def test_an_answer_without_counts_has_no_fingerprint():
    assert fingerprint({tag: it for tag, it in STUDY.items() if tag != "00201208"}) == ""


@pytest.mark.parametrize("value", ["", "../x", "1" * 65, 5, None])
def test_what_is_no_uid_is_none(value):
    assert uid_of({"0020000D": {"vr": "UI", "Value": [value]}}, "0020000D") is None


async def test_a_study_is_described_whole(fake, client):
    parts = [
        *samples.ct_series(3, rows=8, columns=8, series=1),
        *samples.ct_series(2, rows=8, columns=8, series=2),
    ]
    for part in parts:
        fake.put(part.data)
    study = await describe_study(client, parts[0].ref.study_uid)
    assert sorted(len(series.instances) for series in study.series) == [2, 3]
    uids = {it.sop_uid for series in study.series for it in series.instances}
    assert uids == {part.ref.sop_uid for part in parts}
    assert {it.sop_class_uid for it in study.series[0].instances} == {parts[0].sop_class_uid}
    assert study.fingerprint


async def test_a_study_that_is_not_there_is_none(client):
    assert await describe_study(client, "1.2.3") is None


async def test_a_study_that_is_only_half_listed_is_an_error(fake, client, slices):
    fake.put(slices[0].data)
    fake.faults["search"].extend([Fault(), Fault(), Fault(status=503)])
    with pytest.raises(CloudUnreachable):
        await describe_study(client, slices[0].ref.study_uid)


def refs(parts):
    return [part.ref for part in parts]


async def test_what_is_listed_is_found_in_one_question(fake, client, slices):
    for part in slices:
        fake.put(part.data)
    listing = await list_instances(client, refs(slices))
    assert listing.found == {part.ref.sop_uid for part in slices}
    assert listing.rows == 5
    assert len(fake.requests) == 1


async def test_what_a_list_lacks_is_asked_for_by_its_uid(fake, client, slices):
    for part in slices:
        fake.put(part.data)
    fake.cap = 3  # No archive that we know is so mean.
    listing = await list_instances(client, refs(slices))
    assert listing.found == {part.ref.sop_uid for part in slices}
    assert len(fake.requests) == 1 + 2


async def test_a_few_of_a_series_are_asked_for_by_their_uids(fake, client, slices):
    for part in slices[1:]:
        fake.put(part.data)
    listing = await list_instances(client, refs(slices[:2]))
    assert listing.found == {slices[1].ref.sop_uid}
    assert listing.rows is None
    asked = {query.get("SOPInstanceUID") for _, _, query in fake.requests}
    assert asked == {None} | {part.ref.sop_uid for part in slices[:2]}


async def test_what_can_not_be_asked_is_not_missing(fake, client, slices):
    fake.faults["search"].append(Fault(status=500))
    with pytest.raises(CloudUnreachable):
        await list_instances(client, refs(slices))


async def test_a_service_that_finds_nothing_at_all_lacks_nothing(fake, client, slices):
    fake.faults["search"].extend([Fault(status=404)] * 10)
    with pytest.raises(CloudRefused):
        await list_instances(client, refs(slices))
