"""WADO-RS: rendered resources (PS3.18 10.4.1.1.3, 8.3.5, 8.7.4).

Colours and grey values are read from PNG, which loses nothing; a small tolerance is left for the
arithmetic of a rendering.
"""

from __future__ import annotations

import io

import httpx
from PIL import Image, ImageSequence

from tests.conformance.material import CINE_FRAMES, HEIGHT, WIDTH, Material, Sample
from tests.conformance.retrieve import NOWHERE
from tests.conformance.service import (
    Service,
    good,
    offered,
    parts_of,
    refused,
    related,
)
from tests.conformance.suite import Chapter, expect, not_offered

rendered = Chapter("P", "Retrieve Transaction (WADO-RS): rendered resources and thumbnails")
check = rendered.check

JPEG, PNG, GIF = "image/jpeg", "image/png", "image/gif"
TOLERANCE = 3


def picture(data: bytes, kind: str = "") -> Image.Image:
    """Decode a picture, and see that it is of the kind that it should be."""
    image = Image.open(io.BytesIO(data))
    image.load()
    given = f"image/{str(image.format).lower()}"
    expect(kind in ("", given), f"the bytes are {given}, said to be {kind}")
    return image


def view(service: Service, sample: Sample, accept: str = PNG, **query: str) -> Image.Image:
    """The rendered instance."""
    answer = good(service.get(f"{sample.path}/rendered", accept, **query), accept)
    return picture(answer.content, accept)


def _near(image: Image.Image, at: tuple[int, int], wanted: tuple[int, ...], what: str) -> None:
    given = image.convert("RGB").getpixel(at)
    assert isinstance(given, tuple)
    expect(
        all(abs(a - b) <= TOLERANCE for a, b in zip(given, wanted, strict=True)),
        f"{what}: {given} at {at} instead of {wanted}",
    )


def _grey(image: Image.Image, at: tuple[int, int], value: float, what: str) -> None:
    _near(image, at, (round(value),) * 3, what)


def is_size(image: Image.Image, wanted: tuple[int, int], what: str = "the picture") -> None:
    """Expect a picture of this width and height."""
    expect(image.size == wanted, f"{what} is {image.size} instead of {wanted}")


def _linear(value: float, center: float, width: float) -> float:
    """PS3.3 C.11.2.1.2.1, as eight bits."""
    position = (value - (center - 0.5)) / (width - 1) + 0.5
    return 255 * min(max(position, 0.0), 1.0)


def _hounsfield(column: int, row: int) -> int:
    """Of `Material.slice`, as `material` makes it."""
    return 200 + 8 * row + 16 * column - 1024


# Media types


@check("8.7.4", "An image is rendered as image/jpeg, of its own size, with 8 bits a channel.")
def _(service: Service, material: Material) -> None:
    image = view(service, material.slice, JPEG)
    is_size(image, (WIDTH, HEIGHT))
    expect(image.mode in ("L", "RGB"), f"its mode is {image.mode}")


@check("8.7.4", "image/jpeg is encoded with the baseline process.")
def _(service: Service, material: Material) -> None:
    answer = good(service.get(f"{material.slice.path}/rendered", JPEG), JPEG)
    expect(b"\xff\xc0" in answer.content, "it has no SOF0 (ISO/IEC 10918-1)")


for _kind in (PNG, GIF):

    @check("8.7.4", f"An image is rendered as {_kind}, of its own size.")
    def _(service: Service, material: Material, kind: str = _kind) -> None:
        is_size(view(service, material.slice, kind), (WIDTH, HEIGHT))


@check("8.7.7", "Accept */* and image/* are given the default, image/jpeg.")
def _(service: Service, material: Material) -> None:
    for accept in ("*/*", "image/*"):
        good(service.get(f"{material.slice.path}/rendered", accept), JPEG)


@check("8.7.8.1", "Of several media types the one with the highest quality value is given.")
def _(service: Service, material: Material) -> None:
    path = f"{material.slice.path}/rendered"
    good(service.get(path, f"{JPEG};q=0.4, {PNG};q=0.8"), PNG)
    good(service.get(path, f"{JPEG};q=0.8, {PNG};q=0.4"), JPEG)


