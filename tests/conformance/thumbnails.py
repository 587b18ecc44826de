"""WADO-RS, continued: rendered text and documents (PS3.18 8.7.4), and thumbnails (10.4.1.1.4)."""

from __future__ import annotations

from tests.conformance.material import Material
from tests.conformance.rendered import GIF, JPEG, PNG, check, is_400, is_size, picture
from tests.conformance.service import Service, good, media_type, offered
from tests.conformance.suite import expect, listed, not_offered

PICTURE_TYPES = (JPEG, PNG, GIF, "image/jp2", "image/webp")


# Text and documents


@check("8.7.4", "A structured report is rendered as text/html, which */* is given, too.")
def _(service: Service, material: Material) -> None:
    for accept in ("text/html", "*/*"):
        answer = good(service.get(f"{material.report.path}/rendered", accept), "text/html")
        expect("<" in answer.text, "it is no HTML")


for _kind in ("text/plain", "text/xml"):

    @check("8.7.4", f"A structured report is rendered as {_kind}.")
    def _(service: Service, material: Material, kind: str = _kind) -> None:
        answer = good(service.get(f"{material.report.path}/rendered", kind), kind)
        expect("Report Text" in answer.text, "the heading of its text is missing")


@check("8.7.4", "An encapsulated PDF is rendered as application/pdf.", optional=True)
def _(service: Service, material: Material) -> None:
    path, kind = f"{material.document.path}/rendered", "application/pdf"
    answer = good(offered(service.get(path, kind)), kind)
    expect(answer.content.startswith(b"%PDF-1.1"), "not the document that is stored")


# Thumbnails


@check(
    "10.4.1.1.4",
    "A thumbnail of a study, series, instance and frame is one picture.",
    optional=True,
)
def _(service: Service, material: Material) -> None:
    sample = material.slice
    found = {}
    for path in (sample.study, sample.series, sample.path, f"{sample.path}/frames/1"):
        answer = service.get(f"{path}/thumbnail", "*/*")
        if answer.status_code == 302:
            answer = service.get(answer.headers["Location"], "*/*")
        found[path.split("/")[-2]] = answer.status_code
        if answer.status_code == 200:
            kind = media_type(answer)
            expect(kind in PICTURE_TYPES, f"the media type is {kind}")
            picture(answer.content)
    if 200 not in found.values():
        not_offered(f"status {listed(set(found.values()))}")
    missing = [name for name, status in found.items() if status != 200]
    # "If the origin server supports any of the Thumbnail resources, it shall support all of them."
    expect(not missing, f"there is none at {listed(missing)}")


@check("8.3.5.2", "viewport=vw,vh gives the size of a thumbnail; a region is a 400.", optional=True)
def _(service: Service, material: Material) -> None:
    path = f"{material.slice.path}/thumbnail"
    answer = offered(service.get(path, PNG, viewport="32,32"))
    is_size(picture(good(answer, PNG).content, PNG), (32, 24))
    is_400(service.get(path, PNG, viewport="32,32,0,0,10,10"), "a region")
