"""Stores over HTTP, and files at the one way in: kept, or refused, and nothing is left lying about.

What became an instance is given out in every form that there is; what was refused leaves no row and
no file. Everything goes over real connections into a real box.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import strategies as st

from edge.access.roles import Role
from edge.cache.admission import Outcome
from edge.dicom.instance import InstanceRef
from edge.dicom.xml_model import to_xml
from edge.errors import InvalidInstance
from tests import rasters
from tests.fuzz import corpus, files, trees
from tests.fuzz.door import Door, Request, admit, opened
from tests.fuzz.mutation import changes, mutated
from tests.fuzz.targets import Target

BUSY = 503
"""Decoders that were ended start anew, and are busy meanwhile."""


# Files at the one way in


async def _admission(door: Door, example: tuple[bytes, list[int]]) -> None:
    data, cuts = example
    try:
        admitted = await admit(door.box, *files.pieces(data, cuts))
    except InvalidInstance:
        admitted = None
    if admitted is not None and admitted.outcome is Outcome.STORED:
        await _views(door, admitted.ref, data)
        await _delete(door, admitted.ref)
    door.look_at_log()
    await _nothing_is_left(door)


async def _views(door: Door, ref: InstanceRef, data: bytes) -> None:
    """Every form in which an instance is given out."""
    study = f"/dicom-web/studies/{ref.study_uid}"
    path = _path(ref)
    related = 'multipart/related; type="{}"; transfer-syntax={}'.format
    answer = await door.ask(_get(path, "application/dicom; transfer-syntax=*"))
    assert answer.status == 200
    assert answer.body == data
    for wanted, accept in (
        (f"{study}/metadata", "application/dicom+json"),
        (f"{study}/metadata", 'multipart/related; type="application/dicom+xml"'),
        ("/dicom-web/instances?includefield=all", "application/dicom+json"),
        (f"{study}/series?includefield=all", 'multipart/related; type="application/dicom+xml"'),
    ):
        assert (await door.ask(_get(wanted, accept))).status == 200, wanted
    for wanted, accept in (
        (path, related("application/dicom", "1.2.840.10008.1.2")),
        (path, related("application/dicom", "1.2.840.10008.1.2.5")),
        (f"{path}/frames/1", related("application/octet-stream", "*")),
        (f"{path}/frames/1", related("application/octet-stream", "1.2.840.10008.1.2.1")),
        (f"{path}/bulkdata", related("application/octet-stream", "*")),
        (f"{path}/rendered", "image/jpeg"),
        (f"{path}/rendered", "text/html"),
        (study, "application/zip"),
    ):
        await door.ask(_get(wanted, accept), or_else=(BUSY,))


def _get(target: str, accept: str) -> Request:
    return Request("GET", target.encode(), ((b"Accept", accept.encode()),), role=Role.ADMIN)


async def _delete(door: Door, ref: InstanceRef) -> None:
    """It goes as it would by a person's word."""
    answer = await door.ask(
        Request("DELETE", f"{_path(ref)}?only-copy=true".encode(), role=Role.ADMIN)
    )
    assert answer.status == 204, answer.body
    rows = await door.box.rows("SELECT count(*) FROM instances WHERE sop_uid = ?", ref.sop_uid)
    assert rows == [(0,)]


def _path(ref: InstanceRef) -> str:
    return f"/dicom-web/studies/{ref.study_uid}/series/{ref.series_uid}/instances/{ref.sop_uid}"


async def _nothing_is_left(door: Door) -> None:
    """On the disk are the objects that rows name, and no others."""
    rows = await door.box.rows(
        "SELECT object FROM instances WHERE object IS NOT NULL UNION SELECT object FROM quarantine"
    )
    named = sorted(name for (name,) in rows)
    found = sorted(path.name.removesuffix(".aside") for path in door.box.files())
    assert found == named, set(found) ^ set(named)


# Bodies of stores


