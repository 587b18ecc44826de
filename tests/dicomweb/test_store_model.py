"""Metadata is bounded by what it will take, before it takes it."""

from __future__ import annotations

import json
import sys
import tracemalloc

import pytest

from edge.dicomweb import store_model
from edge.dicomweb.responses import Refused
from edge.dicomweb.store_model import MetadataBudget, first, understood, uris, weight_of
from tests.dicomweb.test_store_metadata import JSON, XML, body, bulk, described, related, store

MANY = 1_000_000


def refusal(text, essence=JSON, most=MANY):
    with pytest.raises(Refused) as caught:
        understood(text, essence, most)
    return caught.value.status


async def test_all_requests_together_hold_so_much_metadata_and_no_more():
    budget = MetadataBudget(100)
    with budget.share() as one:
        one(60)
        with budget.share() as other:
            other(40)
            with pytest.raises(Refused) as caught:
                one(1)
            assert caught.value.status == 503
        one(40)


@pytest.mark.parametrize(
    ("unit", "essence"),
    [
        ("{},", JSON),
        ("[],", JSON),
        ("[0],", JSON),
        ('"é",', JSON),
        ("1.5,", JSON),
        ('{"a":0},', JSON),
        ('{"a":{"b":[]}},', JSON),
        ("<a/>", XML),
        ('<DicomAttribute tag="00081140" vr="SQ"><Item/><Item/></DicomAttribute>', XML),
        ('<DicomAttribute tag="00080008" vr="CS"><Value/><Value>a</Value></DicomAttribute>', XML),
        ('<DicomAttribute tag="{:08X}" vr="CS"/>', XML),
    ],
)
def test_no_metadata_takes_more_than_it_weighs(unit, essence):
    units = "".join(unit.format(at) if "{:" in unit else unit for at in range(20_000))
    document = f"<NativeDicomModel>{units}</NativeDicomModel>"
    if essence == JSON:
        document = f'{{"00081140":{{"vr":"SQ","Value":[{units}0]}}}}'
    text = document.encode()
    tracemalloc.start()
    try:
        kept = understood(text, essence, 1)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept
    assert taken <= len(text) + weight_of(bytearray(text), essence)


def test_real_metadata_weighs_some_ten_times_its_bytes():
    text = bytearray(json.dumps([described(number) for number in range(100)]).encode())
    assert weight_of(text, JSON) < 12 * len(text)


def test_instances_are_counted_before_the_first_is_understood():
    # Were it understood, it would be refused for what it is.
    assert refusal(b"[1, 2, 3]", most=2) == 413
    assert refusal(b"[1, 2, 3]", most=3) == 400
    assert refusal(b"<NativeDicomModel/>", XML, most=0) == 413
    assert refusal(b"{}", most=0) == 413
    assert understood(b"\n [{}, {}]", JSON, 2) == [{}, {}]


def test_nesting_without_end_is_refused():
    assert refusal(b"[" * 100_000) == 400
    assert refusal(b'{"a":' * 100_000) == 400


def test_every_uri_is_found_as_deep_as_a_data_set_may_be():
    deep = described(t00091001=bulk("deep"))
    for _ in range(10):
        deep = {"00081140": {"vr": "SQ", "Value": [None, deep]}}
    assert list(uris(deep | {"00091002": bulk("top"), "x": 1}, 0)) == ["deep", "top"]
    for _ in range(sys.getrecursionlimit()):
        deep = {"00081140": {"vr": "SQ", "Value": [deep]}}
    assert list(uris(deep, 0)) == []


@pytest.mark.parametrize("element", [None, 1, {}, {"Value": 1}, {"Value": []}, {"Value": [1]}])
def test_what_has_no_text_has_an_empty_first_value(element):
    assert first({"00080018": element}, "00080018") == ""


@pytest.mark.parametrize("limit", ["MAX_INSTANCES", "MAX_MEMORY"])
async def test_a_request_describes_so_much_and_no_more(service, monkeypatch, limit):
    for module in (store_model, sys.modules["edge.dicomweb.store_metadata"]):
        monkeypatch.setattr(module, limit, 2 if limit == "MAX_INSTANCES" else 6000)
    two = json.dumps([described(1), described(2)]).encode()
    assert weight_of(bytearray(two), JSON) < 6000
    assert (await store(service, two, JSON))[0] == 200
    service.admission.kept.clear()
    three = json.dumps([described(1), described(2), described(3)]).encode()
    assert (await store(service, three, JSON))[0] == 413
    one = (JSON, "", json.dumps([described(3)]).encode())
    status, answer = await store(service, body((JSON, "", two), one), related(JSON))
    assert status == 413
    assert len(answer["00081198"]["Value"]) == 2
    assert service.admission.kept == {}