@check("8.3.3.1", "The accept query parameter chooses the media type.")
def _(service: Service, material: Material) -> None:
    path = f"{material.slice.path}/rendered"
    good(service.request("GET", path, query={"accept": PNG}), PNG)


@check("10.4.3.1", "A media type that can't be rendered is a 406, DICOM's own included.")
def _(service: Service, material: Material) -> None:
    for accept in ("audio/basic", "application/dicom"):
        refused(service.get(f"{material.slice.path}/rendered", accept), 406)


@check("10.4.3.1", "A rendered resource of what is not there is a 404.")
def _(service: Service, material: Material) -> None:
    series = material.slice.series
    refused(service.get(f"{series}/instances/{NOWHERE}/rendered", JPEG), 404)
    refused(service.get(f"{material.cine.path}/frames/9/rendered", JPEG), 404, 400)


# Resources


@check("10.4.1.1.3", "A single frame is rendered at …/frames/{frame}/rendered.")
def _(service: Service, material: Material) -> None:
    for number in (1, CINE_FRAMES):
        answer = good(service.get(f"{material.cine.path}/frames/{number}/rendered", PNG), PNG)
        image = picture(answer.content, PNG)
        is_size(image, (WIDTH, HEIGHT))


@check("10.4.1.1.3", "Several frames are rendered as multipart, a part for each, in their order.")
def _(service: Service, material: Material) -> None:
    query = {"window": "128,256,linear"}
    path = f"{material.cine.path}/frames/1,3/rendered"
    parts = parts_of(service.get(path, related(PNG), **query), PNG)
    expect(len(parts) == 2, f"{len(parts)} parts instead of 2")
    for part, frame in zip(parts, (1, 3), strict=True):
        value = _linear(60 * (frame - 1) + 10, 128, 256)
        _grey(picture(part.body, PNG), (5, 5), value, f"frame {frame}")


for _level, _count in (("study", 4), ("series", 3)):

    @check("10.4.1.1.3", f"A rendered {_level} is multipart, with a representation per image.")
    def _(service: Service, material: Material, level: str = _level, count: int = _count) -> None:
        path = {"study": material.slice.study, "series": material.slice.series}[level]
        parts = parts_of(service.get(f"{path}/rendered", related(JPEG)), JPEG)
        expect(len(parts) == count, f"{len(parts)} parts instead of {count}")
        for part in parts:
            is_size(picture(part.body, JPEG), (WIDTH, HEIGHT))


@check("8.7.4", "A multi-frame image is rendered as an animated image/gif.", optional=True)
def _(service: Service, material: Material) -> None:
    answer = good(offered(service.get(f"{material.cine.path}/rendered", GIF)), GIF)
    count = sum(1 for _ in ImageSequence.Iterator(picture(answer.content, GIF)))
    expect(count == CINE_FRAMES, f"{count} frames instead of {CINE_FRAMES}")


@check("10.4.1.1.3", "Rendering starts from the pixels, whatever they are compressed with.")
def _(service: Service, material: Material) -> None:
    wanted = view(service, material.reference)
    for name, sample in material.compressed.items():
        found = view(service, sample)
        expect(found.tobytes() == wanted.tobytes(), f"{name} looks different")
    is_size(view(service, material.lossy), (100, 100))


# Photometric interpretations


_BARS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
_STEPS = ((0, 0, 0), (128, 128, 128), (255, 255, 255))

for _name, _wanted in (
    ("RGB", _BARS),
    ("RGB, planar", _BARS),
    ("YBR_FULL", _BARS),
    ("PALETTE COLOR", _BARS),
    ("MONOCHROME2", _STEPS),
    ("MONOCHROME1", _STEPS[::-1]),
):

    @check("10.4.1.1.3", f"{_name} is rendered in its colours.")
    def _(
        service: Service,
        material: Material,
        name: str = _name,
        wanted: tuple[tuple[int, ...], ...] = _wanted,
    ) -> None:
        # Without a window in the data set the greys are the server's choice.
        query = {"window": "128,256,linear"} if name.startswith("MONOCHROME") else {}
        image = view(service, material.colours[name], **query)
        for column, colour in zip((10, 32, 53), wanted, strict=True):
            _near(image, (column, 20), colour, name)


