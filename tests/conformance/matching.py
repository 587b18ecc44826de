"""QIDO-RS, continued: which results match, which attributes come back, and how many at a time."""

from __future__ import annotations

from tests.conformance.material import Material
from tests.conformance.model import value_of
from tests.conformance.search import (
    SERIES_UID,
    SOP_UID,
    STUDY_UID,
    check,
    find,
    one,
    only,
    study_of,
)
from tests.conformance.service import Service
from tests.conformance.suite import expect, not_offered

# The required matching attributes of table 10.6.1-5: which of the run's studies, series and
# instances have which values is written in `material`.

_STUDY = {
    "StudyDate": "20230115",
    "StudyTime": "235959",
    "AccessionNumber": None,
    "ModalitiesInStudy": "CT",
    "ReferringPhysicianName": "Olga",
    "PatientName": "Filmstrip",
    "PatientID": None,
    "StudyInstanceUID": None,
    "StudyID": "S2",
}

for _keyword, _value in _STUDY.items():

    @check("10.6.1.2.3", f"Studies can be matched by {_keyword}; what differs is left out.")
    def _(
        service: Service, material: Material, keyword: str = _keyword, value: str | None = _value
    ) -> None:
        of = {"ModalitiesInStudy": material.slice, "PatientName": material.cine}
        sample = of.get(keyword, material.head if value else material.slice)
        if value is None:
            value = str(getattr(sample.dataset, keyword))
        mine = {} if keyword == "PatientID" else {"PatientID": material.mine}
        only(service, "/studies", {**mine, keyword: value}, {sample.study_uid}, STUDY_UID)


_SERIES = {
    "Modality": "MR",
    "SeriesInstanceUID": None,
    "SeriesNumber": "1",
    "PerformedProcedureStepStartDate": "20240301",
}

for _keyword, _value in _SERIES.items():

    @check("10.6.1.2.3", f"Series can be matched by {_keyword}; what differs is left out.")
    def _(
        service: Service, material: Material, keyword: str = _keyword, value: str | None = _value
    ) -> None:
        scout = material.scout
        asked = value or str(getattr(scout.dataset, keyword))
        only(service, f"{scout.study}/series", {keyword: asked}, {scout.series_uid}, SERIES_UID)


@check("10.6.1.2.3", "Series can be matched by PerformedProcedureStepStartTime.")
def _(service: Service, material: Material) -> None:
    path, keyword = f"{material.slice.study}/series", "PerformedProcedureStepStartTime"
    wanted = {material.slice.series_uid, material.scout.series_uid}
    only(service, path, {keyword: "101100"}, wanted, SERIES_UID)
    only(service, path, {keyword: "101101"}, (), SERIES_UID)


for _keyword in ("ScheduledProcedureStepID", "RequestedProcedureID"):

    @check("10.6.1.2.3", f"Series can be matched by RequestAttributesSequence.{_keyword}.")
    def _(service: Service, material: Material, keyword: str = _keyword) -> None:
        [request] = material.slice.dataset.RequestAttributesSequence
        query = {
            "PatientID": material.mine,
            f"RequestAttributesSequence.{keyword}": str(getattr(request, keyword)),
        }
        only(service, "/series", query, {material.slice.series_uid}, SERIES_UID)


_INSTANCE = {"SOPClassUID": None, "SOPInstanceUID": None, "InstanceNumber": "7"}

for _keyword, _value in _INSTANCE.items():

    @check("10.6.1.2.3", f"Instances can be matched by {_keyword}; what differs is left out.")
    def _(
        service: Service, material: Material, keyword: str = _keyword, value: str | None = _value
    ) -> None:
        scout = material.scout
        asked = value or str(getattr(scout.dataset, keyword))
        only(service, f"{scout.study}/instances", {keyword: asked}, {scout.sop_uid}, SOP_UID)


@check("10.6.1.2.3", "All Series and All Instances can be matched by attributes of their Study.")
def _(service: Service, material: Material) -> None:
    query = {"PatientID": material.mine, "StudyDate": "20230115"}
    only(service, "/series", query, {material.head.series_uid}, SERIES_UID)
    only(service, "/instances", query, {material.head.sop_uid}, SOP_UID)


@check("10.6.1.2.3", "All Instances and a Study's Instances can be matched by their Series.")
def _(service: Service, material: Material) -> None:
    wanted = {sample.sop_uid for sample in material.thorax}
    only(service, f"{material.slice.study}/instances", {"Modality": "CT"}, wanted, SOP_UID)
    query = {"PatientID": material.mine, "Modality": "CT"}
    only(service, "/instances", query, wanted, SOP_UID)


# Kinds of matching


@check("8.3.4.1", "An attribute is named by its keyword or by its tag of eight hexadecimal digits.")
def _(service: Service, material: Material) -> None:
    wanted = {material.slice.study_uid}
    for name in ("0020000D", "0020000d", "StudyInstanceUID"):
        only(service, "/studies", {name: material.slice.study_uid}, wanted, STUDY_UID)


@check("8.3.4.1", "Every attribute of a query must match.")
def _(service: Service, material: Material) -> None:
    query = {**study_of(material.slice), "StudyDate": "20240229"}
    only(service, "/studies", query, {material.slice.study_uid}, STUDY_UID)
    only(service, "/studies", {**query, "StudyDate": "20240228"}, (), STUDY_UID)


@check("PS3.4 C.2.2.2.1", "A single value matches as a whole, and with its case, except names.")
def _(service: Service, material: Material) -> None:
    accession = str(material.slice.dataset.AccessionNumber)
    for value in (accession[:-1], accession.lower()):
        query = {"PatientID": material.mine, "AccessionNumber": value}
        only(service, "/studies", query, (), STUDY_UID)


