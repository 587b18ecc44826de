"""The account of a Store request: statuses, reasons, and the UIDs of what was not understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cache.admission import Admitted
from edge.cache.admission import Outcome as Admission
from edge.dicom.instance import InstanceRef
from edge.dicom.part10 import file_meta
from edge.dicomweb.responses import Refused
from edge.dicomweb.store_report import HEAD_BYTES, FailureReason, Outcome, Report
from edge.errors import (
    EdgeError,
    InstanceMismatch,
    InstanceTooLong,
    InvalidInstance,
    MultipartError,
    NotDicom,
    NotStorable,
    PixelBudgetExceeded,
    PixelWorkersBusy,
    SealBroken,
    StorageFull,
    UndecodablePixels,
)

OK = Admitted(InstanceRef("1.2", "1.2.3", "1.2.3.4"), "1.2.840.10008.5.1.4.1.1.2", Admission.STORED)
CONFLICT = Admitted(OK.ref, OK.sop_class_uid, Admission.CONFLICT)


def report(*results, broken=None):
    account = Report()
    for result in results:
        outcome = account.add()
        if isinstance(result, Exception):
            outcome.fail(result)
        else:
            outcome.admitted = result
    account.broken = broken
    return account


@pytest.mark.parametrize(
    ("results", "broken", "status"),
    [
        ([OK, OK], None, 200),
        ([OK, CONFLICT], None, 202),
        ([OK, NotDicom("x")], None, 202),
        ([OK, StorageFull("x")], None, 202),
        ([OK], MultipartError("x"), 202),
        ([NotDicom("x"), InvalidInstance("x")], None, 400),
        ([NotDicom("x")], MultipartError("x"), 400),
        ([NotDicom("x"), InstanceMismatch("x")], None, 409),
        ([InstanceMismatch("x")], None, 409),
        ([InstanceMismatch("x"), StorageFull("x")], None, 507),
        ([InstanceTooLong("x")], None, 413),
        ([InstanceTooLong("x"), InstanceTooLong("x")], None, 413),
        ([InstanceTooLong("x"), StorageFull("x")], None, 507),
        ([InstanceTooLong("x"), NotDicom("x")], None, 409),
        ([InstanceTooLong("x"), OK], None, 202),
        ([NotStorable("x")], None, 409),
        ([NotDicom("x")], Refused(413, "x"), 413),
        ([SealBroken("x"), RuntimeError("x")], None, 500),
        ([SealBroken("x"), InstanceMismatch("x")], None, 409),
    ],
)
def test_the_status_sums_up_what_became_of_the_parts(results, broken, status):
    assert report(*results, broken=broken).answer("b")[0] == status


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StorageFull("x"), 0xA700),
        (InstanceMismatch("x"), 0xA900),
        (InstanceTooLong("x"), 0xC000),
        (NotStorable("x"), 0x0122),
        (NotDicom("x"), 0xC000),
        (InvalidInstance("x"), 0xC000),
        (UndecodablePixels("x"), 0xC000),
        (PixelBudgetExceeded("x"), 0xC000),
        (PixelWorkersBusy("x"), 0xA700),
        (MultipartError("x"), 0xC000),
        (EdgeError("x"), 0x0110),
        (RuntimeError("x"), 0x0110),
    ],
)
def test_each_error_has_its_failure_reason(error, reason):
    _, module = report(error).answer("b")
    [item] = module["0008119A"]["Value"]
    assert item["00081197"] == {"vr": "US", "Value": [reason]}
    # The text of an error that nobody foresaw might name a patient.
    assert ("00091001" in item) is isinstance(error, EdgeError)


@pytest.mark.parametrize("broken", [None, MultipartError("x"), Refused(413, "x")])
def test_a_request_without_parts_is_refused(broken):
    with pytest.raises(Refused) as refused:
        report(broken=broken).answer("b")
    assert refused.value.status == (413 if isinstance(broken, Refused) else 400)


def test_a_body_that_broke_off_between_parts_is_an_other_failure():
    _, module = report(OK, broken=MultipartError("cut short")).answer("b")
    [item] = module["0008119A"]["Value"]
    assert item["00091001"]["Value"] == ["cut short"]
    assert list(module) == sorted(module)


def test_what_is_kept_beside_another_is_told_in_words():
    _, module = report(OK, CONFLICT).answer("b")
    same, other = module["00081199"]["Value"]
    assert "00091001" not in same
    assert other["00081196"]["Value"] == [0x0111]
    assert "kept beside it" in other["00091001"]["Value"][0]


@pytest.mark.parametrize(
    ("results", "summary"),
    [
        ([OK, OK], "2 stored, 0 not"),
        ([OK, CONFLICT], "2 stored (1 in conflict), 0 not"),
        ([OK, NotDicom("x"), StorageFull("x"), NotDicom("x")], "1 stored, 3 not (A700, C000)"),
        ([NotStorable("x")], "0 stored, 1 not (0122)"),
    ],
)
def test_the_log_has_counts_and_reasons_and_names_nobody(results, summary):
    account = report(*results)
    account.answer("b")
    assert account.summary == summary


def test_what_was_not_understood_is_named_by_its_file_meta():
    head = file_meta(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_uid="1.2.3",
        transfer_syntax="1.2.840.10008.1.2",
    )
    outcome = Outcome(bytearray(head))
    outcome.fail(NotDicom("x"))
    assert outcome.announced == ("1.2.840.10008.5.1.4.1.1.2", "1.2.3")
    for length in range(len(head)):
        outcome = Outcome(bytearray(head[:length]))
        assert outcome.announced in (None, ("1.2.840.10008.5.1.4.1.1.2", "1.2.3"))


@given(st.binary(max_size=HEAD_BYTES))
def test_no_first_bytes_are_a_defect(head):
    assert Outcome(bytearray(bytes(128) + b"DICM" + head)).announced is None or head
    assert Outcome(bytearray(head)).announced is None or head[128:132] == b"DICM"


def test_reasons_are_those_of_the_standard():
    assert {int(reason) for reason in FailureReason} == {
        0x0110,
        0x0122,
        0xA700,
        0xA900,
        0xC000,
    }
