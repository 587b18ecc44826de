"""QIDO-RS, continued: which attributes come back, how many results at a time, and in which form."""

from __future__ import annotations

import re

import httpx

from tests.conformance.material import Material
from tests.conformance.model import from_xml, value_of
from tests.conformance.search import (
    RETRIEVE_URL,
    SERIES_UID,
    SOP_UID,
    STUDY_UID,
    check,
    find,
    lacks,
    one,
    only,
    study_of,
    uids,
)
from tests.conformance.service import JSON, NATIVE, XML, Service, good, parts_of, related
from tests.conformance.suite import expect, listed, not_offered

# Which attributes come back


@check("8.3.4.3", "includefield adds an attribute, by keyword or tag, once, repeated or in a list.")
def _(service: Service, material: Material) -> None:
    study = study_of(material.slice)
    for given in (
        [("includefield", "StudyDescription"), ("includefield", "PatientComments")],
        [("includefield", "00081030,00104000")],
        [("includefield", "StudyDescription,00104000")],
    ):
        lacks(one(service, "/studies", [*study.items(), *given]), ("00081030", "00104000"))


@check("8.3.4.3", "includefield=all adds every attribute of the level that the server has.")
def _(service: Service, material: Material) -> None:
    sample = material.slice
    for path, query, tags in (
        ("/studies", study_of(sample), ("00081030",)),
        (f"{sample.study}/series", {"Modality": "CT"}, ("0008103E",)),
        (f"{sample.series}/instances", {"InstanceNumber": "2"}, ("00080008", "00280010")),
    ):
        lacks(one(service, path, {**query, "includefield": "all"}), tags)


@check("10.6.3.3.1", "Series and Instance Level Attributes are not returned in Study results.")
def _(service: Service, material: Material) -> None:
    query = {**study_of(material.slice), "includefield": "SeriesDescription,InstanceNumber"}
    result = one(service, "/studies", query)
    more = [tag for tag in ("0008103E", "00200013") if tag in result]
    expect(not more, f"the result has {listed(more)}")


@check("10.6.3.3.2", "Study Level Attributes asked for are in Series results, Instance's are not.")
def _(service: Service, material: Material) -> None:
    query = {"Modality": "CT", "includefield": "StudyDescription,InstanceNumber"}
    result = one(service, f"{material.slice.study}/series", query)
    lacks(result, ("00081030",))
    expect("00200013" not in result, "the result has 00200013")


@check(
    "10.6.3.3.3", "Study, Series and Instance Level Attributes asked for are in Instance results."
)
def _(service: Service, material: Material) -> None:
    asked = "StudyDescription,SeriesDescription,SliceThickness"
    query = {"InstanceNumber": "2", "includefield": asked}
    result = one(service, f"{material.slice.series}/instances", query)
    lacks(result, ("00081030", "0008103E", "00180050"))


@check("8.3.4.3", "includefield can ask for a sequence.", optional=True)
def _(service: Service, material: Material) -> None:
    query = {**study_of(material.slice), "includefield": "OtherPatientIDsSequence"}
    result = one(service, "/studies", query)
    if "00101002" not in result:
        not_offered("the result lacks 00101002")
    items = result["00101002"].get("Value", [])
    expect(len(items) == 2, f"{len(items)} items instead of 2")


@check("8.3.4.3", "includefield can ask for a private attribute by its creator.", optional=True)
def _(service: Service, material: Material) -> None:
    query = {"InstanceNumber": "2", "00290010": "CONFORMANCE", "includefield": "00291011"}
    found = service.search(f"{material.slice.series}/instances", query)
    if len(found) != 1 or "00291011" not in found[0]:
        not_offered("the results lack it")
    lacks(found[0], ("00290010",))


# Pages


@check("8.3.4.4", "limit bounds the results, offset skips, and pages make the whole list in order.")
def _(service: Service, material: Material) -> None:
    query = {"PatientID": material.mine}
    whole = find(service, "/instances", query, SOP_UID)
    for size in (1, 7):
        pages: list[str] = []
        for offset in range(0, len(whole), size):
            page = {**query, "limit": str(size), "offset": str(offset)}
            found = uids(service.search("/instances", page), SOP_UID)
            expect(len(found) <= size, f"limit={size}: {len(found)} results")
            pages += found
        expect(pages == whole, f"pages of {size} are not the list that one search gives")


@check("8.3.4.4.1", "The same search gives the same results in the same order.")
def _(service: Service, material: Material) -> None:
    query = {"PatientID": material.mine}
    for path, tag in (("/studies", STUDY_UID), ("/series", SERIES_UID), ("/instances", SOP_UID)):
        first, second = (uids(service.search(path, query), tag) for _ in range(2))
        expect(first == second, f"{path}: another order")


@check("8.3.4.4.1", "An offset beyond the matches finds nothing, and that is a success.")
def _(service: Service, material: Material) -> None:
    found = service.search("/studies", {"PatientID": material.mine, "offset": "1000"})
    expect(found == [], f"{len(found)} results")


@check("8.3.4.4", "limit=0 is valid, and gives no results.")
def _(service: Service, material: Material) -> None:
    found = service.search("/studies", {"PatientID": material.mine, "limit": "0"})
    expect(found == [], f"{len(found)} results")


def _warnings(answer: httpx.Response) -> list[str]:
    return [text for text in answer.headers.get_list("Warning") if text.startswith("299 ")]