@check("PS3.4 C.2.2.2.2", "A comma-separated list of UIDs matches each of them.")
def _(service: Service, material: Material) -> None:
    wanted = [material.slice.study_uid, material.head.study_uid]
    only(service, "/studies", {"StudyInstanceUID": ",".join(wanted)}, wanted, STUDY_UID)


@check("PS3.4 C.2.2.2.3", "An attribute without a value matches everything, and is returned.")
def _(service: Service, material: Material) -> None:
    result = one(service, "/studies", {**study_of(material.slice), "StudyDescription": ""})
    given = value_of(result, "00081030")
    expect(given == "Conformance of the thorax", f"Study Description is {given!r}")


@check("PS3.4 C.2.2.2.4", "In a wild card, * stands for any characters, none included.")
def _(service: Service, material: Material) -> None:
    wanted, run = {material.slice.study_uid}, material.run
    for value in (f"{run}-THO*", f"{run}-*AX", f"{run}-THORAX*", f"*{run[2:]}-T*X"):
        only(service, "/studies", {"PatientID": value}, wanted, STUDY_UID)


@check("PS3.4 C.2.2.2.4", "In a wild card, ? stands for exactly one character.")
def _(service: Service, material: Material) -> None:
    run = material.run
    only(service, "/studies", {"PatientID": f"{run}-H?AD"}, {material.head.study_uid}, STUDY_UID)
    only(service, "/studies", {"PatientID": f"{run}-HEA?D"}, (), STUDY_UID)


@check("PS3.4 C.2.2.2.4", "Wild cards heed case, except in names.")
def _(service: Service, material: Material) -> None:
    only(service, "/studies", {"PatientID": f"{material.run}-tho*"}, (), STUDY_UID)


@check("PS3.4 C.2.2.2.4", "Characters of the wild cards of SQL stand for themselves.")
def _(service: Service, material: Material) -> None:
    for value in (f"{material.run}-THORA_", f"{material.run}-THOR%", f"{material.run}%*"):
        only(service, "/studies", {"PatientID": value}, (), STUDY_UID)


@check("8.3.4.1", "Characters beyond ASCII are matched, percent-encoded as UTF-8.")
def _(service: Service, material: Material) -> None:
    for sample, name in ((material.head, "Höfer^*"), (material.slice, "Conform^Thorax^Ädèle*")):
        query = {"PatientID": material.mine, "PatientName": name}
        only(service, "/studies", query, {sample.study_uid}, STUDY_UID)


@check("PS3.4 C.2.2.2.5.1", "A range of dates includes its ends, and may be open at either.")
def _(service: Service, material: Material) -> None:
    head = material.head.study_uid
    for value, found in (
        ("20230115-20230115", True),
        ("20230101-20231231", True),
        ("-20230115", True),
        ("20230115-", True),
        ("20230116-", False),
        ("-20230114", False),
    ):
        query = {"StudyInstanceUID": head, "StudyDate": value}
        only(service, "/studies", query, {head} if found else (), STUDY_UID)


@check("PS3.4 C.2.2.2.5.2", "A range of times includes its ends, and may be open at either.")
def _(service: Service, material: Material) -> None:
    thorax = material.slice.study_uid
    for value, found in (
        ("1011-1012", True),
        ("101112-101112", True),
        ("-101112", True),
        ("10-11", True),
        ("101113-", False),
        ("-101111", False),
    ):
        query = {"StudyInstanceUID": thorax, "StudyTime": value}
        only(service, "/studies", query, {thorax} if found else (), STUDY_UID)


@check("8.3.4.1.1", "Ranges of Study Date and Study Time together are one range of date and time.")
def _(service: Service, material: Material) -> None:
    thorax = material.slice.study_uid
    for times, found in (("230000-110000", True), ("230000-100000", False)):
        query = {
            "StudyInstanceUID": thorax,
            "StudyDate": "20240228-20240229",
            "StudyTime": times,
        }
        only(service, "/studies", query, {thorax} if found else (), STUDY_UID)


@check("PS3.4 C.2.2.2.6", "A path of keywords and tags matches within a sequence's items.")
def _(service: Service, material: Material) -> None:
    [request] = material.slice.dataset.RequestAttributesSequence
    for name in ("00400275.00400009", "00400275.ScheduledProcedureStepID"):
        query = {"PatientID": material.mine, name: str(request.ScheduledProcedureStepID)}
        only(service, "/series", query, {material.slice.series_uid}, SERIES_UID)
        only(service, "/series", {**query, name: "another"}, (), SERIES_UID)


@check(
    "10.6.1.2.1",
    "OtherPatientIDsSequence.PatientID matches: a sequence of the Additional Attributes.",
    optional=True,
)
def _(service: Service, material: Material) -> None:
    query = {
        "PatientID": material.mine,
        "OtherPatientIDsSequence.PatientID": f"{material.run}-OTHER",
    }
    _offered_match(service, "/studies", query, material.slice.study_uid)


@check("8.3.4.1", "A private attribute is matched along with its creator.", optional=True)
def _(service: Service, material: Material) -> None:
    query = {"00290010": "CONFORMANCE", "00291011": f"private {material.run}"}
    path = f"{material.slice.series}/instances"
    found = service.search(path, query)
    if len(found) != 3:
        not_offered(f"{len(found)} of 3 instances")
    only(service, path, {**query, "00291011": "another"}, (), SOP_UID)


def _offered_match(service: Service, path: str, query: dict[str, str], wanted: str) -> None:
    found = find(service, path, query)
    if set(found) != {wanted}:
        not_offered(f"{len(found)} results instead of 1")
