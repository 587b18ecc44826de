"""What all resources of WADO-RS share: the way to their instances."""

from __future__ import annotations

import pytest

from edge.dicomweb.resources import Target
from edge.dicomweb.retrieve import entries_of, entry_of, unknown
from edge.errors import InstanceNotFound
from tests import samples
from tests.dicomweb.doubles import Retrieval


async def test_a_resource_leads_to_its_instances_in_order():
    retrieval = Retrieval()
    held = retrieval.add(*[part.data for part in samples.ct_series(3, rows=16, columns=16)])
    ref = held[1].entry.ref
    study = Target(ref.study_uid)
    assert await entries_of(retrieval, study) == [one.entry for one in held]
    one = Target(ref.study_uid, ref.series_uid, ref.sop_uid)
    assert await entry_of(retrieval, one) == held[1].entry


@pytest.mark.parametrize("target", [Target("1.2"), Target("1.2", "1.3"), Target("1.2", "1.3", "1")])
async def test_a_resource_without_instances_is_not_there(target):
    with pytest.raises(InstanceNotFound, match="is not known here"):
        await entries_of(Retrieval(), target)
    assert "search" in unknown(target).hint
