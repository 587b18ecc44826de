"""WADO-URI: the URI Service (PS3.18 9)."""

from __future__ import annotations

import httpx

from tests.conformance.material import CINE_FRAMES, EXPLICIT, HEIGHT, WIDTH, Material
from tests.conformance.rendered import GIF, JPEG, PNG, picture
from tests.conformance.retrieve import NOWHERE, RLE, instance_of, same, syntax_of
from tests.conformance.service import Service, good, offered, refused
from tests.conformance.suite import Chapter, expect, not_offered

uri = Chapter("U", "URI Service (WADO-URI)")
check = uri.check

DICOM = "application/dicom"


def ask(service: Service, material: Material, accept: str = "*/*", **query: str) -> httpx.Response:
    """For the slice."""
    return service.uri(accept, **{**material.slice.uri_query, **query})


def size(answer: httpx.Response, kind: str = JPEG) -> tuple[int, int]:
    """Of the picture that came."""
    return picture(good(answer, kind).content, kind).size


@check("9.4.3.3", "contentType=application/dicom gives the instance in that media type.")
def _(service: Service, material: Material) -> None:
    answer = good(ask(service, material, contentType=DICOM), DICOM)
    same(instance_of(answer.content), material.slice.dataset)


@check("9.4.2.4", "Without transferSyntax the instance comes in Explicit VR Little Endian.")
def _(service: Service, material: Material) -> None:
    sample = material.compressed["RLE Lossless"]
    answer = good(service.uri("*/*", **sample.uri_query, contentType=DICOM), DICOM)
    found = instance_of(answer.content)
    expect(syntax_of(found) == EXPLICIT, f"the transfer syntax is {syntax_of(found)}")
    expect(found.PixelData == material.reference.dataset.PixelData, "other pixels")


@check("9.4.2.4", "transferSyntax chooses the transfer syntax.", optional=True)
def _(service: Service, material: Material) -> None:
    sample = material.compressed["RLE Lossless"]
    query = {**sample.uri_query, "contentType": DICOM, "transferSyntax": RLE}
    given = syntax_of(instance_of(good(service.uri("*/*", **query), DICOM).content))
    if given == EXPLICIT:
        not_offered("it is ignored")
    expect(given == RLE, f"the transfer syntax is {given}")


@check(
    "9.4.2.4",
    "transferSyntax that is no UID is a 400, one that can't be given a 406.",
    optional=True,
)
def _(service: Service, material: Material) -> None:
    answer = ask(service, material, contentType=DICOM, transferSyntax="fast")
    if answer.status_code == 200:
        not_offered("transferSyntax is ignored")
    refused(answer, 400)
    mpeg = "1.2.840.10008.1.2.4.100"
    refused(ask(service, material, contentType=DICOM, transferSyntax=mpeg), 406)


@check("9.3", "Without contentType, Accept */* is given image/jpeg.")
def _(service: Service, material: Material) -> None:
    given = size(ask(service, material))
    expect(given == (WIDTH, HEIGHT), f"the picture is {given}")


@check("8.7.4", "contentType=image/jpeg gives a picture of the image's size.")
def _(service: Service, material: Material) -> None:
    given = size(ask(service, material, contentType=JPEG))
    expect(given == (WIDTH, HEIGHT), f"the picture is {given}")


for _kind in (PNG, GIF):

    @check("8.7.4", f"contentType={_kind} gives such a picture.", optional=True)
    def _(service: Service, material: Material, kind: str = _kind) -> None:
        answer = offered(ask(service, material, contentType=kind))
        given = size(answer, kind)
        expect(given == (WIDTH, HEIGHT), f"the picture is {given}")


@check("9.1.2.2.1", "A contentType with a transfer-syntax parameter is a 400.")
def _(service: Service, material: Material) -> None:
    kind = f"{DICOM}; transfer-syntax={EXPLICIT}"
    refused(ask(service, material, contentType=kind), 400)


@check("9.1.2.1.1", "A requestType that is not WADO, or none, is a 400.")
def _(service: Service, material: Material) -> None:
    refused(ask(service, material, requestType="WADA"), 400)
    query = dict(material.slice.uri_query)
    del query["requestType"]
    refused(service.uri("*/*", **query), 400)


for _name in ("studyUID", "seriesUID", "objectUID"):

    @check("9.4.2.2", f"A request without {_name} is a 400.")
    def _(service: Service, material: Material, name: str = _name) -> None:
        query = dict(material.slice.uri_query)
        del query[name]
        refused(service.uri("*/*", **query, contentType=DICOM), 400)


@check("9.4.3.1", "An instance that is not there is a 404.")
def _(service: Service, material: Material) -> None:
    refused(ask(service, material, contentType=DICOM, objectUID=NOWHERE), 404)


