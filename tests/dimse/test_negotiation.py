import contextlib
import struct
import time
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import AllStoragePresentationContexts, build_context
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

from edge.dicom.uids import is_storage_sop_class
from edge.dimse.negotiation import negotiate, read_request
from edge.dimse.peers import Caller
from edge.dimse.services import Service
from edge.errors import PeerError
from tests.dimse import raw

CALLER = Caller("RAW", "10.0.0.5", "EDGE", frozenset({"store"}))
STRANGER = Caller("RAW", "10.0.0.5", "EDGE", frozenset())
SERVICES = (
    Service("verification", raw.VERIFICATION.__eq__, {}),
    Service("storage", is_storage_sop_class, {}, right="store", right_to_be_sent="retrieve"),
    Service(
        "find", "1.2.840.10008.5.1.4.31".__eq__, {}, transfer_syntaxes=frozenset({raw.IMPLICIT})
    ),
)


def decide(contexts, caller=CALLER, **fields):
    request = read_request(raw.associate_body(contexts, **fields))
    return negotiate(request, SERVICES, caller, max_pdu=131072)


def decoded(accepted):
    """The answer as pynetdicom reads it."""
    answer = A_ASSOCIATE_AC()
    answer.decode(accepted.pdu)
    return answer


def results(accepted):
    return {
        item.presentation_context_id: (item.result_reason, str(item.transfer_syntax))
        for item in decoded(accepted).presentation_context
    }


def pynetdicom_request(contexts, user=()):
    """An A-ASSOCIATE-RQ as pynetdicom writes it."""
    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title, request.called_ae_title = "CT1", "EDGE"
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    request.presentation_context_definition_list = contexts
    length = MaximumLengthNotification()
    length.maximum_length_received = 32768
    class_uid = ImplementationClassUIDNotification()
    class_uid.implementation_class_uid = "1.2.3"
    request.user_information = [length, class_uid, *user]
    return A_ASSOCIATE_RQ(request).encode()


def all_user_information():
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = raw.CT, True, True
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = 5
    window.maximum_number_operations_performed = 0
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid = raw.CT
    extended.service_class_application_information = b"\2\0\3\0\1\0"
    common = SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = raw.CT, "1.2.840.10008.4.2"
    identity = UserIdentityNegotiation()
    identity.user_identity_type = 2
    identity.primary_field, identity.secondary_field = b"nurse", b"secret"
    identity.positive_response_requested = True
    return [role, window, extended, common, identity]


def test_a_request_reads_as_pynetdicom_wrote_it():
    contexts = [build_context(raw.CT, [raw.EXPLICIT, raw.IMPLICIT]), build_context("1.2.3.4")]
    body = pynetdicom_request(contexts, all_user_information())[6:]
    request = read_request(body)
    assert (request.calling, request.called, request.max_pdu) == ("CT1", "EDGE", 32768)
    assert [c.context_id for c in request.contexts] == [1, 3]
    assert request.contexts[0].abstract_syntax == raw.CT
    assert request.contexts[0].transfer_syntaxes == (raw.EXPLICIT, raw.IMPLICIT)
    assert request.roles == {raw.CT: (True, True)}
    assert request.wants_window
    assert request.refusal() is None


def test_the_answer_reads_as_it_was_meant():
    accepted = decide(raw.DEFAULT_CONTEXTS)
    answer = decoded(accepted)
    assert answer.application_context_name == "1.2.840.10008.3.1.1.1"
    assert (answer.reserved_aet, answer.reserved_aec) == ("EDGE", "RAW")
    assert answer.user_information.maximum_length == 131072
    assert answer.user_information.implementation_version_name == "EDGE_CACHE_1"
    assert results(accepted) == {1: (0, raw.IMPLICIT), 3: (0, raw.EXPLICIT)}
    assert accepted.contexts[3].abstract_syntax == raw.CT
    assert accepted.refused == ()
    assert answer.encode() == accepted.pdu


def test_the_first_proposed_transfer_syntax_is_taken_whatever_it_is():
    for first in ("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.2", "1.3.6.1.4.1.9999.7"):
        accepted = decide(raw.context_item(1, raw.CT, [first, raw.EXPLICIT]))
        assert results(accepted) == {1: (0, first)}


def test_a_service_with_a_choice_takes_the_first_that_it_can_use():
    find = "1.2.840.10008.5.1.4.31"
    assert results(decide(raw.context_item(1, find, [raw.EXPLICIT, raw.IMPLICIT]))) == {
        1: (0, raw.IMPLICIT)
    }
    accepted = decide(raw.context_item(1, find, [raw.EXPLICIT]))
    assert results(accepted)[1][0] == 4
    assert accepted.refused == (f"{find} (no usable transfer syntax)",)


def test_every_storage_class_is_taken_retired_and_private_ones_too():
    retired, private = "1.2.840.10008.5.1.4.1.1.5", "1.2.840.113619.4.30"
    classes = [str(c.abstract_syntax) for c in AllStoragePresentationContexts][:126]
    items = [
        raw.context_item(2 * number + 1, uid, [raw.IMPLICIT])
        for number, uid in enumerate([retired, private, *classes])
    ]
    accepted = decide(b"".join(items))
    assert len(accepted.contexts) == 128
    assert accepted.refused == ()


