"""Metadata from strangers: the JSON and the XML of a store, and what an archive answers.

What is understood must also come through what is done with it next: written as a data set, shown as
XML, put into the index.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
from hypothesis import strategies as st

from edge.cloud.answers import MAX_ANSWER, datasets_in, words_in
from edge.cloud.listing import by_study, count_of, fingerprint
from edge.cloud.metadata import localised
from edge.cloud.store_answer import results_of
from edge.dicom.demographics import described, is_same, overlaid
from edge.dicom.encoder import element_header, encoded
from edge.dicom.instance import InstanceRef
from edge.dicom.part10 import file_meta
from edge.dicom.rejection import rejection_in
from edge.dicom.scanner import InstanceScanner, ScannedInstance
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from edge.dicom.xml_model import from_xml, to_xml
from edge.dicomweb.responses import DICOM_JSON, DICOM_XML, Refused
from edge.dicomweb.store_metadata import DescribedInstance
from edge.dicomweb.store_model import MAX_INSTANCES, understood, uris, weight_of
from edge.errors import InvalidInstance
from edge.index import attributes as indexed
from tests.fuzz import corpus, trees
from tests.fuzz.mutation import changes, mutated, mutations
from tests.fuzz.targets import reader

Tree = dict[str, Any]


# What a client stores


def _json(text: bytes) -> None:
    rows = all_in(text, DICOM_JSON)
    if rows is not None:
        # What it takes is known before it is taken.
        weighed = weight_of(bytearray(text), DICOM_JSON) + 8 * len(text) + 1024
        assert sum(map(_size, rows)) <= weighed
        for row in rows:
            _store(row)


def _xml(text: bytes) -> None:
    rows = all_in(text, DICOM_XML)
    if rows is not None:
        (row,) = rows
        assert _size(row) <= weight_of(bytearray(text), DICOM_XML) + 64 * len(text) + 1024
        _store(row)
        again = from_xml(to_xml(row))
        assert from_xml(to_xml(again)) == again


def all_in(text: bytes, essence: str) -> list[Tree] | None:
    """What a text describes; None if it is refused."""
    try:
        return understood(text, essence, MAX_INSTANCES)
    except Refused as error:
        if error.status not in (400, 413):
            raise
        return None


def _size(node: Any) -> int:
    size = sys.getsizeof(node)
    if isinstance(node, Mapping):
        return size + sum(_size(key) + _size(value) for key, value in node.items())
    if isinstance(node, list):
        return size + sum(map(_size, node))
    return size


def _store(row: Tree) -> None:
    list(uris(row, 0))
    if (scanned := stored(row)) is not None:
        shown(scanned.attributes)


def stored(row: Tree) -> ScannedInstance | None:
    """What becomes of a description; None if it is refused."""
    uids = DescribedInstance(row).uids
    if uids is None:
        return None
    pieces = [
        file_meta(sop_class_uid=uids[0], sop_uid=uids[1], transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN)
    ]
    scanner = InstanceScanner()
    try:
        for piece in encoded(row):
            pieces.append(  # noqa: PERF401 - half of it is gone if it fails
                piece if isinstance(piece, bytes) else element_header(piece.tag, piece.vr, 0)
            )
        for piece in pieces:
            scanner.feed(piece)
        scanned = scanner.finish()
    except InvalidInstance:
        return None
    assert scanned.ref.sop_uid == uids[1]
    return scanned


def shown(attributes: Mapping[str, Any]) -> None:
    """What is in the index is given out as JSON and as XML, whatever it is."""
    tree = msgspec.json.decode(msgspec.json.encode(attributes))
    from_xml(to_xml(tree))


# What an archive answers

REFS = [InstanceRef("1.2.3", "1.2.3.4", f"1.2.3.4.{number}") for number in range(3)]
ANSWERED: list[Tree] = [
    {
        "00081190": corpus.key("UR", "http://archive/studies/1.2.3"),
        "00081199": corpus.key(
            "SQ",
            {
                "00081150": corpus.key("UI", "1.2.840.10008.5.1.4.1.1.2"),
                "00081155": corpus.key("UI", "1.2.3.4.0"),
                "00081196": corpus.key("US", 0xB000),
            },
        ),
        "00081198": corpus.key(
            "SQ",
            {
                "00081155": corpus.key("UI", "1.2.3.4.1"),
                "00081197": corpus.key("US", 272),
                "00091001": corpus.key("LO", "already exists"),
            },
        ),
        "0008119A": corpus.key("SQ", {"00081197": corpus.key("US", 0xA700)}),
    },
    {
        **corpus.IDENTIFIERS["instance"],
        "00201208": corpus.key("IS", 3),
        "00081140": corpus.key("SQ", {"00081155": corpus.key("UI", "1.2.3")}, None),
    },
]
TYPES = (
    "application/dicom+json",
    "application/json",
    "text/html",
    "",
    "application/dicom+xml",
    'multipart/related; type="application/dicom+xml"; boundary=B',
    "multipart/related; boundary=",
    "multipart/related",
)


def _answers(example: tuple[str, int, bytes]) -> None:
    kind, status, body = example
    response = httpx.Response(status, headers={"Content-Type": kind.encode("latin-1", "replace")})
    found = asyncio.run(datasets_in(response, body))
    assert len(body) <= MAX_ANSWER
    assert words_in(body).isprintable()
    merged = {tag: one for dataset in found or () for tag, one in dataset.items()}
    for refs in (REFS, REFS[:1]):
        results = results_of(refs, merged if found else None, status=status, text=words_in(body))
        assert [one.ref for one in results] == refs
        assert all(one.text.isprintable() for one in results)
    for answer in by_study(found or ()).values():
        fingerprint(answer.study, answer.contradicted)
    for dataset in found or ():
        count_of(dataset)
        rejection_in("1.2.840.10008.5.1.4.1.1.88.59", dataset)
        known = described(dataset)
        shown(overlaid(dataset, known))
        for tag, one in known.items():
            assert is_same(one, one), tag
            is_same(one, dataset[tag])
        indexed.priority(dataset)
        indexed.person_names(dataset)
        for tag in dataset:
            indexed.number(dataset, tag)
            indexed.date(dataset, tag)
        if (ours := localised(dataset)) is not None:
            shown(ours[1])


def _in_parts(documents: list[bytes]) -> bytes:
    head = b"\r\n--B\r\nContent-Type: application/dicom+xml\r\n\r\n"
    return b"".join(head + one for one in documents) + b"\r\n--B--"


def _as_xml(tree: Any) -> bytes:
    try:
        return to_xml(tree)
    except (AttributeError, TypeError, ValueError):
        return b"<NativeDicomModel>"


_DOCUMENTS = [to_xml(tree) for tree in (*corpus.IDENTIFIERS.values(), *ANSWERED)]
_PIECES = (
    '<DicomAttribute tag="00081115" vr="SQ">',
    '<DicomAttribute tag="00100010" vr="PN">',
    '<DicomAttribute tag="00281050" vr="DS" keyword="&#0;">',
    '<DicomAttribute tag="00281050" vr="FD"><Value number="1">inf</Value>',
    '<DicomAttribute tag="00281050" vr="FD"><Value number="1">NaN</Value>',
    '<DicomAttribute tag="00080018">',
    "</DicomAttribute>",
    "<Item>",
    '<Item number="99999">',
    '<Item number="0">',
    "</Item>",
    '<Value number="100000">',
    "<Value>1.2.3",
    "</Value>",
    '<PersonName number="2"><Alphabetic><FamilyName>x',
    "</FamilyName></Alphabetic></PersonName>",
    "<InlineBinary>A A=",
    "</InlineBinary>",
    '<BulkData uri="../x"/>',
    "<BulkData/>",
    "<!DOCTYPE a [<!ENTITY b 'c'>]>",
    "<?xml version='1.0' encoding='utf-16'?>",
    "<?xml version='1.0' encoding='utf-7'?>",
    "<![CDATA[",
    "]]>",
    "&#xD800;",
    "&#x10FFFF;",
    "&lt;",
    "<a:DicomAttribute xmlns:a='b' tag='00100020' vr='LO'>",
    "</a:DicomAttribute>",
    "9" * 5000,
)
_SOUP = st.lists(st.sampled_from(_PIECES), max_size=12).map(
    lambda pieces: f"<NativeDicomModel>{''.join(pieces)}</NativeDicomModel>".encode()
)
_XML = st.one_of(
    mutations(_DOCUMENTS),
    _SOUP,
    trees.datasets().map(_as_xml),
    st.builds(lambda tree, some: mutated(_as_xml(tree), some), trees.datasets(), changes()),
    st.builds(
        lambda whole, piece, at: whole[: len(whole) * at // 1000] + piece.encode() + whole[at:],
        st.sampled_from(_DOCUMENTS),
        st.sampled_from(_PIECES),
        st.integers(0, 999),
    ),
)
_WITH_UIDS = st.builds(
    lambda tree: {**corpus.IDENTIFIERS["instance"], **tree} if isinstance(tree, dict) else tree,
    trees.datasets(),
)
_STORED = st.one_of(
    trees.documents(_WITH_UIDS),
    trees.documents(),
    st.integers(1, 200).map(lambda depth: trees.written([trees.nested(depth)])),
    mutations([trees.written([tree]) for tree in corpus.IDENTIFIERS.values()]),
)
_BODIES = st.one_of(
    trees.documents(
        st.one_of(
            st.sampled_from(ANSWERED),
            st.builds(
                lambda right, wrong: {**right, **wrong}, st.sampled_from(ANSWERED), trees.datasets()
            ),
            trees.datasets(),
            st.lists(trees.datasets(), max_size=3),
        )
    ),
    _XML,
    st.lists(_XML, min_size=1, max_size=3).map(_in_parts),
    st.binary(max_size=40),
)

METADATA = (
    reader("json", _STORED, _json, at_a_time=1000),
    reader("xml", _XML, _xml, at_a_time=1000),
    reader(
        "answers",
        st.tuples(
            st.sampled_from(TYPES), st.sampled_from((200, 202, 400, 404, 409, 413, 500)), _BODIES
        ),
        _answers,
        tuple[str, int, bytes],
        at_a_time=1000,
    ),
)