@check("8.3.4.4.1", "Where more results remain, a Warning 299 says that they can be requested.")
def _(service: Service, material: Material) -> None:
    answer = good(service.get("/instances", JSON, PatientID=material.mine, limit="2"))
    found = _warnings(answer)
    expect(
        any("additional results that can be requested" in text for text in found),
        f"the Warning header fields are {listed(found)}",
    )


@check("8.3.4.4.1", "That Warning says how many results remain.")
def _(service: Service, material: Material) -> None:
    answer = good(service.get("/instances", JSON, PatientID=material.mine, limit="2", offset="1"))
    remain, text = len(material.all()) - 3, " ".join(_warnings(answer))
    found = re.search(r"There are (\d+) additional results", text)
    expect(found, f"the Warning is {text or 'missing'}")
    assert found is not None
    expect(int(found[1]) == remain, f"{found[1]} are said to remain, {remain} do")


@check("8.3.4.4.1", "Where nothing remains, no Warning says so.")
def _(service: Service, material: Material) -> None:
    whole = good(service.get("/instances", JSON, PatientID=material.mine, limit="100"))
    last = good(service.get("/studies", JSON, StudyInstanceUID=material.slice.study_uid, limit="1"))
    found = [text for answer in (whole, last) for text in _warnings(answer)]
    expect(not any("additional results" in text for text in found), listed(found))


# Extended matching: performed, or a Warning says that it was not.


@check("8.3.4.2", "fuzzymatching is performed, or a Warning says that only literal matching was.")
def _(service: Service, material: Material) -> None:
    query = {"PatientID": material.mine, "PatientName": "Filmstrip", "fuzzymatching": "true"}
    answer = service.request("GET", "/studies", accept=JSON, query=query)
    found = uids(good(answer, JSON).json(), STUDY_UID)
    expect(material.cine.study_uid in found, "not even the literal name was found")
    # How fuzzy it is, is the server's choice (PS3.4 C.2.2.2.1).
    text = "The fuzzymatching parameter is not supported."
    expect(
        not any("fuzzymatching" in warning for warning in _warnings(answer))
        or any(text in warning for warning in _warnings(answer)),
        f"the Warning is {listed(_warnings(answer))}",
    )


@check("8.3.4.5", "emptyvaluematching is performed, or a Warning says that it was not.")
def _(service: Service, material: Material) -> None:
    query = {
        "PatientID": f"{material.run}-?EAD",
        "AccessionNumber": '""',
        "emptyvaluematching": "true",
    }
    answer = service.request("GET", "/studies", accept=JSON, query=query)
    expect(answer.status_code in (200, 204), f"status {answer.status_code}")
    if any("emptyvaluematching parameter is not supported" in text for text in _warnings(answer)):
        return
    only(service, "/studies", query, {material.head.study_uid}, STUDY_UID)
    only(service, "/studies", {**query, "PatientID": f"{material.run}-THORAX"}, (), STUDY_UID)


@check("8.3.4.6", "multiplevaluematching is performed, or a Warning says that it was not.")
def _(service: Service, material: Material) -> None:
    query = {
        "PatientID": material.mine,
        "ModalitiesInStudy": "CT\\MR",
        "multiplevaluematching": "true",
    }
    answer = service.request("GET", "/studies", accept=JSON, query=query)
    expect(answer.status_code in (200, 204), f"status {answer.status_code}")
    text = "multiplevaluematching parameter is not supported"
    if any(text in warning for warning in _warnings(answer)):
        return
    # PS3.4 C.2.2.2.8: a logical AND of all the values.
    only(service, "/studies", query, {material.slice.study_uid}, STUDY_UID)


# XML


@check("10.6.4", 'Results can be had as multipart/related; type="application/dicom+xml".')
def _(service: Service, material: Material) -> None:
    answer = service.get("/studies", XML, PatientID=material.mine)
    parts = parts_of(answer, NATIVE)
    found = {value_of(from_xml(part.body), STUDY_UID) for part in parts}
    wanted = {sample.study_uid for sample in material.all()}
    expect(len(parts) == len(wanted), f"{len(parts)} parts for {len(wanted)} studies (F.2.1)")
    expect(found == wanted, "the parts are not the studies")


@check("F.3.1", "XML and JSON results say the same.")
def _(service: Service, material: Material) -> None:
    query = {"SOPInstanceUID": material.slice.sop_uid, "includefield": "all"}
    [part] = parts_of(service.request("GET", "/instances", accept=XML, query=query), NATIVE)
    native, model = from_xml(part.body), one(service, "/instances", query)
    expect(set(native) == set(model), f"differ in {listed(set(native) ^ set(model))}")
    for tag, attribute in model.items():
        expect(native[tag]["vr"] == attribute["vr"], f"{tag} is {native[tag]['vr']} in XML")
        if tag != RETRIEVE_URL and attribute["vr"] in ("PN", "UI", "LO", "SH", "CS", "DA"):
            given, wanted = native[tag].get("Value"), attribute.get("Value")
            expect(given == wanted, f"{tag} is {given!r} in XML, {wanted!r} in JSON")


@check("10.4.1.2", "The accept query parameter chooses among what the Accept header field allows.")
def _(service: Service, material: Material) -> None:
    query = {**study_of(material.slice), "accept": related(NATIVE)}
    parts_of(service.request("GET", "/studies", accept="*/*", query=query), NATIVE)