def test_what_is_not_offered_is_refused_with_its_reason():
    accepted = decide(raw.context_item(1, "1.2.840.10008.5.1.4.1.2.2.1", [raw.IMPLICIT]))
    assert results(accepted)[1][0] == 3
    assert accepted.contexts == {}


def test_a_peer_without_the_right_to_store_may_echo():
    accepted = decide(raw.DEFAULT_CONTEXTS, STRANGER)
    assert {key: result for key, (result, _) in results(accepted).items()} == {1: 0, 3: 1}


@pytest.mark.parametrize(
    ("rights", "scu", "scp", "answered"),
    [
        ("store", 1, 1, (1, 0)),
        ("store", 1, 0, (1, 0)),
        ("store", 0, 1, None),
        ("store", 0, 0, None),
        ("retrieve", 0, 1, (0, 1)),
        ("retrieve", 1, 1, (0, 1)),
        ("retrieve", 1, 0, None),
        ("store retrieve", 1, 1, (1, 1)),
        ("store retrieve", 0, 1, (0, 1)),
    ],
)
def test_a_role_is_taken_if_the_peer_has_the_right_to_it(rights, scu, scp, answered):
    user = raw.user_items() + raw.role_item(raw.CT, scu, scp)
    caller = replace(STRANGER, may=frozenset(rights.split()))
    accepted = decide(raw.context_item(1, raw.CT, [raw.EXPLICIT]), caller, user=user)
    assert results(accepted)[1][0] == (0 if answered else 1)
    found = decoded(accepted).user_information.role_selection.get(raw.CT)
    assert (found and (found.scu_role, found.scp_role)) == answered
    if answered:
        context = accepted.contexts[1]
        assert (context.peer_asks, context.peer_is_asked) == answered


def test_what_is_proposed_beyond_the_standard_services_is_answered_by_the_service():
    query = "1.2.840.10008.5.1.4.1.2.2.1"
    service = Service("query", query.__eq__, {}, extended=lambda asked: asked[:1] + b"\0")
    user = raw.user_items() + b"".join(
        raw.item(0x56, struct.pack(">H", len(uid)) + uid.encode() + b"\1\1\1")
        for uid in (query, raw.VERIFICATION)
    )
    items = b"".join(
        raw.context_item(number, uid, [raw.EXPLICIT])
        for number, uid in ((1, query), (3, raw.VERIFICATION))
    )
    body = raw.associate_body(items, user=user)
    accepted = negotiate(read_request(body), [service, *SERVICES], STRANGER, max_pdu=16384)
    assert accepted.contexts[1].extended == b"\1\0"
    assert accepted.contexts[3].extended == b""
    (found,) = decoded(accepted).user_information.ext_neg
    assert (found.uid, found.app_info) == (query, b"\1\0")


def test_a_window_is_answered_with_one_and_one_and_only_if_asked_for():
    window = raw.item(0x53, struct.pack(">HH", 8, 8))
    answer = decoded(decide(raw.DEFAULT_CONTEXTS, user=raw.user_items() + window))
    found = answer.user_information.async_ops_window
    assert (found.max_operations_invoked, found.max_operations_performed) == (1, 1)
    assert decoded(decide(raw.DEFAULT_CONTEXTS)).user_information.async_ops_window is None


def test_unknown_items_are_skipped():
    unknown = raw.item(0x7F, b"whatever")
    contexts = unknown + raw.DEFAULT_CONTEXTS + unknown
    user = raw.user_items() + raw.item(0x5A, b"") + raw.item(0x58, b"\2\1password")
    assert len(decide(contexts, user=user).contexts) == 2


def test_padded_uids_are_read_and_malformed_ones_cost_only_their_context():
    contexts = (
        raw.context_item(1, raw.CT + "\0", [raw.EXPLICIT + "\0"])
        + raw.context_item(3, "1." * 40 + "1", [raw.EXPLICIT])
        + raw.context_item(5, "1.2/../3", [raw.EXPLICIT])
        + raw.context_item(7, raw.CT, ["not a uid", "1\x002", raw.EXPLICIT])
        + raw.context_item(9, raw.CT, [])
    )
    assert results(decide(contexts)) == {
        1: (0, raw.EXPLICIT),
        3: (3, raw.IMPLICIT),
        5: (3, raw.IMPLICIT),
        7: (0, raw.EXPLICIT),
        9: (4, raw.IMPLICIT),
    }