# Windows


@check("PS3.3 C.11.2.1.2", "Without a window parameter, a window of the data set is used.")
def _(service: Service, material: Material) -> None:
    image = view(service, material.slice).convert("L")
    columns = (5, 20, 45, 50, 55, 63)
    given = [image.getpixel((column, 10)) for column in columns]
    wanted = [
        [round(_linear(_hounsfield(column, 10), *window)) for column in columns]
        for window in ((40, 400), (-600, 1500))  # its alternatives
    ]
    expect(
        any(max(map(_distance, given, greys)) <= TOLERANCE for greys in wanted),
        f"the greys are {given}, neither {wanted[0]} nor {wanted[1]}",
    )


def _distance(given: object, wanted: int) -> int:
    assert isinstance(given, int)
    return abs(given - wanted)


@check("8.3.5.1.4", "window=center,width,linear is applied as PS3.3 C.11.2.1.2.1 says.")
def _(service: Service, material: Material) -> None:
    image = view(service, material.slice, window="-300,800,linear")
    for column in (5, 25, 40, 60):
        value = _linear(_hounsfield(column, 10), -300, 800)
        _grey(image, (column, 10), value, "window -300/800")


@check("8.3.5.1.4", "window=center,width,linear-exact is applied as PS3.3 C.11.2.1.3.2 says.")
def _(service: Service, material: Material) -> None:
    image = view(service, material.slice, window="-300,20,linear-exact")
    for column in (5, 38, 39, 40, 41, 60):
        position = (_hounsfield(column, 10) + 300) / 20 + 0.5
        _grey(image, (column, 10), 255 * min(max(position, 0), 1), "linear-exact")


@check("8.3.5.1.4", "window=center,width,sigmoid is applied as PS3.3 C.11.2.1.3.1 says.")
def _(service: Service, material: Material) -> None:
    image = view(service, material.slice, window="-300,400,sigmoid")
    for column in (5, 25, 40, 60):
        exponent = -4 * (_hounsfield(column, 10) + 300) / 400
        _grey(image, (column, 10), 255 / (1 + 2.718281828**exponent), "sigmoid")


@check("8.3.5.1.4", "A window with a value missing or ill-formed is a 400.")
def _(service: Service, material: Material) -> None:
    for value in ("40", "40,400", "40,400,", "a,400,linear", "40,b,linear", "40,400,cubic"):
        answer = service.get(f"{material.slice.path}/rendered", JPEG, window=value)
        is_400(answer, f"window={value}")


def is_400(answer: httpx.Response, what: str) -> None:
    """Expect that the request was refused as a bad one."""
    expect(answer.status_code == 400, f"{what}: status {answer.status_code} instead of 400")


# Viewport


@check("8.3.5.1.3", "viewport=vw,vh scales the image into it, and keeps its aspect ratio.")
def _(service: Service, material: Material) -> None:
    for value, wanted in (("32,32", (32, 24)), ("400,96", (128, 96)), ("64,48", (64, 48))):
        is_size(view(service, material.slice, viewport=value), wanted, f"viewport={value}")


@check("8.3.5.1.3", "viewport=vw,vh,sx,sy,sw,sh shows that region of the image.")
def _(service: Service, material: Material) -> None:
    query = {"window": "-300,1600,linear"}
    whole = view(service, material.slice, **query)
    image = view(service, material.slice, viewport="16,12,20,10,16,12", **query)
    is_size(image, (16, 12))
    for at in ((0, 0), (8, 6), (15, 11)):
        value = whole.convert("L").getpixel((at[0] + 20, at[1] + 10))
        assert isinstance(value, int)
        _grey(image, at, value, "the region")


@check("8.3.5.1.3", "Values of viewport may be left out: sx, sy are 0, sw, sh reach to the edges.")
def _(service: Service, material: Material) -> None:
    is_size(view(service, material.slice, viewport="16,12,,,16,12"), (16, 12))
    is_size(view(service, material.slice, viewport="32,48,32"), (32, 48))


