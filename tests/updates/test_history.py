"""What was done with updates, and what follows from it."""

from __future__ import annotations

import pytest

from edge.updates.history import Cause, Deed, has_failed
from edge.updates.journal import Folder


def history(tmp_path, *deeds):
    (tmp_path / "box").mkdir(exist_ok=True)
    made = Folder(tmp_path / "box")
    for deed, cause in deeds:
        made.note(deed, "1.1", cause=cause, why=f"because of {cause}")
    return made.history()


BAD = (Deed.BAD, Cause.ITSELF)
BACK = (Deed.WENT_BACK, Cause.ITSELF)
LINE = ((Deed.BAD, Cause.LINE), (Deed.WENT_BACK, Cause.ITSELF))
POWER = (Deed.NOT_WRITTEN, Cause.POWER)


@pytest.mark.parametrize(
    ("deeds", "failed"),
    [
        ((), False),
        ((BAD, BACK), True),
        ((BACK,), True),
        ((BAD, BACK, (Deed.GOOD, Cause.ITSELF)), False),
        (LINE, False),
        ((*LINE, *LINE), False),
        ((*LINE, *LINE, *LINE), True),
        ((POWER, POWER), False),
        ((POWER, POWER, POWER), True),
        ((POWER, *LINE, POWER), True),
        ((POWER, BAD, BACK), True),
    ],
)
def test_what_failed_by_itself_is_not_tried_again_and_what_the_line_did_three_times(
    tmp_path, deeds, failed
):
    assert (has_failed(history(tmp_path, *deeds), "1.1") is not None) == failed
    assert has_failed(history(tmp_path, *deeds), "1.2") is None
