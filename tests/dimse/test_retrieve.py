"""From identifiers to instances, over an index that has some."""

import pytest

from edge.cache.catalogue import Catalogue
from edge.dicom.instance import Level
from edge.dimse import retrieve
from edge.dimse.messages import Status
from edge.dimse.retrieve import Refused, Selection, agree_on_relations, levels_of
from tests import samples
from tests.cache.conftest import open_cache  # noqa: F401 - a fixture

MODELS = "1.2.840.10008.5.1.4.1.2."
ALL = tuple(Level)
UI = {"vr": "UI"}


@pytest.mark.parametrize(
    ("uid", "move", "get"),
    [
        (f"{MODELS}1.2", ALL, ()),
        (f"{MODELS}2.2", ALL[1:], ()),
        (f"{MODELS}3.2", ALL[:2], ()),
        (f"{MODELS}1.3", (), ALL),
        (f"{MODELS}2.3", (), ALL[1:]),
        (f"{MODELS}3.3", (), ALL[:2]),
        (f"{MODELS}2.1", (), ()),
        (f"{MODELS}4.2", (), ()),
        (f"{MODELS}1.2.3", (), ()),
        ("1.2.840.10008.1.1", (), ()),
    ],
)
def test_a_model_has_its_levels(uid, move, get):
    assert levels_of(uid, "2") == move
    assert levels_of(uid, "3") == get


def test_relational_retrieval_is_agreed_on_where_it_is_asked_for():
    assert agree_on_relations(b"\x01") == b"\x01"
    assert agree_on_relations(b"\x01\x01\x01") == b"\x01"
    assert agree_on_relations(b"\x00") == b"\x00"
    assert agree_on_relations(b"") == b""


@pytest.fixture
async def stored(open_cache):  # noqa: F811
    async with open_cache() as cache:
        slices = []
        for seed, series in ((1, 1), (1, 2), (2, 1)):
            slices += samples.ct_series(12, rows=8, columns=8, seed=seed, series=series)
        for one in slices:
            await cache.send(one)
        yield Selection(cache.retrieval, Catalogue(cache.database)), slices, cache


def identifier(level, **keys):
    tags = {
        "patient": ("00100020", "LO"),
        "study": ("0020000D", "UI"),
        "series": ("0020000E", "UI"),
        "sop": ("00080018", "UI"),
    }
    found = {"00080052": {"vr": "CS", "Value": [level]}}
    for name, values in keys.items():
        tag, vr = tags[name]
        found[tag] = {"vr": vr, "Value": [values] if isinstance(values, str) else list(values)}
    return found


async def test_many_instances_of_a_series_are_found_as_a_few_are(stored):
    selection, slices, _ = stored
    ref = slices[0].ref
    for count in (1, 3, 8, 9, 12):
        uids = [one.ref.sop_uid for one in slices[:count]]
        asked = identifier("IMAGE", study=ref.study_uid, series=ref.series_uid, sop=uids)
        found = await selection.entries(asked, ALL)
        assert sorted(entry.ref.sop_uid for entry in found) == sorted(uids)


async def test_keys_above_the_level_must_fit(stored):
    selection, slices, _ = stored
    one, other = slices[0].ref, slices[-1].ref
    for asked in (
        identifier("STUDY", patient="SYN-000002", study=one.study_uid),
        identifier("SERIES", study=other.study_uid, series=one.series_uid),
        identifier("IMAGE", study=one.study_uid, series=other.series_uid, sop=one.sop_uid),
        identifier("PATIENT", patient="SYN-00000*"),
        identifier("STUDY", patient="SYN-00000?", study=one.study_uid),
        identifier("SERIES", series="1.2.3"),
    ):
        assert await selection.entries(asked, ALL) == []


async def test_an_empty_patient_id_above_the_level_is_none(stored):
    selection, slices, _ = stored
    asked = identifier("STUDY", patient="", study=slices[0].ref.study_uid)
    assert len(await selection.entries(asked, ALL)) == 24


async def test_what_is_below_the_level_is_no_key(stored):
    selection, slices, _ = stored
    asked = identifier("STUDY", study=slices[0].ref.study_uid, series="", sop="1.2.3")
    assert len(await selection.entries(asked, ALL)) == 24


async def test_what_was_deleted_is_not_found(stored):
    selection, slices, cache = stored
    await cache.deletion.delete(slices[-1].ref.study_uid, only_copies=True)
    asked = identifier("STUDY", study=[slices[0].ref.study_uid, slices[-1].ref.study_uid])
    assert len(await selection.entries(asked, ALL)) == 24


async def test_more_than_can_be_counted_is_refused(stored, monkeypatch):
    selection, slices, _ = stored
    monkeypatch.setattr(retrieve, "MOST_INSTANCES", 20)
    with pytest.raises(Refused) as refused:
        await selection.entries(identifier("STUDY", study=slices[0].ref.study_uid), ALL)
    assert refused.value.status == Status.UNABLE_TO_COUNT
    assert refused.value.elements() == {}
