"""What ``edge sync list`` prints."""

from __future__ import annotations

from edge.cache.listing import Conflict, Decision, Page, Side
from edge.commands.sync import _print_conflicts

SIDE = Side("1.2.840.10008.1.2.1", 100, "abc", "DIMSE", "CT1", None, True)


def conflict(*edited):
    return Conflict(
        kind="archive",
        study_uid="1.2",
        series_uid="1.2.3",
        sop_uid="1.2.3.4",
        patient_name="Synthetic^Name",
        patient_id="P1",
        since=1.0,
        reason="the archive has other bytes under this UID",
        kept=SIDE,
        other=SIDE,
        decision="",
        note="",
        edited=list(edited),
        choices=[Decision.KEEP_BOTH, Decision.KEEP_ARCHIVE],
    )


def test_a_conflict_says_what_was_edited_in_the_archive(capsys):
    _print_conflicts(Page(2, [conflict("PatientName", "PatientID"), conflict()]))
    edited, plain = capsys.readouterr().out.split("1.2.3.4")[1:]
    assert "edited    in the archive: PatientName, PatientID of this study\n" in edited
    assert "edited" not in plain