@check("9.5.2.1", "frameNumber chooses a frame.", optional=True)
def _(service: Service, material: Material) -> None:
    query = {**material.cine.uri_query, "contentType": JPEG}
    window = {"windowCenter": "128", "windowWidth": "256"}
    first, last = (
        good(service.uri("*/*", **query, **window, frameNumber=str(number)), JPEG).content
        for number in (1, CINE_FRAMES)
    )
    if first == last:
        not_offered("it is ignored")
    given = picture(last).convert("L").getpixel((5, 5))
    assert isinstance(given, int)
    expect(abs(given - 190) < 6, f"the last frame has {given}, not about 190")


@check("9.5.2.1", "A frameNumber that the image does not have is a 400.", optional=True)
def _(service: Service, material: Material) -> None:
    for value in ("0", "-1", "one", str(CINE_FRAMES + 1)):
        query = {**material.cine.uri_query, "contentType": JPEG, "frameNumber": value}
        answer = service.uri("*/*", **query)
        if answer.status_code == 200:
            not_offered(f"frameNumber={value} is ignored")
        refused(answer, 400)


@check("9.5.2.2", "windowCenter and windowWidth change the picture.", optional=True)
def _(service: Service, material: Material) -> None:
    answer = ask(service, material, contentType=JPEG, windowCenter="-800", windowWidth="100")
    plain = good(ask(service, material, contentType=JPEG), JPEG)
    if good(answer, JPEG).content == plain.content:
        not_offered("they are ignored")


@check("9.5.1.2.6", "Only one of the two, or with application/dicom, is a 400.", optional=True)
def _(service: Service, material: Material) -> None:
    plain = good(ask(service, material, contentType=JPEG), JPEG).content
    window = {"windowCenter": "-800", "windowWidth": "100"}
    if good(ask(service, material, contentType=JPEG, **window), JPEG).content == plain:
        not_offered("windows are ignored")
    refused(ask(service, material, contentType=JPEG, windowCenter="40"), 400)
    refused(ask(service, material, contentType=JPEG, windowWidth="40"), 400)
    refused(ask(service, material, contentType=JPEG, windowCenter="a", windowWidth="40"), 400)
    refused(ask(service, material, contentType=DICOM, **window), 400)


@check(
    "9.5.2.5", "rows and columns bound the picture, which keeps its aspect ratio.", optional=True
)
def _(service: Service, material: Material) -> None:
    given = size(ask(service, material, contentType=JPEG, rows="32", columns="32"))
    if given == (WIDTH, HEIGHT):
        not_offered("they are ignored")
    expect(given == (32, 24), f"the picture is {given} instead of (32, 24)")
    given = size(ask(service, material, contentType=JPEG, rows="24"))
    expect(given == (32, 24), f"rows alone: the picture is {given} instead of (32, 24)")


@check("9.5.2.4", "region shows that part of the image.", optional=True)
def _(service: Service, material: Material) -> None:
    given = size(ask(service, material, contentType=JPEG, region="0.25,0.5,0.75,1.0"))
    if given == (WIDTH, HEIGHT):
        not_offered("it is ignored")
    expect(given == (32, 24), f"the picture is {given} instead of (32, 24)")


@check("9.5.2.4", "A region that is ill-defined is a 400.", optional=True)
def _(service: Service, material: Material) -> None:
    for value in ("0.5,0.5,0.25,1", "0,0,1", "0,0,1,2", "a,0,1,1"):
        answer = ask(service, material, contentType=JPEG, region=value)
        if answer.status_code == 200:
            not_offered(f"region={value} is ignored")
        refused(answer, 400)


@check(
    "9.5.1.2.3", "imageQuality chooses the quality; one beyond 1 to 100 is a 400.", optional=True
)
def _(service: Service, material: Material) -> None:
    worst, best = (
        len(good(ask(service, material, contentType=JPEG, imageQuality=value), JPEG).content)
        for value in ("1", "100")
    )
    if worst == best:
        not_offered("it is ignored")
    expect(worst < best, f"1 takes {worst} bytes, 100 {best}")
    refused(ask(service, material, contentType=JPEG, imageQuality="101"), 400)


@check("8.7.4", "A structured report is given as text/html and text/plain.")
def _(service: Service, material: Material) -> None:
    for kind in ("text/html", "text/plain"):
        answer = good(service.uri("*/*", **material.report.uri_query, contentType=kind), kind)
        expect("Report Text" in answer.text, f"{kind}: the heading of its text is missing")


@check("9.4.2.3", "anonymize=yes gives another SOP Instance UID and no patient.", optional=True)
def _(service: Service, material: Material) -> None:
    answer = ask(service, material, contentType=DICOM, anonymize="yes")
    if answer.status_code >= 400:
        not_offered(f"status {answer.status_code}")
    found = instance_of(good(answer, DICOM).content)
    expect(found.SOPInstanceUID != material.slice.sop_uid, "the SOP Instance UID is the same")
    name = str(found.get("PatientName", ""))
    expect("Conform" not in name, "the patient's name is still there")
