"""What handlers say of themselves."""

from __future__ import annotations

import pytest

from edge.dicomweb.negotiation import Offer
from edge.dicomweb.transactions import Parameter, of_handler, transaction


class Handlers:
    @transaction(
        "Retrieve",
        "10.4",
        produces=[Offer("application/dicom", multipart=True), "text/plain"],
        parameters=[Parameter("quality", "xs:int")],
    )
    async def spoken(self, _):
        """It says what it does."""

    async def silent(self, _):
        """It does not."""


def test_a_handler_says_it_by_its_own_offers():
    said = of_handler(Handlers().spoken)
    assert (said.name, said.section) == ("Retrieve", "10.4")
    assert said.produces == ('multipart/related; type="application/dicom"', "text/plain")
    assert said.consumes == ()
    assert said.parameters == (Parameter("quality", "xs:int"),)


def test_one_that_says_nothing_is_named():
    with pytest.raises(LookupError, match="silent"):
        of_handler(Handlers().silent)