@dataclass(frozen=True)
class Body:
    """A request to store, and how it is packed."""

    kind: str
    body: bytes
    coding: str
    """As it is announced; what it is really packed by may be another."""
    packed: str
    some: tuple[int, int]
    """Where the packed body is changed, and to which byte; nowhere, if it is 0."""
    chunked: bool
    target: str

    def request(self) -> Request:
        body = _packed(self.body, self.packed)
        at, byte = self.some
        if at and body:
            at %= len(body)
            body = body[:at] + bytes([byte]) + body[at + 1 :]
        fields = [(b"Content-Type", self.kind.encode("latin-1", "replace"))]
        if self.coding:
            fields.append((b"Content-Encoding", self.coding.encode()))
        if self.chunked:
            fields.append((b"Transfer-Encoding", b"chunked"))
            pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"
        return Request("POST", self.target.encode(), tuple(fields), body)


def _packed(body: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(body, 1)
    if how == "deflate":
        return zlib.compress(body, 1)
    return body


async def _stow(door: Door, example: Body) -> None:
    answer = await door.ask(example.request(), or_else=(BUSY, 507))
    if answer.status in (200, 202, 400, 409) and answer.header("Content-Type").endswith(
        "dicom+json"
    ):
        module: dict[str, Any] = json.loads(answer.body)
        stored = module.get("00081199", {}).get("Value", ())
        for sop_uid in sorted({item["00081155"]["Value"][0] for item in stored}):
            await _known(door, sop_uid)
        for tag in ("00081198", "0008119A"):
            for item in module.get(tag, {}).get("Value", ()):
                reason = item["00081197"]["Value"][0]
                # PROCESSING (0110) would be a defect of ours that one part met, if it is not that
                # the body could not be unpacked.
                assert reason != 0x0110 or example.coding, item
    await _nothing_is_left(door)


async def _known(door: Door, sop_uid: str) -> None:
    """It is there; and goes again, unless it was there before."""
    rows = await door.box.rows(
        "SELECT study_uid, series_uid FROM instances JOIN series ON series.id = series_id "
        "JOIN studies ON studies.id = instances.study_id WHERE sop_uid = ?",
        sop_uid,
    )
    assert len(rows) == 1, rows
    study_uid, series_uid = rows[0]
    ref = InstanceRef(study_uid, series_uid, sop_uid)
    answer = await door.ask(_get(f"{_path(ref)}/metadata", "application/dicom+json"))
    assert answer.status == 200
    await door.ask(_get(f"{_path(ref)}/rendered", "*/*"), or_else=(BUSY,))
    if sop_uid not in {one.SOPInstanceUID for one in door.known}:
        await _delete(door, ref)


_STUDY = "1.2.3"
_INSTANCE = {
    tag: element
    for tag, element in corpus.IDENTIFIERS["instance"].items()
    if tag not in ("7FE00010", "00280010", "00280011")
}


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    rasters.noise("RGB", 8, 8).save(buffer, "JPEG")
    return buffer.getvalue()


PICTURES = {
    "image/png": rasters.png(rasters.noise("L", 4, 4)),
    "image/gif": rasters.gif(rasters.noise("P", 4, 4), rasters.noise("P", 4, 4, 2)),
    "image/jpeg": _jpeg(),
    "application/octet-stream": bytes(16),
    "image/jls": b"\xff\xd8\xff\xf7\0\x0b\x08\0\x04\0\x04\1\1\x11\0\xff\xda\0\x08\1\1\0\0\0\0",
    "image/jp2": b"\xff\x4f\xff\x51" + struct.pack(">HH8IH", 41, 0, 4, 4, 0, 0, 4, 4, 0, 0, 1),
    "image/dicom-rle": struct.pack("<16I", 1, 64, *[0] * 14) + b"\x0f" + bytes(16),
    "video/mpeg": b"\0\0\1\xb3" + bytes(40),
}


def _part(kind: str, content: bytes, location: str = "") -> bytes:
    head = f"\r\n--B\r\nContent-Type: {kind}\r\n" + (
        f"Content-Location: {location}\r\n" if location else ""
    )
    return head.encode() + b"\r\n" + content


def _multipart(parts: Sequence[bytes]) -> bytes:
    return b"".join(parts) + b"\r\n--B--\r\n"


def _described(
    tree: Any, form: str, picture: str, content: bytes, location: str, repeated: int
) -> bytes:
    """Metadata, and a picture behind it."""
    if isinstance(tree, dict):
        tree = {**_INSTANCE, "7FE00010": {"vr": "OW", "BulkDataURI": "one"}, **tree}
    if form.endswith("xml"):
        try:
            text = to_xml(tree)
        except (AttributeError, TypeError, ValueError):
            text = b"<NativeDicomModel>"
    else:
        text = trees.written([tree])
    bulk = [_part(picture, content, location)] * repeated
    return _multipart([_part(form, text), *bulk])


_FORMS = ("application/dicom+json", "application/dicom+xml")
_IMAGE_TREES = st.builds(
    lambda some, tree: {**some, **tree} if isinstance(tree, dict) else tree,
    st.dictionaries(
        st.sampled_from(
            "00280002 00280004 00280006 00280008 00280010 00280011 00280100 00280101 00280102 "
            "00280103 00083002 00020010".split()
        ),
        st.sampled_from(
            (
                corpus.key("US", 1),
                corpus.key("US", 3),
                corpus.key("US", 4),
                corpus.key("US", 8),
                corpus.key("US", 16),
                corpus.key("US", 65535),
                corpus.key("US"),
                corpus.key("IS", 2),
                corpus.key("IS", -1),
                corpus.key("IS", 1.5),
                corpus.key("CS", "RGB"),
                corpus.key("CS", "MONOCHROME1"),
                corpus.key("CS", None),
                corpus.key("UI", "1.2.840.10008.1.2.4.50"),
            )
        ),
        max_size=6,
    ),
    st.one_of(*[st.just({})] * 4, trees.datasets()),
)
_PICTURED = st.sampled_from(sorted(PICTURES)).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        st.builds(
            lambda some, plain: PICTURES[kind] if plain else mutated(PICTURES[kind], some),
            changes(),
            st.booleans(),
        ),
    )
)
_DESCRIBED = st.sampled_from(_FORMS).flatmap(
    lambda form: st.tuples(
        st.sampled_from(
            (
                *[f'multipart/related; type="{form}"; boundary=B'] * 8,
                "multipart/related; boundary=B",
            )
        ),
        st.builds(
            lambda tree, pictured, location, repeated: _described(
                tree, form, *pictured, location, repeated
            ),
            _IMAGE_TREES,
            _PICTURED,
            st.sampled_from((*["one"] * 9, "two", "", "//[", "http://127.0.0.1/one")),
            st.sampled_from((1, 1, 1, 1, 0, 2)),
        ),
    )
)
_KINDS = (
    *['multipart/related; type="application/dicom"; boundary=B'] * 8,
    "application/dicom",
    "application/dicom+json",
    'multipart/related; type="application/dicom"; boundary=C',
    'multipart/related; type="application/dicom"',
    "multipart/form-data; boundary=B",
    "text/html",
    "",
)
_FILES = st.tuples(
    st.sampled_from(_KINDS),
    st.lists(st.deferred(files.files), min_size=1, max_size=3).map(
        lambda several: _multipart([_part("application/dicom", one) for one in several])
    ),
)
_ALONE = st.one_of(
    st.tuples(st.just("application/dicom"), st.deferred(files.files)),
    st.tuples(st.sampled_from(_FORMS), trees.documents()),
)
_BODIES = st.builds(
    lambda form, some, plain, coding, packed, place, chunked, target: Body(
        form[0],
        form[1] if plain else mutated(form[1], some),
        coding,
        coding if plain else packed,
        place if not plain else (0, 0),
        chunked,
        target,
    ),
    st.one_of(_DESCRIBED, _DESCRIBED, _FILES, _ALONE),
    changes(),
    st.sampled_from((True, True, True, True, False)),
    st.sampled_from(("", "", "", "", "gzip", "deflate")),
    st.sampled_from(("", "gzip", "deflate")),
    st.tuples(st.integers(0, 2**16), st.integers(0, 255)),
    st.sampled_from((False, False, True)),
    st.sampled_from(("/dicom-web/studies", "/dicom-web/studies", f"/dicom-web/studies/{_STUDY}")),
)
_CUTS = st.lists(st.integers(0, 999), max_size=6)

STORES = (
    Target(
        "admission",
        st.tuples(st.deferred(files.files), _CUTS),
        partial(opened, _admission),
        tuple[bytes, list[int]],
        seconds=20.0,
        megabytes=256.0,
    ),
    Target("stow", _BODIES, partial(opened, _stow), Body, seconds=20.0, megabytes=256.0),
)
