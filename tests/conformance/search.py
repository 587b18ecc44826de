"""QIDO-RS: the Search Transaction (PS3.18 10.6) and its matching (8.3.4, PS3.4 C.2.2.2).

Every search is kept to the patients of this run, so that what a service has besides changes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.conformance.material import Material, Sample
from tests.conformance.model import Attributes, faults, names, value_of
from tests.conformance.service import JSON, Query, Service, good, path_of, refused
from tests.conformance.suite import Chapter, expect, listed

search = Chapter("Q", "Search Transaction (QIDO-RS)")
check = search.check

STUDY_UID, SERIES_UID, SOP_UID = "0020000D", "0020000E", "00080018"
RETRIEVE_URL, AVAILABILITY = "00081190", "00080056"

STUDY_LEVEL = """00080020 00080030 00080050 00080061 00080090 00100010 00100020 00100030 00100040
    0020000D 00200010 00201206 00201208""".split()
"""The required ones of table 10.6.3-3."""
SERIES_LEVEL = "00080060 0020000E 00200011 00201209".split()
"""The required ones of table 10.6.3-4."""
SERIES_LEVEL_KNOWN = "0008103E 00400244 00400245 00400275".split()
"""Those of table 10.6.3-4 that shall be present if known."""
INSTANCE_LEVEL = "00080016 00080018 00200013".split()
INSTANCE_LEVEL_KNOWN = "00280010 00280011 00280100".split()


def uids(results: Iterable[Attributes], tag: str) -> list[str]:
    """The unique keys of results."""
    return [value_of(result, tag) for result in results]


def find(service: Service, path: str, query: Query, tag: str = STUDY_UID) -> list[str]:
    """What a search finds, by its unique key."""
    found = uids(service.search(path, query), tag)
    expect(len(set(found)) == len(found), "a result came twice")
    return found


def only(service: Service, path: str, query: Query, wanted: Iterable[str], tag: str) -> None:
    """Expect that a search finds these and nothing else."""
    found, asked = set(find(service, path, query, tag)), dict(query)
    missing, more = set(wanted) - found, found - set(wanted)
    expect(not missing, f"{asked}: {len(missing)} of {len(set(wanted))} were not found")
    expect(not more, f"{asked}: {len(more)} were found that do not match")


def lacks(result: Attributes, tags: Iterable[str]) -> None:
    """Expect all these attributes in a result."""
    missing = [tag for tag in tags if tag not in result]
    expect(not missing, f"the result lacks {listed(missing)}")


def one(service: Service, path: str, query: Query) -> Attributes:
    """The only result of a search."""
    found = service.search(path, query)
    expect(len(found) == 1, f"{dict(query)}: {len(found)} results instead of 1")
    return found[0]


def study_of(sample: Sample) -> dict[str, str]:
    """A query that names one study."""
    return {"StudyInstanceUID": sample.study_uid}


# Resources


@check("10.6.1.1", "All Studies can be searched at /studies; the results are those that match.")
def _(service: Service, material: Material) -> None:
    wanted = {sample.study_uid for sample in material.all()}
    only(service, "/studies", {"PatientID": material.mine}, wanted, STUDY_UID)


@check("10.6.1.1", "A Study's Series can be searched at /studies/{study}/series.")
def _(service: Service, material: Material) -> None:
    wanted = {material.slice.series_uid, material.scout.series_uid}
    only(service, f"{material.slice.study}/series", {}, wanted, SERIES_UID)


@check("10.6.1.1", "A Study's Instances can be searched at /studies/{study}/instances.")
def _(service: Service, material: Material) -> None:
    wanted = {sample.sop_uid for sample in (*material.thorax, material.scout)}
    only(service, f"{material.slice.study}/instances", {}, wanted, SOP_UID)


@check("10.6.1.1", "All Series can be searched at /series.")
def _(service: Service, material: Material) -> None:
    wanted = {sample.series_uid for sample in material.all()}
    only(service, "/series", {"PatientID": material.mine}, wanted, SERIES_UID)


@check(
    "10.6.1.1", "A Series' Instances can be searched at /studies/{study}/series/{series}/instances."
)
def _(service: Service, material: Material) -> None:
    wanted = {sample.sop_uid for sample in material.thorax}
    only(service, f"{material.slice.series}/instances", {}, wanted, SOP_UID)


@check("10.6.1.1", "All Instances can be searched at /instances.")
def _(service: Service, material: Material) -> None:
    wanted = {sample.sop_uid for sample in material.all()}
    only(service, "/instances", {"PatientID": material.mine}, wanted, SOP_UID)


# What a result holds


@check("10.6.3.3.1", "A Study result has every required attribute of table 10.6.3-3.")
def _(service: Service, material: Material) -> None:
    lacks(one(service, "/studies", study_of(material.slice)), STUDY_LEVEL)


@check("10.6.3.3.1", "A required attribute without a value is in the Study result, empty.")
def _(service: Service, material: Material) -> None:
    result = one(service, "/studies", study_of(material.head))
    lacks(result, ("00080050", "00100030"))
    expect("Value" not in result["00080050"], "the empty Accession Number has a Value (F.2.5)")


@check("10.6.3.3.1", "A Study result counts its series and instances and lists its modalities.")
def _(service: Service, material: Material) -> None:
    result = one(service, "/studies", study_of(material.slice))
    series, instances = value_of(result, "00201206"), value_of(result, "00201208")
    expect(int(series) == 2, f"{series} series instead of 2")
    expect(int(instances) == 4, f"{instances} instances instead of 4")
    modalities = result["00080061"].get("Value", [])
    expect(sorted(modalities) == ["CT", "MR"], f"modalities {listed(modalities)}, not CT, MR")


@check(
    "10.6.3.3", "The Retrieve URL of a Study, a Series and an Instance result is their resource."
)
def _(service: Service, material: Material) -> None:
    sample = material.slice
    for path, tag, wanted in (
        ("/studies", STUDY_UID, sample.study),
        (f"{sample.study}/series", SERIES_UID, sample.series),
        (f"{sample.series}/instances", SOP_UID, sample.path),
    ):
        uid = wanted.rpartition("/")[2]
        result = one(service, path, {tag: uid})
        url = value_of(result, RETRIEVE_URL)
        expect(url, f"the result of {path.rpartition('/')[2]} has no Retrieve URL")
        expect(result[RETRIEVE_URL]["vr"] == "UR", f"it is {result[RETRIEVE_URL]['vr']}, not UR")
        expect(path_of(url, service) == wanted, f"{url} is not {wanted}")


@check(
    "10.6.3.3", "Instance Availability tells at Study and Instance level that images are online."
)
def _(service: Service, material: Material) -> None:
    sample = material.slice
    for path, tag, uid in (
        ("/studies", STUDY_UID, sample.study_uid),
        (f"{sample.series}/instances", SOP_UID, sample.sop_uid),
    ):
        given = value_of(one(service, path, {tag: uid}), AVAILABILITY)
        expect(given == "ONLINE", f"{path.rpartition('/')[2]}: {given!r} instead of 'ONLINE'")


@check("10.6.3.3.2", "A Series result has every attribute of table 10.6.3-4 that is known.")
def _(service: Service, material: Material) -> None:
    sample = material.slice
    query = {"SeriesInstanceUID": sample.series_uid}
    result = one(service, f"{sample.study}/series", query)
    lacks(result, [*SERIES_LEVEL, *SERIES_LEVEL_KNOWN])
    count = value_of(result, "00201209")
    expect(int(count) == 3, f"{count} instances instead of 3")


@check(
    "10.6.3.3.2", "Request Attributes Sequence in a Series result has both of its procedure IDs."
)
def _(service: Service, material: Material) -> None:
    query = {"SeriesInstanceUID": material.slice.series_uid}
    result = one(service, f"{material.slice.study}/series", query)
    items = result.get("00400275", {}).get("Value", [])
    expect(len(items) == 1, f"{len(items)} items instead of 1")
    lacks(items[0], ("00400009", "00401001"))


@check("10.6.3.3.2", "Results of All Series have all Study Level Attributes, too.")
def _(service: Service, material: Material) -> None:
    result = one(service, "/series", {"SeriesInstanceUID": material.slice.series_uid})
    lacks(result, [*SERIES_LEVEL, *STUDY_LEVEL])


@check("10.6.3.3.3", "An Instance result has every attribute of table 10.6.3-5 that is known.")
def _(service: Service, material: Material) -> None:
    query = {"SOPInstanceUID": material.slice.sop_uid}
    result = one(service, f"{material.slice.series}/instances", query)
    lacks(result, [*INSTANCE_LEVEL, *INSTANCE_LEVEL_KNOWN])
    size = value_of(result, "00280010"), value_of(result, "00280011")
    expect(size == (48, 64), f"Rows and Columns are {size}")


@check("10.6.3.3.3", "An Instance result has Number of Frames where the instance has it.")
def _(service: Service, material: Material) -> None:
    result = one(service, "/instances", {"SOPInstanceUID": material.cine.sop_uid})
    frames = value_of(result, "00280008")
    expect(frames is not None and int(frames) == 4, f"Number of Frames is {frames!r}, not 4")


@check("10.6.3.3.3", "Results of a Study's Instances have all Series Level Attributes, too.")
def _(service: Service, material: Material) -> None:
    query = {"SOPInstanceUID": material.slice.sop_uid}
    result = one(service, f"{material.slice.study}/instances", query)
    lacks(result, [*INSTANCE_LEVEL, *SERIES_LEVEL])


@check("10.6.3.3.3", "Results of All Instances have all Study and Series Level Attributes, too.")
def _(service: Service, material: Material) -> None:
    result = one(service, "/instances", {"SOPInstanceUID": material.slice.sop_uid})
    lacks(result, [*INSTANCE_LEVEL, *SERIES_LEVEL, *STUDY_LEVEL])


# Representations


@check("F.2", "Results are DICOM JSON Model objects: tags ascend, each has a vr and one content.")
def _(service: Service, material: Material) -> None:
    for path in ("/studies", "/series", "/instances"):
        for result in service.search(path, {"PatientID": material.mine, "includefield": "all"}):
            found = faults(result)
            expect(not found, f"{path}: {'; '.join(found[:3])}")


@check("F.2", "Text comes in UTF-8, whatever character set it was stored in.")
def _(service: Service, material: Material) -> None:
    for sample, wanted in (
        (material.head, {"Alphabetic": "Höfer^Jürgen"}),
        (
            material.japanese,
            {
                "Alphabetic": "Yamada^Tarou",
                "Ideographic": "山田^太郎",
                "Phonetic": "やまだ^たろう",
            },
        ),
        (material.slice, {"Alphabetic": "Conform^Thorax^Ädèle", "Ideographic": "合成^患者"}),
    ):
        given = names(one(service, "/studies", study_of(sample)), "00100010")
        expect(given == wanted, f"{given!r} instead of {wanted!r}")


@check("8.7.7", "Accept */* is given the default, application/dicom+json.")
def _(service: Service, material: Material) -> None:
    good(service.get("/studies", PatientID=material.mine), JSON)


@check("8.7.8.1", "A media type that no search result has is refused with 406.")
def _(service: Service, material: Material) -> None:
    refused(service.get("/studies", "image/png", PatientID=material.mine), 406)


# No results, wrong requests


@check("8.3.4.4.1", "A search without a match succeeds: 204 without payload, or 200 with none.")
def _(service: Service, material: Material) -> None:
    answer = service.get("/studies", JSON, PatientID=f"{material.run}-NOBODY")
    refused(answer, 200, 204)
    body = answer.content.strip()
    expect(body == (b"[]" if answer.status_code == 200 else b""), f"the payload is {body[:60]!r}")


@check("8.3", "Unsupported Query Parameters are ignored.")
def _(service: Service, material: Material) -> None:
    query = {**study_of(material.slice), "_conformance": "yes"}
    only(service, "/studies", query, {material.slice.study_uid}, STUDY_UID)


for _name, _value in (
    ("limit", "-1"),
    ("limit", "many"),
    ("offset", "-1"),
    ("fuzzymatching", "perhaps"),
    ("StudyDate", "yesterday"),
    ("StudyTime", "noon"),
    ("StudyInstanceUID", "1.2.x"),
):

    @check("8.3", f"A supported Query Parameter with an invalid value is a 400: {_name}={_value}.")
    def _(service: Service, material: Material, name: str = _name, value: str = _value) -> None:
        query = {"PatientID": material.mine, name: value}
        refused(service.request("GET", "/studies", accept=JSON, query=query), 400)
