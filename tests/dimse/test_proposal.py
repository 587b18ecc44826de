"""What is proposed, and what is read of the answer."""

import warnings

import pytest

from edge.dimse.negotiation import negotiate, read_request
from edge.dimse.peers import Caller
from edge.dimse.proposal import Proposal, read_answer, request_pdu
from edge.dimse.verification import verification_service
from edge.errors import PeerError
from tests.dimse import raw

ECHO = Proposal(raw.VERIFICATION, (raw.IMPLICIT, raw.EXPLICIT))
CALLER = Caller("ME", "127.0.0.1", "EDGE", frozenset())


def answer_to(*proposals):
    pdu = request_pdu(proposals, calling="ME", called="EDGE", max_pdu=16384)
    return negotiate(read_request(pdu[6:]), [verification_service()], CALLER, max_pdu=20000).pdu[6:]


def test_what_was_accepted_is_read_and_what_was_not_is_left_out():
    agreement = read_answer(answer_to(Proposal(raw.CT, (raw.EXPLICIT,)), ECHO), [ECHO, ECHO])
    assert [(one.context_id, one.transfer_syntax) for one in agreement.contexts.values()] == [
        (3, raw.IMPLICIT)
    ]
    assert agreement.fragment_size == 20000 - 6
    assert agreement.implementation == "EDGE_CACHE_1"


def test_a_syntax_that_was_not_proposed_is_an_error():
    other = Proposal(raw.VERIFICATION, (raw.EXPLICIT,))
    with pytest.raises(PeerError, match="was not proposed"):
        read_answer(answer_to(ECHO), [other])


def test_a_uid_that_is_none_is_told_to_nobody():
    """pydicom would print the peer's bytes, and keep them, each time others."""
    body = answer_to(ECHO).replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008!3.1.1.1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_answer(body, [ECHO]).contexts) == 1


@pytest.mark.parametrize("count", [0, 129])
def test_no_context_and_too_many_are_an_error(count):
    with pytest.raises(ValueError, match="presentation contexts"):
        request_pdu([ECHO] * count, calling="ME", called="EDGE", max_pdu=16384)
