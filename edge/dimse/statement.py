"""The DICOM conformance statement, in the outline of PS3.2: the tables of `conformance`, explained.

Owns its words. Promises that it is a function of the code alone: no configuration, nothing of this
machine. The copy beside this file, ``conformance.md``, is what it wrote last; the tests compare the
two, and hold what it claims against a running server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydicom.datadict import keyword_for_tag

from edge import __version__
from edge.cache.commitments import MAX_INSTANCES
from edge.config import Dimse
from edge.dicom.charset import DEFINED_TERMS
from edge.dicom.identifier import IDENTIFIER_SYNTAXES
from edge.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from edge.dicom.instance import Level
from edge.dicom.procedure import TYPE_1
from edge.dicom.worklist_query import ALWAYS
from edge.dimse import conformance, storage_commitment
from edge.dimse.carrying import PLAIN
from edge.dimse.deadline import MIN_BYTES_PER_SECOND
from edge.dimse.framing import MAX_ASSOCIATE_BYTES, AbortReason
from edge.dimse.messages import MAX_COMMAND_BYTES, CommandField, Status
from edge.dimse.mpps import MAX_STEP_BYTES
from edge.dimse.negotiation import APPLICATION_CONTEXT, MAX_CONTEXTS, MAX_SENT_PDU
from edge.dimse.query_model import FIND_MODELS
from edge.dimse.retrieve import MOST_INSTANCES
from edge.dimse.services import MAX_IDENTIFIER_BYTES, Service

__all__ = ["statement"]

_USUAL = Dimse()
_ABORTS = {
    AbortReason.USER: "The service user ends it: a limit, a broken message, this server stops.",
    AbortReason.NOT_SPECIFIED: "A time is over, or the place is needed for another peer.",
    AbortReason.UNRECOGNISED_PDU: "A PDU of unknown type; HTTP and TLS on this port, too.",
    AbortReason.UNEXPECTED_PDU: "A PDU at the wrong time.",
    AbortReason.INVALID_PARAMETER: "A length or an item that can't be.",
}
_REJECTIONS = (
    (1, 1, 1, "It takes PDUs of less than 8 bytes."),
    (1, 1, 2, "Its application context is not DICOM's."),
    (1, 1, 3, "The calling AE title, its address or its certificate is no known peer's."),
    (1, 1, 7, "The called AE title is not this one's."),
    (1, 2, 2, "Its protocol version has no bit 0."),
    (2, 1, 3, "The calling peer is configured by a name whose address can't be found now."),
    (2, 3, 2, "There are as many associations as are allowed, in all or of this peer."),
)
_LIMITS = (
    ("Longest PDU that is received", f"{_USUAL.max_pdu:,} bytes (`dimse.max_pdu`)"),
    ("Longest PDU that is sent", f"{MAX_SENT_PDU:,} bytes, less if the peer takes less"),
    ("Associations at the same time", f"{_USUAL.max_associations} (`dimse.max_associations`)"),
    ("Of one peer at one address", "no limit (`max_associations` of the peer)"),
    ("Presentation contexts of an association", str(MAX_CONTEXTS)),
    ("A-ASSOCIATE-RQ", f"{MAX_ASSOCIATE_BYTES:,} bytes"),
    ("Command set", f"{MAX_COMMAND_BYTES:,} bytes"),
    ("Identifier of a query or retrieval", f"{MAX_IDENTIFIER_BYTES:,} bytes"),
    ("Request of storage commitment", f"{storage_commitment.MAX_BYTES:,} bytes"),
    ("Data set of a performed procedure step", f"{MAX_STEP_BYTES:,} bytes"),
    ("Instance", "64 GiB (`cache.max_instance_bytes`)"),
    ("Instances of one C-MOVE or C-GET", f"{MOST_INSTANCES:,}"),
    (
        "From a connection to its A-ASSOCIATE-RQ (ARTIM)",
        f"{_USUAL.artim_seconds:g} s (`dimse.artim_seconds`)",
    ),
    ("Between two messages", f"{_USUAL.idle_seconds:g} s (`dimse.idle_seconds`)"),
    ("Within a PDU or a message", f"{_USUAL.pdu_seconds:g} s (`dimse.pdu_seconds`)"),
    ("Slowest message, after that time", f"{MIN_BYTES_PER_SECOND} bytes a second"),
)
_MOVED = (
    "A peer asks for it by C-MOVE. What its destination does not take as it is stored is made an "
    "uncompressed one on the way, without loss."
)
_CONFIGURED = (
    ("dimse.ae_title", "AE title of this software"),
    ("dimse.listen", "address and port of plain DICOM"),
    ("dimse.tls_listen", "address and port of DICOM over TLS; none unless it is named"),
    ("dimse.unknown_peers", "what happens to peers that nobody named"),
    ("dimse.max_pdu", "longest PDU that is received"),
    ("dimse.max_associations", "associations at the same time"),
    ("dimse.artim_seconds", "ARTIM time"),
    ("dimse.idle_seconds", "time between two messages"),
    ("dimse.pdu_seconds", "time within a PDU or a message"),
    ("dimse.commit_after", "when storage commitment vouches for an instance"),
    ("dimse.commit_days", "what is not decided by then is reported as not committed"),
    ("dimse.commit_report_days", "how long a report is tried again"),
)


def statement(services: Sequence[Service] | None = None, web: str = "") -> str:
    """Write it, as Markdown.

    Args:
        services: What is offered; None means what a server is given.
        web: The section on web services; empty leaves it out.
    """
    offered = conformance.all_services() if services is None else services
    parts = [*_overview(offered), *_networking(offered), web, *_rest()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _overview(services: Sequence[Service]) -> Iterator[str]:
    yield f"# DICOM conformance statement: edge cache {__version__}"
    yield (
        "In the outline of PS3.2. `edge conformance` writes this text from the tables by which the "
        "software works; its tests hold what it says of SOP classes, roles, operations, transfer "
        "syntaxes and attributes against a running server, and the statuses against the code. "
        "Sizes and times are those of a box on which nothing else is configured."
    )
    yield "## 1 Overview"
    yield (
        "An encrypted cache of DICOM instances for one site. It takes what modalities send, "
        "answers queries, gives instances out, and keeps itself equal with an archive that speaks "
        "DICOMweb. What only the archive has is found and retrieved like the rest (Instance "
        "Availability NEARLINE)."
    )
    yield _table(
        ("Service", "As SCP", "A peer's `may` names"),
        (
            (service.name, ", ".join(conformance.commands_of(service)), _right(service.right))
            for service in services
        ),
    )
    yield _table(
        ("SOP class", "Asks others by", "Role"),
        (
            *(
                (
                    conformance.name_of(asked.proposal.abstract_syntax),
                    ", ".join(asked.commands),
                    "SCU" if asked.proposal.as_scu else "SCP",
                )
                for asked in conformance.ASKED
            ),
            ("Every storage SOP class", "C-STORE, for C-MOVE and C-GET", "SCU"),
        ),
    )


def _networking(services: Sequence[Service]) -> Iterator[str]:
    yield "## 2 Networking"
    yield "### 2.1 Implementation model"
    yield (
        "One application entity, which accepts and requests associations over TCP/IP version 4 and "
        "6, plain and over TLS. All its services are on one AE title and on each of its ports."
    )
    yield "### 2.2 Association policies"
    yield _table(
        ("", ""),
        (
            ("Application context", f"`{APPLICATION_CONTEXT}`"),
            ("Implementation Class UID", f"`{IMPLEMENTATION_CLASS_UID}`"),
            ("Implementation Version Name", f"`{IMPLEMENTATION_VERSION_NAME}`"),
            ("Asynchronous operations", "one invoked, one performed: none"),
            ("User identity, common extended negotiation", "not answered"),
        ),
    )
    yield _table(("Limit", "Usual value"), _LIMITS)
    yield (
        "Acceptance: the called AE title is compared as it is, case included; the calling one "
        "must be a configured or approved peer's that calls from its address and, over TLS, shows "
        "its certificate. Each presentation context is then decided by itself, and refused by "
        "user-rejection (1) where the peer lacks the right, abstract-syntax-not-supported (3), or "
        "transfer-syntaxes-not-supported (4). Of several transfer syntaxes the first proposed one "
        "that is supported is accepted; where this software would send (C-GET), an uncompressed "
        "one before others."
    )
    yield _table(
        ("Result", "Source", "Reason", "A-ASSOCIATE-RJ, when"),
        ((str(a), str(b), str(c), why) for a, b, c, why in _REJECTIONS),
    )
    yield _table(
        ("Source", "Reason", "A-ABORT, when"),
        ((str(reason >> 8), str(reason & 0xFF), why) for reason, why in _ABORTS.items()),
    )
    yield "Initiation: an association is requested when there is something to ask, for that alone."
    yield _table(
        ("Abstract syntax", "UID", "Transfer syntaxes", "Role", "When"),
        (
            *(
                (
                    conformance.name_of(asked.proposal.abstract_syntax),
                    f"`{asked.proposal.abstract_syntax}`",
                    _names(asked.proposal.transfer_syntaxes),
                    "SCU" if asked.proposal.as_scu else "SCP",
                    asked.when,
                )
                for asked in conformance.ASKED
            ),
            (
                "That of each instance",
                "",
                f"that in which it is stored, {_names(PLAIN)}; a context for each",
                "SCU",
                _MOVED,
            ),
        ),
    )
    yield "### 2.3 SOP classes as SCP"
    yield (
        "Identifiers and other small data sets are in one of: "
        f"{_names(sorted(IDENTIFIER_SYNTAXES))}. Every service answers also:"
    )
    yield _statuses(conformance.EVERY_SERVICE)
    for number, service in enumerate(services, 1):
        yield f"#### 2.3.{number} {service.name[:1].upper()}{service.name[1:]}"
        yield from _service(service, services)


def _service(service: Service, services: Sequence[Service]) -> Iterator[str]:
    classes = conformance.sop_classes_of(service, services)
    yield _table(
        ("SOP class", "UID"),
        ((one.name + (" (retired)" if one.is_retired else ""), f"`{one.uid}`") for one in classes),
    )
    yield f"DIMSE services: {', '.join(conformance.commands_of(service))}. Role: SCP."
    if service.transfer_syntaxes is not None:
        yield f"Transfer syntaxes: {_names(conformance.syntaxes_of(service))}."
    elif CommandField.C_STORE in service.handlers:
        yield (
            "Transfer syntaxes: any, private ones too; a data set is kept byte for byte as it "
            "comes. Those with a name:"
        )
        yield _table(
            ("Transfer syntax", "UID"),
            ((conformance.name_of(uid), f"`{uid}`") for uid in conformance.syntaxes_of(service)),
        )
    else:
        yield "Transfer syntaxes: any."
    yield from _particulars(service.name)
    yield _statuses(conformance.STATUSES[service.name])


def _particulars(name: str) -> Iterator[str]:
    if name == "storage":
        yield (
            "Private SOP classes are stored, too: whatever is outside the Standard's own root. So "
            "is what the Standard may yet name below `1.2.840.10008.5.1.4.1.1.`. Level of "
            "conformance: 2 (full). No element is changed, coerced or left out; duplicates are a "
            "success, and of another instance with the same UID both are kept, the later one in "
            "quarantine. A peer that `may` retrieve can take the SCP role of these classes, for a "
            "C-GET."
        )
    elif name == "query":
        yield from _query()
    elif name.startswith("retrieve"):
        yield (
            "Levels are those of the model. Relational retrieval is agreed to by extended "
            "negotiation, and done in any case. A pending answer comes at least every other "
            "second, also while the archive is asked for what is not here; Failed SOP Instance "
            "UID List (0008,0058) says which instances were not stored, Error Comment (0000,0902) "
            "why."
        )
    elif name == "storage commitment":
        yield (
            f"Requests name at most {MAX_INSTANCES:,} instances. The report "
            "comes on the same association if that is still there, else on another one; it is "
            "tried again for days, and over restarts. Retrieve AE Title (0008,0054) is ours. "
            "Failure Reason (0008,1197):"
        )
        yield _table(
            ("Reason", "When"),
            ((f"{reason:04X}", why) for reason, why in conformance.REASONS.items()),
        )
    elif name == "modality worklist":
        always = ", ".join(f"{keyword_for_tag(int(tag, 16))} ({_tag(tag)})" for tag in ALWAYS)
        yield (
            "Matching: single value, list of UIDs, wildcard, range of dates, of times, and of both "
            "together, sequences of one item. Names are matched without regard to case. Always "
            f"matched are {always}; an item without a value does not match. Any other attribute of "
            "PS3.4 Table K.6-1 and of the modules in it tells those items apart that have a value "
            "of it, and leaves out no other. Keys that are none of a worklist are ignored. Every "
            "attribute of an item is returned. It is answered from what sources said last, "
            "while they are away, too. Steps that were begun are left out unless Scheduled "
            "Procedure Step Status (0040,0020) is asked for."
        )
    elif name == "modality performed procedure step":
        needed = ", ".join(f"{keyword_for_tag(int(tag, 16))} ({_tag(tag)})" for tag in TYPE_1)
        yield (
            f"N-CREATE needs a value of: {needed}. What is type 2 and missing is made empty. "
            "N-SET changes all that PS3.4 Table F.7.2-1 lets it. N-GET is of the SOP class for "
            "retrieval. Event reports are not offered."
        )


def _query() -> Iterator[str]:
    yield _table(
        ("Information model", "Levels"),
        ((conformance.name_of(uid), ", ".join(levels)) for uid, levels in FIND_MODELS.items()),
    )
    yield (
        "Matching (PS3.4 C.2.2.2): single value, list of UIDs, universal, wildcard, range of DA, "
        "TM and DT, sequence. Names are matched without regard to case and width. Unique keys "
        "of the levels above may be left out, whether relational queries are agreed to or not. "
        "Extended negotiation:"
    )
    yield _table(
        ("Byte", "Meaning", "Agreed to"),
        (
            (str(byte), what, "yes" if agreed else "no")
            for byte, (what, agreed) in enumerate(conformance.AGREEMENTS.items(), 1)
        ),
    )
    yield (
        "Attributes that answers hold if they are asked for; at each level those of the levels "
        "above it, too, and at IMAGE every other attribute that the instance has. They are "
        "matched, but for those with a star, which are only told. Every answer has the unique "
        "keys, Retrieve AE Title (0008,0054) and Instance Availability (0008,0056)."
    )
    yield _table(("Level", "Attributes"), _attributes())


def _attributes() -> Iterator[tuple[str, str]]:
    told: set[str] = set()
    for level in (Level.PATIENT, Level.STUDY, Level.SERIES):
        here = [row for row in conformance.kept_attributes(level) if row[0] not in told]
        told |= {tag for tag, _, _ in here}
        yield (
            level,
            ", ".join(
                f"{keyword} ({_tag(tag)}){_matched(is_matched)}"
                for tag, keyword, is_matched in here
            ),
        )


def _rest() -> Iterator[str]:
    yield "## 4 Configuration"
    yield _table(
        ("Key", "Usual value", "What"),
        (
            (f"`{key}`", f"`{getattr(_USUAL, key.partition('.')[2]) or 'none'}`", what)
            for key, what in _CONFIGURED
        ),
    )
    yield (
        "Each peer (`[[dimse.peer]]`, or approved by a person) has an AE title, an address, a "
        "port, rights (`may`), and over TLS a certificate."
    )
    yield "## 5 Media interchange"
    yield "None. A folder is read from (`dropfolder.path`), DICOMDIR or not."
    yield "## 6 Character sets"
    yield (
        "Text of queries and answers is compared and written in any of these; answers are in the "
        "set of the request if it holds them, else in ISO_IR 192. Stored instances keep theirs."
    )
    yield ", ".join(f"`{term}`" for term in DEFINED_TERMS) + "."
    yield "## 7 Security"
    yield (
        "TLS 1.2 and 1.3 in both directions, on a port of its own: BCP 195 RFC 9325 TLS Profile "
        "(PS3.15 B.12), and of the modified one (B.13) what OpenSSL has. With `dimse.tls_ca`, "
        "every peer must show a certificate. TLS 1.2 has ECDHE with AES-GCM, ChaCha20-Poly1305 "
        "and AES-CCM alone; keys of 2048 bits (RSA) or 256 (elliptic curves) at the least. "
        "Instances, index and keys are encrypted at rest. User identity negotiation is not used; "
        "rights are those of the AE."
    )
    yield "## 8 Annexes"
    yield (
        "No private attributes, SOP classes, transfer syntaxes or coded terminology of its own. "
        "Instances are what their makers sent; none is created."
    )


def _statuses(statuses: Mapping[Status, str]) -> str:
    return _table(
        ("Status", "Name", "When"),
        (
            (f"{status:04X}", status.name.lower().replace("_", " "), why)
            for status, why in sorted(statuses.items())
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, *rows]
    written = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([written[0], f"|{'---|' * len(head)}", *written[1:]])


def _matched(is_matched: bool) -> str:
    return "" if is_matched else "\\*"


def _right(right: str) -> str:
    return f"`{right}`" if right else "nothing"


def _names(syntaxes: Iterable[str]) -> str:
    return ", ".join(f"{conformance.name_of(uid)} (`{uid}`)" for uid in syntaxes)


def _tag(tag: str) -> str:
    return f"{tag[:4]},{tag[4:]}"
