"""Fixtures of hostile input: an edge of its own, watched while it is mistreated.

After every test the service must be alive, answer at once, and hold no more memory than `SPARE`
above what it held before; pixels are decoded in processes of their own, which count, too.

What was seen in the field, and where it is tried (`test_list.py` keeps the list true):

    paths out of UIDs
        test_an_instance_is_not_named_by_what_is_no_uid
        test_a_path_leads_nowhere_else
        test_a_uid_that_is_none_is_refused_or_found_nowhere
        test_names_in_an_archive_lead_nowhere
    UIDs of 65 characters, with NUL
        test_an_instance_is_not_named_by_what_is_no_uid
        test_a_uid_that_is_none_is_refused_or_found_nowhere
    gzip bombs
        test_a_gzip_bomb_of_rubbish
        test_a_gzip_bomb_in_a_gzip_bomb
        test_a_body_that_is_packed_small_is_not_unpacked_large
    deflated bombs
        test_a_deflate_bomb_as_an_instance
    ZIP bombs
        test_what_is_bad_is_put_aside_and_stops_nothing
        test_a_zip_archive_is_no_body
    unbounded Content-Length
        test_content_length_beyond_every_limit_is_refused_before_it_is_read
        test_content_length_that_is_none
        test_a_body_that_was_promised_and_does_not_come
    dimensions that overflow
        test_a_description_that_the_pixels_do_not_bear_out
        test_a_code_stream_that_claims_more_than_it_is
    palettes that overflow
        test_a_palette_that_is_shorter_than_it_says
        test_a_segmented_palette_that_leads_astray
    offset tables that lead astray
        test_fragments_and_offset_tables_that_lead_astray
    an A-ASSOCIATE-RQ of 65 KB
        test_an_association_request_of_65_kilobytes_takes_no_gigabyte
        test_an_association_request_that_claims_more_is_not_waited_for
    PDV lengths past the PDU
        test_a_pdv_that_does_not_fit_ends_the_association
        test_a_crowd_of_every_kind_slows_others_by_no_more_than_twice
    the last fragment never comes
        test_a_crowd_of_every_kind_slows_others_by_no_more_than_twice
        test_an_identifier_of_a_hundred_megabytes_is_not_kept
    one byte a second
        test_a_crowd_of_every_kind_slows_others_by_no_more_than_twice
        test_two_hundred_who_send_a_byte_and_wait
        test_a_body_that_comes_a_byte_at_a_time_keeps_nobody_from_an_answer
    200 idle associations
        test_a_crowd_of_every_kind_slows_others_by_no_more_than_twice
    A-ABORT or RST at every PDV
        test_a_crowd_of_every_kind_slows_others_by_no_more_than_twice
        test_a_hundred_requests_that_break_off
    sequences nested thousands deep
        test_sequences_nested_thousands_deep
        test_sequences_within_sequences_have_an_end
        test_a_report_that_nests_or_refers_without_end
    undefined lengths without an end
        test_undefined_lengths_without_an_end
        test_sequences_within_sequences_have_an_end
    one UID twice at once
        test_the_same_instance_on_many_associations_at_once_is_one
        test_the_same_instance_from_many_at_once
        test_other_bytes_under_one_name_at_once
    4 GB declared, 10 bytes sent
        test_an_element_that_claims_four_gigabytes_and_has_ten_bytes
        test_a_text_that_claims_four_gigabytes
        test_a_crowd_of_every_kind_slows_others_by_no_more_than_twice
    a boundary that does not bound
        test_boundaries_that_do_not_bound
    JSON of 100 MB
        test_json_of_a_hundred_megabytes
        test_json_of_a_hundred_megabytes_is_not_read
    XML with entities
        test_xml_with_entities_or_without_end
    DNS rebinding
        test_a_page_that_a_browser_takes_for_the_box_reads_nothing
        test_a_page_of_another_site_reads_nothing
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.bench.watch import Watch
from tests.conformance.running import running_edge, service_of

SPARE = 300e6
"""Bytes: generous beside what is sent and claimed here, which is gigabytes."""


@pytest.fixture(scope="session")
def edge(tmp_path_factory):
    with running_edge(tmp_path_factory.mktemp("edge")) as server:
        yield server


@pytest.fixture(scope="session")
def service(edge):
    with service_of(edge) as made:
        yield made


@pytest.fixture(autouse=True)
def _it_survives(edge, service):
    """Alive, quick, and within its memory."""
    pid = edge.pid
    held = _resident(pid)
    with Watch(pid) as watch:
        yield
        began = time.monotonic()
        answer = service.get("/studies", "application/dicom+json", PatientID="nobody at all")
        took = time.monotonic() - began
    assert edge.pid == pid
    assert answer.status_code in (200, 204), answer.text
    assert took < 10, "it took long to answer afterwards"
    more = watch.peak_bytes - held
    assert more < SPARE, f"it held {more / 1e6:.0f} MB more"


def _resident(pid: int) -> int:
    """Bytes that a process holds now."""
    fields = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    )
    return int(fields["VmRSS"].split()[0]) * 1024


class Wire:
    """A connection on which anything may be sent."""

    def __init__(self, port: int, authorization: str) -> None:
        # From another address than the service's own clients: a cap on one host is not theirs.
        source = ("127.0.0.2", 0)
        self._socket = socket.create_connection(("127.0.0.1", port), 30, source_address=source)
        self.head = f"Host: 127.0.0.1:{port}\r\nAuthorization: {authorization}\r\n"

    def send(self, data: bytes) -> bool:
        """Whether the other side still took it."""
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def status(self) -> int:
        """Of the answer; 0 if the connection was closed without one."""
        answer = b""
        try:
            while b"\r\n" not in answer and len(answer) < 4096:
                data = self._socket.recv(4096)
                if not data:
                    break
                answer += data
        except ConnectionError:
            pass
        words = answer.split(b" ", 2)
        return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/1.") else 0

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def wire(edge):
    """Makes such connections."""
    made: list[Wire] = []

    def connect() -> Wire:
        made.append(Wire(edge.web.port, edge.web.authorization))
        return made[-1]

    yield connect
    for one in made:
        one.close()