@pytest.mark.parametrize(
    ("max_pdu", "fragment_size"),
    [(16384, 16378), (0, 131066), (1 << 31, 131066), (8, 2), (4097, 4090)],
)
def test_fragments_fit_the_peer(max_pdu, fragment_size):
    accepted = decide(raw.DEFAULT_CONTEXTS, user=raw.user_items(max_pdu))
    assert accepted.fragment_size == fragment_size


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ({"version": 2}, (1, 2, 2)),
        ({"application": b"1.2.840.10008.3.1.1.2"}, (1, 1, 2)),
        ({"user": raw.user_items(7)}, (1, 1, 1)),
    ],
)
def test_what_no_one_may_send_is_rejected(fields, codes):
    refusal = read_request(raw.associate_body(raw.DEFAULT_CONTEXTS, **fields)).refusal()
    assert (refusal.result, refusal.source, refusal.reason) == codes


MALFORMED = {
    "too short": bytes(67),
    "an item past the end": raw.associate_body(b"")[:-5],
    "half an item header": raw.associate_body(b"") + b"\x10\0\0",
    "a context past its item": raw.associate_body(
        raw.item(0x20, b"\1\0\0\0" + struct.pack(">BxH", 0x30, 500))
    ),
    "an even context ID": raw.associate_body(raw.context_item(2, raw.CT, [raw.IMPLICIT])),
    "an empty context": raw.associate_body(raw.item(0x20, b"")),
    "a context ID twice": raw.associate_body(2 * raw.context_item(1, raw.CT, [raw.IMPLICIT])),
    "no user information": raw.associate_body(b"")[: -len(raw.item(0x50, raw.user_items()))],
    "user information twice": raw.associate_body(raw.item(0x50, raw.user_items())),
    "a role past its item": raw.associate_body(b"", user=raw.item(0x54, b"\xff\xff1.2\0\0")),
    "a role of 2": raw.associate_body(b"", user=raw.role_item(raw.CT, 2, 0)),
    "a maximum length of 2 bytes": raw.associate_body(b"", user=raw.item(0x51, b"\0\0")),
    "too many roles": raw.associate_body(b"", user=300 * raw.role_item(raw.CT, 1, 0)),
    "too many user items": raw.associate_body(b"", user=1100 * raw.item(0x5A, b"")),
    "too many transfer syntaxes": raw.associate_body(
        raw.context_item(1, raw.CT, ["1"] * 3100) + raw.context_item(3, raw.CT, ["1"] * 3100)
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_request_is_a_peer_error(case):
    with pytest.raises(PeerError):
        read_request(MALFORMED[case])


@given(st.data())
def test_a_damaged_request_is_a_request_or_a_peer_error(data):
    user = raw.user_items() + raw.role_item(raw.CT, 1, 1) + raw.item(0x53, bytes(4))
    body = bytearray(raw.associate_body(raw.DEFAULT_CONTEXTS, user=user))
    position = data.draw(st.integers(0, len(body) - 1))
    damage = data.draw(st.binary(min_size=1, max_size=6))
    body[position : position + len(damage)] = damage
    try:
        request = read_request(bytes(body))
    except PeerError:
        return
    accepted = negotiate(request, SERVICES, CALLER, max_pdu=131072)
    assert len(results(accepted)) == len(request.contexts)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_request_or_a_peer_error(tail):
    with contextlib.suppress(PeerError):
        read_request(raw.associate_body(b"")[:68] + tail)


@pytest.mark.parametrize(
    "body",
    [
        raw.associate_body(b"", user=raw.item(0x5A, b"") * 16000)[:65000],
        raw.associate_body(b"", user=raw.role_item("1", 1, 1) * 7000)[:65000],
        raw.associate_body(raw.item(0x20, b"\1\0\0\0" + raw.item(0x40, b"") * 15000)),
        raw.associate_body(b"".join(raw.item(0x21, b"") for _ in range(15000))),
    ],
    ids=["user items", "roles", "transfer syntaxes", "unknown items"],
)
def test_64_kib_of_tiny_items_take_little_memory_and_time(body):
    tracemalloc.start()
    began = time.thread_time()
    with contextlib.suppress(PeerError):
        read_request(body)
    elapsed = time.thread_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000
    assert elapsed < 1.0


def test_128_contexts_are_negotiated_without_holding_the_loop():
    contexts = list(AllStoragePresentationContexts)[:128]
    body = pynetdicom_request(contexts)[6:]
    # Of the processor, which is all that it needs: a busy machine is no slower at that.
    began = time.thread_time()
    for _ in range(10):
        negotiate(read_request(body), SERVICES, CALLER, max_pdu=131072)
    # pynetdicom's codec needs 17 ms for one.
    assert (time.thread_time() - began) / 10 < 0.012


@pytest.mark.parametrize(
    ("rights", "scp", "taken"),
    [({"retrieve"}, 1, raw.EXPLICIT), ({"store"}, 0, "1.2.840.10008.1.2.4.70")],
)
def test_where_we_send_an_uncompressed_syntax_is_taken(rights, scp, taken):
    caller = replace(CALLER, may=frozenset(rights))
    syntaxes = ["1.2.840.10008.1.2.4.70", raw.IMPLICIT, raw.EXPLICIT]
    user = raw.user_items() + raw.role_item(raw.CT, 1 - scp, scp)
    accepted = decide(raw.context_item(1, raw.CT, syntaxes), caller, user=user)
    assert accepted.contexts[1].transfer_syntax == taken
