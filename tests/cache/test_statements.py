"""What stands in a bundle is understood, or refused as what it is not."""

from __future__ import annotations

import pytest

from edge.cache.statements import VERSION, Complete, PartList, decoded
from edge.errors import SealBroken
from tests.fakes.courier import make_bundle, place, state
from tests.samples import ct_series

BOX, HOSPITAL = place("box"), place("hospital")


@pytest.fixture
def made(tmp_path):
    slices = list(ct_series(3, rows=16, columns=16))
    return make_bundle(tmp_path, BOX, [HOSPITAL], [slices[:2], slices[2:]])


def test_a_statement_of_another_kind_or_version_is_none(made):
    bundle, key = made
    _, content = key.stated("complete", bundle.read("complete"), [BOX.place])
    assert decoded(content, Complete).parts == (1, 2)
    with pytest.raises(SealBroken, match="can't be understood"):
        decoded(content, PartList)
    state(bundle, key, BOX, "complete", Complete(VERSION + 1, (), 0, 0))
    _, content = key.stated("complete", bundle.read("complete"), [BOX.place])
    with pytest.raises(SealBroken, match="newer version"):
        decoded(content, Complete)
