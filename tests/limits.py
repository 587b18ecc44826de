"""What comes in, how large at the most, and which tests show what happens then.

One entry for each line of the table in the manual: the numbers that stand in it, as the code has
them, and tests by file and name.
"""

from __future__ import annotations

from edge import config
from edge.access import throttle
from edge.admin import asking, unlocking
from edge.cache import associations, bundle, commitments, parts, strangers
from edge.cache import worklist as listed
from edge.cloud import answers, changefeed, http_archive, retry, token_endpoint
from edge.crypto import courier
from edge.dicom import scheduled
from edge.dicom.builder import ScanLimits
from edge.dicom.multipart import MultipartLimits
from edge.dicomweb import listener, presentation, search, store, store_model
from edge.dimse import connections, deadline, framing, messages, mpps, negotiation, services
from edge.dimse import storage_commitment as committing
from edge.dropfolder import media, tree, worklist, zipped
from edge.machine import former_name

KIB, MIB, GIB = 1024, 1024**2, 1024**3
_DIMSE, _PIXELS, _CACHE = config.Dimse(), config.Pixels(), config.Cache()
_HTTP, _ZIP, _SCAN = listener.Limits(), zipped.ZipLimits(), ScanLimits()

LINES: dict[str, tuple[tuple[float, ...], tuple[str, ...]]] = {
    "HTTP connections": (
        (listener._MOST, throttle.IPV6_NETWORK),
        (
            "dicomweb/test_listener.py::test_the_oldest_idle_connection_makes_room",
            "dicomweb/test_listener.py::test_one_host_never_has_more_than_its_half",
            "hostile/test_requests.py::test_two_hundred_who_send_a_byte_and_wait",
        ),
    ),
    "TLS handshake, head of a request": (
        (listener._HANDSHAKE_SECONDS, _HTTP.head_seconds),
        (
            "dicomweb/test_listener.py::test_a_head_that_does_not_come_ends_the_connection",
            "dicomweb/test_listener.py::test_what_is_no_handshake_ends_quietly",
        ),
    ),
    "Request line, header field": (
        (8190, 128),
        ("hostile/test_requests.py::test_a_request_line_and_header_fields_without_end",),
    ),
    "Who takes nothing of an answer": (
        (_HTTP.stall_seconds,),
        (
            "dicomweb/test_listener.py::test_a_reader_who_takes_nothing_is_given_up",
            "hostile/test_requests.py::test_two_hundred_who_ask_and_do_not_read",
        ),
    ),
    "JSON to `/api/v1`": (
        (asking.LONGEST / MIB, asking.SECONDS, asking.STRANGERS_SECONDS),
        (
            "admin/test_asking.py::test_a_body_that_is_too_long_is_refused_also_if_it_was_compressed_to_little",
            "admin/test_asking.py::test_a_body_that_does_not_come_ends_with_a_408_and_holds_no_connection",
            "admin/test_asking.py::test_json_that_is_nested_too_deeply_is_the_callers_fault",
        ),
    ),
    "Form of a locked box's page": (
        (unlocking._MOST / KIB, asking.STRANGERS_SECONDS),
        (
            "admin/test_unlocking.py::test_what_is_no_form_or_too_long_or_empty_is_refused",
            "admin/test_unlocking.py::test_who_sends_a_form_that_does_not_come_keeps_nobody_from_trying",
        ),
    ),
    "STOW-RS, a request": (
        (store_model.MAX_INSTANCES, store._IDLE_SECONDS),
        (
            "dicomweb/test_store.py::test_a_body_has_so_many_parts_and_no_more",
            "dicomweb/test_store.py::test_a_body_that_is_too_long_is_refused_before_it_is_read",
            "hostile/test_bodies.py::test_a_gzip_bomb_of_rubbish",
        ),
    ),
    "STOW-RS, the head of a part": (
        (MultipartLimits().header / KIB,),
        (
            "dicom/test_multipart.py::test_headers_without_end_are_refused",
            "hostile/test_bodies.py::test_parts_with_heads_without_end",
        ),
    ),
    "STOW-RS, metadata": (
        (store_model.MAX_METADATA / MIB, store_model.MAX_INSTANCES),
        (
            "dicomweb/test_store_metadata.py::test_metadata_is_bounded_before_it_is_understood",
            "dicomweb/test_store_model.py::test_nesting_without_end_is_refused",
            "hostile/test_metadata.py::test_json_of_a_hundred_megabytes",
        ),
    ),
    "Searches": (
        (search.MAX_RESULTS, search._MOST_BYTES / MIB),
        ("hostile/test_requests.py::test_a_search_for_too_much_or_nothing",),
    ),
    "Pictures that are asked for": (
        (presentation.MOST_PIXELS,),
        ("hostile/test_rendered.py::test_a_picture_that_is_too_large_or_none",),
    ),
    "DICOM associations": (
        (_DIMSE.max_associations, connections.MAX_UNASSOCIATED),
        (
            "dimse/test_association.py::test_one_association_too_many_is_refused_for_now",
            "dimse/test_association.py::test_those_who_never_associate_are_bounded_and_keep_nobody_out",
        ),
    ),
    "A-ASSOCIATE-RQ": (
        (framing.MAX_ASSOCIATE_BYTES / KIB, negotiation.MAX_CONTEXTS, _DIMSE.artim_seconds),
        (
            "dimse/test_upper_layer.py::test_a_huge_request_is_refused_by_its_header",
            "dimse/test_association.py::test_the_artim_timer_closes_a_silent_connection",
        ),
    ),
    "PDU": (
        (_DIMSE.max_pdu / KIB, _DIMSE.pdu_seconds, deadline.MIN_BYTES_PER_SECOND),
        (
            "dimse/test_deadline.py::test_a_message_may_be_slow_but_not_for_ever",
            "dimse/test_association.py::test_a_trickling_peer_does_not_slow_the_others",
        ),
    ),
    "Command set": (
        (messages.MAX_COMMAND_BYTES / KIB,),
        ("dimse/test_association.py::test_an_endless_command_takes_bounded_memory",),
    ),
    "Identifier of a query": (
        (services.MAX_IDENTIFIER_BYTES / MIB,),
        (
            "dicom/test_identifier.py::test_what_is_not_deflated_is_cut_off_or_a_bomb_is_refused",
            "hostile/test_dimse.py::test_an_identifier_of_a_hundred_megabytes_is_not_kept",
        ),
    ),
    "Storage commitment": (
        (committing.MAX_BYTES / MIB, commitments.MAX_INSTANCES),
        ("dimse/test_storage_commitment.py::test_a_data_set_without_end_is_not_collected",),
    ),
    "Performed procedure step": (
        (mpps.MAX_STEP_BYTES / MIB,),
        ("dimse/test_mpps.py::test_hostile_data_sets_leave_nothing_and_hurt_nobody",),
    ),
    "Instance, by any door": (
        (_CACHE.max_instance_bytes / GIB,),
        (
            "dimse/test_association.py::test_a_data_set_without_end_is_stopped_at_the_limit",
            "hostile/test_bodies.py::test_an_element_that_claims_four_gigabytes_and_has_ten_bytes",
        ),
    ),
    "Data set": (
        (_SCAN.depth, _SCAN.memory / MIB, _SCAN.inflated / GIB),
        (
            "hostile/test_bodies.py::test_sequences_nested_thousands_deep",
            "hostile/test_bodies.py::test_a_deflate_bomb_as_an_instance",
            "dicom/test_scanner.py::test_a_bomb_takes_no_memory_and_ends",
        ),
    ),
    "Frame, decoded": (
        (_PIXELS.frame_bytes / MIB, _PIXELS.seconds),
        (
            "pixels/test_workers.py::test_a_frame_beyond_the_budget_is_refused_before_a_process_is_started",
            "pixels/test_workers.py::test_a_frame_that_takes_too_much_work_is_ended",
            "hostile/test_pixels.py::test_a_code_stream_that_claims_more_than_it_is",
        ),
    ),
    "Answer of a pixel worker": (
        (256,),
        (
            "pixels/test_answers.py::test_an_answer_without_end_or_sense_takes_no_memory",
            "pixels/test_answers.py::test_what_was_not_asked_is_not_believed",
        ),
    ),
    "Drop folder": (
        (tree._MOST, tree._MAX_DEPTH),
        (
            "dropfolder/test_watcher.py::test_more_files_than_are_listed_at_once_come_in_one_after_the_other",
            "dropfolder/test_tree.py::test_a_folder_deeper_than_anyone_needs_is_not_entered",
        ),
    ),
    "ZIP archive": (
        (
            _ZIP.entries,
            zipped._DIRECTORY_BYTES / MIB,
            _ZIP.total_bytes / GIB,
            _ZIP.ratio,
            _ZIP.free_bytes / GIB,
        ),
        (
            "dropfolder/test_zipped.py::test_a_bomb_is_refused_before_it_is_unpacked",
            "dropfolder/test_zipped.py::test_an_archive_with_too_many_entries_is_refused",
            "dropfolder/test_zipped.py::test_a_huge_directory_is_not_read_into_memory",
        ),
    ),
    "DICOMDIR": (
        (media.MAX_DICOMDIR / MIB,),
        ("dropfolder/test_media.py::test_a_dicomdir_that_is_none_lists_nothing_that_is_there",),
    ),
    "Question for a name on the LAN (multicast DNS)": (
        (former_name._MOST,),
        (
            "machine/test_former_name.py::test_what_can_not_be_understood_is_refused",
            "machine/test_former_name.py::test_pointers_that_lead_to_pointers_are_followed_so_far",
        ),
    ),
    "Worklist file": (
        (worklist._MOST_BYTES / KIB, listed.MOST_STEPS),
        ("dropfolder/test_worklist.py::test_broken_files_are_named_and_stop_no_other",),
    ),
    "Item of a worklist": (
        (scheduled._MOST_BYTES / KIB, scheduled._DEEPEST),
        (
            "dicom/test_scheduled.py::test_nesting_beyond_measure_is_cut",
            "dicom/test_scheduled.py::test_what_is_no_item_is_refused",
        ),
    ),
    "Courier's disk": (
        (bundle._MAX_STATEMENT / MIB, parts.MOST_ENTRIES, courier._MOST_RECIPIENTS),
        ("cache/test_bundle.py::test_what_is_no_file_or_too_long_is_not_read",),
    ),
    "Answer of an archive": (
        (answers.MAX_ANSWER / MIB, changefeed._MAX_PAGE / MIB, http_archive._MAX_WORDS / KIB),
        (
            "cloud/test_answers.py::test_a_body_beyond_the_limit_is_not_read_to_its_end",
            "cloud/test_answers.py::test_nesting_without_end_is_cut_or_no_answer",
            "cloud/test_dicomweb.py::test_an_answer_that_is_too_large_is_the_archives_mistake_not_the_lines",
        ),
    ),
    "Answer of a token endpoint": (
        (token_endpoint._MAX_ANSWER / KIB,),
        ("cloud/test_token_endpoint.py::test_a_huge_answer_is_not_read",),
    ),
    "`Retry-After`": (
        (retry.LONGEST_RETRY_AFTER / 3600,),
        ("cloud/test_retry.py::test_any_retry_after_is_understood_or_ignored",),
    ),
    "Strangers": (
        (strangers.MOST, associations.MOST),
        (
            "dimse/test_association.py::test_a_flood_of_strangers_is_listed_and_logged_within_bounds",
            "dimse/test_casebook.py::test_ten_thousand_strangers_stay_bounded_and_quick",
        ),
    ),
}