@check("8.3.5.1.3", "A negative sw flips horizontally, a negative sh vertically.")
def _(service: Service, material: Material) -> None:
    query = {"window": "-300,1600,linear"}
    whole = view(service, material.slice, **query).convert("L")
    for value, way in (
        ("64,48,0,0,-64,48", Image.Transpose.FLIP_LEFT_RIGHT),
        ("64,48,0,0,64,-48", Image.Transpose.FLIP_TOP_BOTTOM),
    ):
        image, wanted = view(service, material.slice, viewport=value, **query), whole.transpose(way)
        for at in ((0, 0), (63, 47), (10, 20)):
            grey = wanted.getpixel(at)
            assert isinstance(grey, int)
            _grey(image, at, grey, f"viewport={value}")


@check("8.3.5.1.3", "A viewport that is ill-formed is a 400.")
def _(service: Service, material: Material) -> None:
    for value in ("32", "a,b", "0,0", "-5,5", "32,", "10,10,0,0,0,0,0", "1.5,2"):
        answer = service.get(f"{material.slice.path}/rendered", JPEG, viewport=value)
        is_400(answer, f"viewport={value}")


# Quality, annotation, ICC profile


@check("8.3.5.1.2", "quality, from 1 to 100, chooses how good a lossy picture is.")
def _(service: Service, material: Material) -> None:
    path = f"{material.reference.path}/rendered"
    worst, best = (
        len(good(service.get(path, JPEG, quality=value), JPEG).content) for value in ("1", "100")
    )
    expect(worst < best, f"quality=1 takes {worst} bytes, quality=100 {best}")


@check("8.3.5.1.2", "A quality that is no integer from 1 to 100 is a 400.")
def _(service: Service, material: Material) -> None:
    for value in ("0", "101", "-1", "good", "50.5", ""):
        answer = service.get(f"{material.slice.path}/rendered", JPEG, quality=value)
        is_400(answer, f"quality={value}")


@check("8.3.5.1.1", "annotation is burned in, or a Warning says that it is not supported.")
def _(service: Service, material: Material) -> None:
    path = f"{material.slice.path}/rendered"
    answer = good(service.get(path, PNG, annotation="patient,technique"), PNG)
    if any("annotation values are not supported" in text for text in _warnings(answer)):
        return
    plain = view(service, material.slice)
    expect(
        picture(answer.content).tobytes() != plain.tobytes(), "no Warning, and nothing burned in"
    )


def _warnings(answer: httpx.Response) -> list[str]:
    return list(answer.headers.get_list("Warning"))


@check("8.3.5.1.1", "annotation without a value is a 400.")
def _(service: Service, material: Material) -> None:
    answer = service.get(f"{material.slice.path}/rendered", JPEG, annotation="")
    is_400(answer, "annotation=")


@check("8.3.5.1.5", "iccprofile=yes and srgb embed a profile, no embeds none.", optional=True)
def _(service: Service, material: Material) -> None:
    sample = material.colours["RGB"]
    for value, wanted in (("yes", True), ("srgb", True), ("no", False)):
        for kind in (PNG, JPEG):
            image = view(service, sample, kind, iccprofile=value)
            given = bool(image.info.get("icc_profile"))
            if value == "yes" and not given:
                not_offered(f"iccprofile=yes embeds none in {kind}")
            expect(given == wanted, f"iccprofile={value}: {kind} has {'a' if given else 'no'} one")


@check("8.3.5.1.5", "iccprofile=yes is a 400 where the media type can hold none.", optional=True)
def _(service: Service, material: Material) -> None:
    path = f"{material.colours['RGB'].path}/rendered"
    if not view(service, material.colours["RGB"], iccprofile="yes").info.get("icc_profile"):
        not_offered("iccprofile is ignored")
    is_400(service.get(path, GIF, iccprofile="yes"), "image/gif")
    is_400(service.get(path, PNG, iccprofile="purple"), "iccprofile=purple")
