"""Which UIDs are well formed, and which name storage."""

from __future__ import annotations

import pytest
from pydicom.uid import UID, UID_dictionary
from pynetdicom import AllStoragePresentationContexts, QueryRetrievePresentationContexts

from edge.dicom.implementation import IMPLEMENTATION_CLASS_UID
from edge.dicom.uids import encoding_of, hide_uids, is_storage_sop_class, is_uid


@pytest.mark.parametrize("uid", ["1", "1.2.840.10008.1.1", "2.25." + "1" * 59, "1.02.3"])
def test_a_uid_is_digits_and_dots(uid):
    assert is_uid(uid)


@pytest.mark.parametrize(
    "uid",
    [
        "",
        ".",
        "1.",
        ".1",
        "1..2",
        "1.a",
        "1.2\0",
        "../1",
        "1/2",
        "1" * 65,
        "\u0661.\u0662",
        "1.2\n",
    ],
)
def test_anything_else_is_not(uid):
    assert not is_uid(uid)


def test_every_storage_class_is_taken_retired_and_private_ones_too():
    for context in AllStoragePresentationContexts:
        assert is_storage_sop_class(str(context.abstract_syntax))
    retired = [
        uid
        for uid, (name, kind, _, status, _) in UID_dictionary.items()
        if kind == "SOP Class" and status == "Retired" and name.split(" (")[0].endswith("Storage")
    ]
    assert len(retired) >= 9
    assert [uid for uid in retired if not is_storage_sop_class(uid)] == []
    assert is_storage_sop_class("1.3.46.670589.11.0.0.12.1")


def test_services_are_not_storage():
    for context in QueryRetrievePresentationContexts:
        assert not is_storage_sop_class(str(context.abstract_syntax))
    for uid in ("1.2.840.10008.1.1", "1.2.840.10008.1.20.1", "1.2.840.10008.5.1.4.31", "x"):
        assert not is_storage_sop_class(uid)


def test_our_own_uid_is_one():
    assert is_uid(IMPLEMENTATION_CLASS_UID)


@pytest.mark.parametrize(
    "syntax", [uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"]
)
def test_every_transfer_syntax_is_encoded_as_the_standard_says(syntax):
    known, encoding = UID(syntax), encoding_of(syntax)
    if not known.is_transfer_syntax or known.name.startswith("SMPTE"):
        return
    assert encoding.implicit_vr == known.is_implicit_VR
    assert encoding.little_endian == known.is_little_endian
    assert encoding.deflated == known.is_deflated or "JPIP" in known.name


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.1.2",
        "2.25.329800735698586629295641978511506172918",
        "2.25.0",
        "1.2.840.113619",
        "1.2.3.4.5",
        "0.0.0.0000",
    ],
)
def test_no_uid_stands_in_a_text_for_the_log(uid):
    assert hide_uids(f"instance {uid}, at 10.1.2.3, is not here") == (
        "instance UID, at 10.1.2.3, is not here"
    )
    assert hide_uids(f"({uid}/{uid})", lambda it: str(len(it))) == f"({len(uid)}/{len(uid)})"


@pytest.mark.parametrize("text", ["192.168.255.1:104", "0.1.0", "TLS 1.2", "12.5 ms", "3.11.2"])
def test_addresses_versions_and_numbers_are_no_uids(text):
    assert hide_uids(text) == text
