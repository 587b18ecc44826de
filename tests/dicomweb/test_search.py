"""QIDO-RS: how a query string becomes a query, and how results leave."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from edge.dicom.instance import Level
from edge.dicom.query import ALL, Match
from edge.dicom.xml_model import from_xml
from edge.dicomweb.search import parse_query
from edge.errors import CloudUnreachable, QueryError
from tests.dicomweb.conftest import parts_of


def parse(*pairs):
    return parse_query(MultiDict(pairs), Level.STUDY).query


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("PatientName", ("00100010",)),
        ("00100010", ("00100010",)),
        ("0020000d", ("0020000D",)),
        (
            "RequestAttributesSequence.ScheduledProcedureStepID",
            ("00400275", "00400009"),
        ),
        ("00400275.00400009", ("00400275", "00400009")),
        ("RequestAttributesSequence.00400008.CodeValue", ("00400275", "00400008", "00080100")),
        ("00091001", ("00091001",)),
    ],
)
def test_attributes_are_named_by_keyword_tag_or_path(name, path):
    assert parse((name, "1")).matches == (Match(path, ("1",)),)


def test_values_are_handed_on_as_they_were_asked():
    query = parse(
        ("PatientName", "*Müller^J?rg*"),
        ("StudyDate", "20200101-"),
        ("ModalitiesInStudy", "CT,MR"),
        ("StudyInstanceUID", "1.2,3.4\\5.6"),
    )
    assert [match.values for match in query.matches] == [
        ("*Müller^J?rg*",),
        ("20200101-",),
        ("CT,MR",),
        ("1.2,3.4\\5.6",),
    ]


def test_an_attribute_given_twice_matches_either():
    assert parse(("PatientID", "A"), ("00100020", "B")).matches == (
        Match(("00100020",), ("A", "B")),
    )


def test_an_attribute_without_a_value_is_only_asked_for():
    query = parse(("PatientComments", ""), ("StudyDescription", "*"))
    assert query.matches == ()
    assert query.include == {"00104000", "00081030"}


@pytest.mark.parametrize(
    ("pairs", "include"),
    [
        ([("includefield", "PatientComments")], {"00104000"}),
        ([("includefield", "00081030,00080060")], {"00081030", "00080060"}),
        ([("includefield", "00081030"), ("includefield", "Modality")], {"00081030", "00080060"}),
        ([("includefield", "RequestAttributesSequence.CodeValue")], {"00400275"}),
        ([("includefield", "all")], {ALL}),
        ([("includefield", "all"), ("includefield", "Modality")], {ALL}),
    ],
)
def test_fields_to_include_are_named_singly_repeated_listed_or_all(pairs, include):
    assert parse(*pairs).include == include


def test_paging_and_fuzziness_are_read():
    query = parse(("limit", "101"), ("offset", "7"), ("fuzzymatching", "true"))
    assert (query.limit, query.offset, query.fuzzy) == (101, 7, True)
    query = parse(("fuzzymatching", "false"))
    assert (query.limit, query.offset, query.fuzzy) == (None, 0, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "-1"),
        ("limit", "many"),
        ("limit", "1" * 12),
        ("limit", ""),
        ("offset", "1.5"),
        ("fuzzymatching", "yes"),
        ("PatientNam", "DOE"),
        ("PatientName.PatientID", "1"),
        ("StudyDate", "2020-01-01"),
        ("StudyDate", "-"),
        ("StudyInstanceUID", "1.2.*"),
        ("StudyInstanceUID", "../etc"),
        ("InstanceNumber", "first"),
        ("RequestAttributesSequence", "x"),
        ("includefield", ""),
    ],
)
def test_what_can_not_be_understood_is_refused_with_its_name(name, value):
    with pytest.raises(QueryError) as refused:
        parse((name, value))
    named = str(refused.value)
    tag = {"StudyDate": "00080020", "StudyInstanceUID": "0020000D", "InstanceNumber": "00200013"}
    tag["RequestAttributesSequence"] = "00400275"
    assert name in named or tag.get(name, name) in named


def test_a_field_that_does_not_exist_is_refused():
    with pytest.raises(QueryError, match="PatientNam"):
        parse(("includefield", "PatientName,PatientNam"))


def test_two_limits_are_no_limit_at_all():
    with pytest.raises(QueryError, match="limit is given twice"):
        parse(("limit", "1"), ("limit", "2"))


def test_what_is_neither_parameter_nor_attribute_is_ignored_with_a_warning():
    parsed = parse_query({"_": "1598"}, Level.STUDY)
    assert parsed.query.matches == ()
    assert len(parsed.warnings) == 1


def test_two_quotation_marks_ask_for_what_is_empty_if_that_was_asked_for():
    pair = ("AccessionNumber", '""')
    assert parse(pair).matches == (Match(("00080050",), ('""',)),)
    asked = parse(pair, ("emptyvaluematching", "true")).matches
    assert asked == (Match(("00080050",), (), empty=True),)
    sequence = parse(("RequestAttributesSequence", '""'), ("emptyvaluematching", "true")).matches
    assert sequence == (Match(("00400275",), (), empty=True),)


def test_several_values_match_all_together_if_that_was_asked_for():
    pair = ("ModalitiesInStudy", "CT\\MR")
    assert parse(pair).matches == (Match(("00080061",), ("CT\\MR",)),)
    asked = parse(pair, ("multiplevaluematching", "true")).matches
    assert asked == (Match(("00080061",), ("CT",)), Match(("00080061",), ("MR",)))
    uids = ("StudyInstanceUID", "1.2\\3.4")
    assert len(parse(uids, ("multiplevaluematching", "true")).matches) == 1


@given(
    st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30)), max_size=5),
)
def test_no_query_string_is_a_defect(pairs):
    with contextlib.suppress(QueryError):
        parse(*pairs)


STUDY_RESULT = {
    "0020000D": {"vr": "UI", "Value": ["1.2"]},
    "00080020": {"vr": "DA", "Value": ["20200101"]},
}
SERIES_RESULT = {"0020000E": {"vr": "UI", "Value": ["1.2.3"]}}
INSTANCE_RESULT = {"00080018": {"vr": "UI", "Value": ["1.2.3.4"]}}


@pytest.mark.parametrize(
    ("path", "result", "url", "level"),
    [
        ("/studies", STUDY_RESULT, "/studies/1.2", Level.STUDY),
        ("/studies/1.2/series", SERIES_RESULT, "/studies/1.2/series/1.2.3", Level.SERIES),
        ("/series", STUDY_RESULT | SERIES_RESULT, "/studies/1.2/series/1.2.3", Level.SERIES),
        (
            "/studies/1.2/series/1.2.3/instances",
            INSTANCE_RESULT,
            "/studies/1.2/series/1.2.3/instances/1.2.3.4",
            Level.INSTANCE,
        ),
        (
            "/studies/1.2/instances",
            SERIES_RESULT | INSTANCE_RESULT,
            "/studies/1.2/series/1.2.3/instances/1.2.3.4",
            Level.INSTANCE,
        ),
        (
            "/instances",
            STUDY_RESULT | SERIES_RESULT | INSTANCE_RESULT,
            "/studies/1.2/series/1.2.3/instances/1.2.3.4",
            Level.INSTANCE,
        ),
    ],
)
async def test_every_result_says_where_it_can_be_retrieved(service, path, result, url, level):
    service.catalogue.results = [result]
    async with service.http.get(service.base + path) as answer:
        assert answer.headers["Content-Type"] == "application/dicom+json"
        [found] = await answer.json(content_type=None)
    assert found["00081190"] == {"vr": "UR", "Value": [service.base + url]}
    assert list(found) == sorted(found)
    [query] = service.catalogue.asked
    assert query.level is level
    assert query.study_uid == ("1.2" if "/studies/1.2" in path else None)
    assert query.series_uid == ("1.2.3" if "/series/1.2.3" in path else None)


async def test_no_match_is_an_empty_list(service):
    async with service.http.get(f"{service.base}/studies?PatientID=nobody") as answer:
        assert answer.status == 200
        assert await answer.text() == "[]"


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("application/dicom+json, application/json", "application/dicom+json"),
        ("application/json", "application/json"),
        ("*/*", "application/dicom+json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/dicom+json"),
    ],
)
async def test_json_is_given_by_the_name_it_was_asked_for(service, accept, given):
    async with service.http.get(f"{service.base}/studies", headers={"Accept": accept}) as answer:
        assert answer.headers["Content-Type"] == given


XML = 'multipart/related; type="application/dicom+xml"'


async def test_results_are_had_as_xml_one_part_for_each(service):
    service.catalogue.results = [STUDY_RESULT, STUDY_RESULT | SERIES_RESULT]
    async with service.http.get(f"{service.base}/studies", headers={"Accept": XML}) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith(XML)
        parts = await parts_of(answer)
    assert [headers["content-type"] for headers, _ in parts] == ["application/dicom+xml"] * 2
    found = [from_xml(body) for _, body in parts]
    assert [one["0020000D"]["Value"] for one in found] == [["1.2"], ["1.2"]]
    assert found[0]["00081190"]["Value"] == [f"{service.base}/studies/1.2"]


@pytest.mark.parametrize("accept", ["application/json", XML])
async def test_a_bulk_value_of_a_result_has_the_url_that_it_is_had_by(service, accept):
    pixels = {"7FE00010": {"vr": "OW", "BulkDataURI": "7FE00010"}}
    nested = {"00880200": {"vr": "SQ", "Value": [{"7FE00010": {"vr": "OW", "BulkDataURI": "a/b"}}]}}
    service.catalogue.results = [STUDY_RESULT | SERIES_RESULT | INSTANCE_RESULT | pixels | nested]
    async with service.http.get(f"{service.base}/instances", headers={"Accept": accept}) as answer:
        if accept == XML:
            [(_, body)] = await parts_of(answer)
            found = from_xml(body)
        else:
            [found] = await answer.json(content_type=None)
    place = f"{service.base}/studies/1.2/series/1.2.3/instances/1.2.3.4/bulkdata/"
    assert found["7FE00010"]["BulkDataURI"] == place + "7FE00010"
    assert found["00880200"]["Value"][0]["7FE00010"]["BulkDataURI"] == place + "a/b"


async def test_no_match_has_no_parts(service):
    async with service.http.get(f"{service.base}/studies", headers={"Accept": XML}) as answer:
        assert (answer.status, await answer.read()) == (204, b"")


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        (f"{XML}; q=0.5, application/json; q=0.4", "multipart/related"),
        (f"{XML}; q=0.5, application/dicom+json", "application/dicom+json"),
        ("multipart/related", "multipart/related"),
    ],
)
async def test_forms_are_weighed(service, accept, given):
    service.catalogue.results = [STUDY_RESULT]
    async with service.http.get(f"{service.base}/studies", headers={"Accept": accept}) as answer:
        assert answer.headers["Content-Type"].startswith(given)


async def test_a_form_that_results_do_not_have_is_refused(service):
    headers = {"Accept": "image/png"}
    async with service.http.get(f"{service.base}/studies", headers=headers) as answer:
        assert answer.status == 406
        assert "application/dicom+json" in (await answer.json(content_type=None))["hint"]


async def test_a_search_that_is_not_understood_says_why(service):
    async with service.http.get(f"{service.base}/studies?StudyDate=01.02.2020.x") as answer:
        assert answer.status == 400
        document = await answer.json(content_type=None)
    assert "00080020" in document["detail"]
    assert "20260131" in document["hint"]


@pytest.mark.parametrize("query", ["PatientName=M%FCller", "%FC=x", "PatientID=%00"])
async def test_what_is_no_text_is_refused_rather_than_left_out(service, query):
    url = yarl.URL(f"{service.base}/studies?{query}", encoded=True)
    async with service.http.get(url) as answer:
        assert answer.status == 400
    assert service.catalogue.asked == []


async def test_what_a_viewer_asks_is_understood(service):
    url = (
        "/studies?limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060"
        "&PatientName=*x*&00100020=*x*&ModalitiesInStudy=CT%2CMR&StudyDate=20200101-20201231"
    )
    async with service.http.get(service.base + url) as answer:
        assert answer.status == 200
        assert "Warning" not in answer.headers
    [query] = service.catalogue.asked
    assert len(query.matches) == 4
    assert query.include == {"00081030", "00080060"}


@pytest.mark.parametrize(("limit", "shown"), [(None, 100), (10, 10), (150, 100), (0, 0)])
async def test_a_cut_list_says_that_there_is_more(service, limit, shown):
    service.catalogue.results = [STUDY_RESULT] * 120
    parameters = {} if limit is None else {"limit": str(limit)}
    async with service.http.get(f"{service.base}/studies", params=parameters) as answer:
        assert len(await answer.json(content_type=None)) == shown
        told = f"There are {120 - shown} additional results that can be requested"
        assert answer.headers["Warning"] == f"299 {service.base}: {told}"


async def test_the_last_page_does_not_say_that_there_is_more(service):
    service.catalogue.results = [STUDY_RESULT] * 120
    async with service.http.get(f"{service.base}/studies?offset=100") as answer:
        assert len(await answer.json(content_type=None)) == 20
        assert "Warning" not in answer.headers


async def test_another_client_pages_through_all(service, client):
    service.catalogue.results = [STUDY_RESULT] * 250
    found = await asyncio.to_thread(
        client.search_for_studies, get_remaining=True, search_filters={"PatientID": "A"}
    )
    assert len(found) == 250


async def test_an_answer_is_bounded_by_its_bytes_too(service):
    text = {"00104000": {"vr": "LT", "Value": ["x" * 2_000_000]}}
    service.catalogue.results = [STUDY_RESULT | text] * 60
    shown, offset = 0, 0
    while True:
        async with service.http.get(f"{service.base}/studies?offset={offset}") as answer:
            found = await answer.read()
            assert len(found) < 40 * 1024 * 1024
            shown = len(json.loads(found))
            if "Warning" not in answer.headers:
                break
        offset += shown
    assert offset + shown == 60


async def test_a_path_deeper_than_any_data_set_is_refused(service):
    path = ".".join(["00400275"] * 100)
    async with service.http.get(f"{service.base}/instances?{path}=x") as answer:
        assert answer.status == 400
        assert "16 steps" in (await answer.json(content_type=None))["detail"]


@pytest.mark.parametrize("below", ["series", "instances", "series/1.2.3/instances"])
async def test_below_a_study_that_can_not_be_asked_for_the_answer_is_that_of_the_study(
    service, below
):
    service.retrieval.failing["1.2"] = CloudUnreachable("the line is down")
    async with service.http.get(f"{service.base}/studies/1.2/{below}") as answer:
        assert answer.status == 503
        assert "Retry-After" in answer.headers
    async with service.http.get(f"{service.base}/{below.split('/')[-1]}") as answer:
        assert (answer.status, await answer.text()) == (200, "[]")


async def test_a_study_that_the_archive_turns_out_to_have_is_searched_again(service):
    service.retrieval.discovered = {"1.2"}
    async with service.http.get(f"{service.base}/studies/1.2/series") as answer:
        assert answer.status == 200
    assert len(service.catalogue.asked) == 2
