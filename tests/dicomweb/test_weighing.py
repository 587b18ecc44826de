"""Weighing: what can be made of instances, with as little reading as will do."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest

from edge.dicomweb.forms import instance_offers
from edge.dicomweb.negotiation import parse_accept
from edge.dicomweb.resources import Target
from edge.dicomweb.responses import Refused
from edge.dicomweb.weighing import Weighing
from tests.dicomweb.doubles import EXPLICIT, RLE, Retrieval, Transcoding

OFFERS = partial(instance_offers, alone=True)


class Watched(Retrieval):
    """Counts how often metadata is read."""

    looked = 0

    def metadata(self, *uids):
        self.looked += 1
        return super().metadata(*uids)


@pytest.fixture
def weigh(packaged):
    """Gives the transfer syntax of a packaged file, and whether its metadata was read."""

    async def of(name, accept):
        retrieval = Watched()
        [held] = retrieval.add(packaged(name))
        ref = held.entry.ref
        target = Target(ref.study_uid, ref.series_uid, ref.sop_uid)
        weighing = Weighing(retrieval, Transcoding())
        forms = await weighing.of_all(parse_accept(accept), [held.entry], target, OFFERS)
        assert retrieval.opened == []
        return forms[ref.sop_uid].transfer_syntax, bool(retrieval.looked)

    return of


@pytest.mark.parametrize(
    ("name", "accept", "syntax", "looked"),
    [
        ("CT_small.dcm", "*/*", EXPLICIT, False),
        ("rtdose.dcm", "*/*", EXPLICIT, False),
        ("MR_small_bigendian.dcm", "*/*", EXPLICIT, False),
        ("JPEG2000.dcm", "application/dicom; transfer-syntax=*", "1.2.840.10008.1.2.4.91", False),
        ("JPEG2000.dcm", "*/*", EXPLICIT, True),
        ("CT_small.dcm", f"application/dicom; transfer-syntax={RLE}", RLE, True),
    ],
)
async def test_only_what_is_in_doubt_is_looked_at(weigh, name, accept, syntax, looked):
    assert await weigh(name, accept) == (syntax, looked)


async def test_what_can_not_be_made_is_refused(weigh):
    for name in ("rtplan.dcm", "JPEG2000.dcm"):
        with pytest.raises(Refused):
            await weigh(name, f"application/dicom; transfer-syntax={RLE}")


async def test_what_was_never_here_is_left_open(packaged):
    retrieval = Retrieval()
    [held] = retrieval.add(packaged("CT_small.dcm"))
    unseen = dataclasses.replace(held.entry, transfer_syntax="")
    weighing = Weighing(retrieval, Transcoding())
    accepted = parse_accept("*/*")
    assert await weighing.of_all(accepted, [unseen], Target("1.2"), OFFERS) == {}
    async with retrieval.open_instance(unseen) as opened:
        assert (await weighing.of_open(accepted, opened, OFFERS)).transfer_syntax == EXPLICIT
