"""The conformance statement is true: what its text says is tried on a whole box."""

from __future__ import annotations

import ast
import asyncio
import re
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import dictionary_VR
from pynetdicom import AE, build_role
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

import edge.dimse
from edge.config import Dimse
from edge.dicom.charset import DEFINED_TERMS
from edge.dicom.identifier import read_identifier, write_identifier
from edge.dimse import conformance
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.proposal import Proposal
from edge.dimse.requestor import Dialer
from edge.others import Peer
from tests import samples
from tests.dimse import raw
from tests.journeys import box
from tests.journeys.test_dimse_destinations import MODALITY

FOLDER = Path(edge.dimse.__file__).parent
TEXT = (FOLDER / "conformance.md").read_text(encoding="utf-8")
ALL = ("store", "query", "retrieve", "commit", "worklist")
JPEG, PRIVATE = "1.2.840.10008.1.2.4.50", "1.2.3.4.5.6"
SECTIONS = {
    found[1].lower(): found[2]
    for found in re.finditer(
        r"^#### 2\.3\.\d+ (.*?)$(.*?)(?=^#### |^## )", TEXT, re.MULTILINE | re.DOTALL
    )
}
SERVICES = {service.name.lower(): service for service in conformance.all_services()}


def rows(text: str, head: str) -> list[list[str]]:
    """The cells of the table that begins with these words."""
    found = re.search(rf"^\| {re.escape(head)}.*\n\|[-|]+\n((?:\|.*\n)*)", text, re.MULTILINE)
    if found is None:
        return []
    return [
        [cell.strip(" `") for cell in line[2:-2].split(" | ")] for line in found[1].splitlines()
    ]


def classes(text: str) -> list[str]:
    return [row[1] for row in rows(text, "SOP class | UID")]


def syntaxes(text: str) -> list[str]:
    listed = [row[1] for row in rows(text, "Transfer syntax | UID")]
    line = re.search(r"^Transfer syntaxes: (.*)$", text, re.MULTILINE)[1]
    return listed or re.findall(r"`([0-9.]+)`", line) or [raw.IMPLICIT, raw.EXPLICIT, JPEG, PRIVATE]


def commands(text: str) -> list[str]:
    return re.search(r"^DIMSE services: (.*?)\. Role: SCP\.$", text, re.MULTILINE)[1].split(", ")


@asynccontextmanager
async def whole_box(tmp_path):
    """With all rights for the peer WIRE."""
    peer = Peer("WIRE", may=ALL)
    async with box.running(box.settings(tmp_path / "box", dimse={"peer": (peer,)})) as running:
        yield running


async def accepted(port, contexts) -> set[tuple[str, str]]:
    """Of abstract and transfer syntaxes, each proposed in a context of its own."""
    dialer, found = Dialer(Dimse(ae_title="WIRE")), set()
    for some in _by_128(contexts):
        proposals = [Proposal(abstract, (syntax,)) for abstract, syntax in some]
        async with dialer.associate("127.0.0.1", port, "EDGE", proposals) as association:
            found |= {
                (one.abstract_syntax, one.transfer_syntax) for one in association.contexts.values()
            }
    return found


def test_every_service_has_its_section():
    assert SECTIONS.keys() == SERVICES.keys()
    assert all(classes(text) and syntaxes(text) for text in SECTIONS.values())
    assert conformance.STATUSES.keys() == {service.name for service in SERVICES.values()}


async def test_every_class_is_accepted_in_every_syntax_that_is_listed_and_no_other(tmp_path):
    listed = {
        (uid, syntax)
        for text in SECTIONS.values()
        for uid in classes(text)
        for syntax in syntaxes(text)
    }
    assert len(listed) > 10_000
    named = {uid for uid, _ in listed}
    known = {uid for uid, (_, kind, *_) in UID_dictionary.items() if kind.endswith("SOP Class")}
    unlisted = {(uid, raw.IMPLICIT) for uid in known - named}
    unlisted |= {
        (uid, syntax)
        for text in SECTIONS.values()
        if "any" not in re.search(r"^Transfer syntaxes: (.*)$", text, re.MULTILINE)[1]
        for uid in classes(text)
        for syntax in {JPEG, PRIVATE, *conformance.named_syntaxes()} - set(syntaxes(text))
    }
    assert len(unlisted) > 600
    private = {(uid, raw.IMPLICIT) for uid in ("1.2.3.4", "1.2.840.10008.5.1.4.1.1.9999")}
    private |= {("1.2.840.10008.5.1.4.1.1.2", PRIVATE)}
    async with whole_box(tmp_path) as running:
        found = await accepted(running.dimse_port, sorted(listed))
        assert listed - found == set()
        assert await accepted(running.dimse_port, sorted(unlisted)) == set()
        assert await accepted(running.dimse_port, sorted(private)) == private


async def test_of_each_service_only_the_operations_that_are_listed_are_performed(tmp_path):
    fields = [one for one in CommandField if one is not CommandField.C_CANCEL]
    async with whole_box(tmp_path) as running:
        for name, text in SECTIONS.items():
            performed = set()
            for uid in classes(text)[:4]:
                async with raw.connected(running.dimse_port) as peer:
                    context = raw.context_item(1, uid, syntaxes(text)[:1])
                    await peer.associate(context, calling="WIRE")
                    for number, field in enumerate(fields, 1):
                        peer.send(raw.p_data(raw.fragment(1, 3, _bare(uid, field, number))))
                        if await peer.status() != Status.UNRECOGNISED_OPERATION:
                            performed.add(field.name.replace("_", "-"))
                    await peer.release()
            assert performed == set(commands(text)), name


def _bare(uid, field, number):
    """A request without a data set."""
    return raw.command_set(
        raw.uid_element(0x0002, uid),
        raw.uid_element(0x0003, uid),
        raw.short(0x0100, field),
        raw.short(0x0110, number),
        raw.short(0x0800, 0x0101),
    )


async def test_roles_and_extended_negotiation_are_as_they_are_said(tmp_path):
    firsts = {name: classes(text)[0] for name, text in SECTIONS.items()}

    def ask(port):
        ae = AE("WIRE")
        items = []
        for uid in firsts.values():
            ae.add_requested_context(uid, [raw.IMPLICIT])
            items.append(build_role(uid, scu_role=True, scp_role=True))
            item = SOPClassExtendedNegotiation()
            item.sop_class_uid, item.service_class_application_information = uid, b"\1" * 7
            items.append(item)
        association = ae.associate("127.0.0.1", port, ae_title="EDGE", ext_neg=items)
        scp = {str(one.abstract_syntax): one.as_scp for one in association.accepted_contexts}
        scu = {str(one.abstract_syntax): one.as_scu for one in association.accepted_contexts}
        extended = {str(k): v for k, v in association.acceptor.sop_class_extended.items()}
        association.release()
        return scu, scp, extended

    async with whole_box(tmp_path) as running:
        scu, scp, extended = await asyncio.to_thread(ask, running.dimse_port)
    assert scu == dict.fromkeys(firsts.values(), True)
    assert scp == {uid: name == "storage" for name, uid in firsts.items()}
    agreed = bytes(row[2] == "yes" for row in rows(SECTIONS["query"], "Byte | Meaning"))
    assert len(agreed) == 7
    assert extended == {
        firsts["query"]: agreed,
        firsts["retrieve by c-move"]: b"\1",
        firsts["retrieve by c-get"]: b"\1",
    }


@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES"])
async def test_attributes_are_told_and_matched_as_they_are_listed(level, tmp_path):
    listed = {row[0]: row[1] for row in rows(SECTIONS["query"], "Level | Attributes")}
    levels = ("PATIENT", "STUDY", "SERIES")[: ("PATIENT", "STUDY", "SERIES").index(level) + 1]
    found = {
        "".join(tag): bool(star)
        for one in levels
        for *tag, star in re.findall(r"\(([0-9A-F]{4}),([0-9A-F]{4})\)(\\\*)?", listed[one])
    }
    root = "1.2.840.10008.5.1.4.1.2.1.1"
    unique = {"00100020": "CT-1", "0020000D": "1.2", "0020000E": "1.2"}
    part = samples.packaged_file("CT_small.dcm")

    async def status(association, tags, value=None):
        """The first one, of a query for everything that answers with these."""
        asked = {"00080052": {"vr": "CS", "Value": [level]}}
        for tag in tags - {"00080005"}:
            vr = dictionary_VR(int(tag, 16)).split(" ")[0]
            asked[tag] = {"vr": vr} if value is None else {"vr": vr, "Value": [value]}
        for tag in list(unique)[: len(levels) - 1]:
            asked[tag] = {"vr": "LO" if tag == "00100020" else "UI", "Value": [unique[tag]]}
        values = {Element.AFFECTED_SOP_CLASS_UID: root, Element.PRIORITY: 0}
        data = write_identifier(asked, raw.EXPLICIT)
        answers = association.dialogue.requests(1, CommandField.C_FIND, values, data)
        first, *_ = [one.status async for one in answers]
        return first

    async with whole_box(tmp_path) as running:
        await running.appliance.admission.store_instance(
            samples.chunks(await asyncio.to_thread(part.read_bytes)), MODALITY
        )
        ((patient, study, series),) = await running.rows(
            "SELECT patient_id, study_uid, series_uid FROM studies s JOIN series e"
            " ON e.study_id = s.id"
        )
        unique = {"00100020": patient, "0020000D": study, "0020000E": series}
        proposals = [Proposal(root, (raw.EXPLICIT,))]
        dialer = Dialer(Dimse(ae_title="WIRE"))
        async with dialer.associate(
            "127.0.0.1", running.dimse_port, "EDGE", proposals
        ) as association:
            assert await status(association, set(found)) == Status.PENDING
            others = {"00280010", "00080008"}
            for other in others:
                assert other not in found
                assert await status(association, {other}) == Status.PENDING_KEYS_NOT_SUPPORTED
            starred = {tag for tag, star in found.items() if star} - {"00080005"}
            assert {"00080054"} <= starred
            assert await status(association, {"00080054"}, "X") == (
                Status.PENDING_KEYS_NOT_SUPPORTED
            )


def test_the_statuses_of_a_service_are_those_in_its_code():
    """All that its modules name, and no others."""
    modules = {
        "verification": ["verification"],
        "storage": ["storage"],
        "query": ["find", "query_model"],
        "retrieve by C-MOVE": ["move", "retrieve", "progress"],
        "retrieve by C-GET": ["get", "retrieve", "progress"],
        "storage commitment": ["storage_commitment"],
        "modality worklist": ["worklist"],
        "modality performed procedure step": ["mpps"],
    }
    assert modules.keys() == conformance.STATUSES.keys()
    assert set(_statuses("association")) == {*conformance.EVERY_SERVICE, Status.SUCCESS}
    for name, files in modules.items():
        used = {status for file in files for status in _statuses(file)}
        said = set(conformance.STATUSES[name])
        assert used - {*conformance.EVERY_SERVICE} <= said, name
        assert said <= used, name
        text = SECTIONS[name.lower()]
        assert [int(row[0], 16) for row in rows(text, "Status")] == sorted(said)


def _statuses(module):
    tree = ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))
    return [
        Status[node.attr]
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Status"
    ]


def test_whoever_asks_others_is_listed():
    asking = {
        path.stem
        for path in FOLDER.glob("*.py")
        if re.search(r"dialer\.(call|associate)\(", path.read_text(encoding="utf-8"))
    }
    assert asking == {"carrying", "commitment_reports", "echo", "outbox", "worklist_poll"}
    proposed = {row[1] for row in rows(TEXT, "Abstract syntax | UID")}
    assert proposed == {"", *(one.proposal.abstract_syntax for one in conformance.ASKED)}


SAMPLES = "äčħķжقדαüกœｱäłćđκ中愛丂한"


def _by_128(contexts):
    contexts = list(contexts)
    return [contexts[start : start + 128] for start in range(0, len(contexts), 128)]


@pytest.mark.parametrize("term", DEFINED_TERMS)
def test_each_character_set_is_read_and_written(term):
    assert f"`{term}`" in TEXT
    charset = ["", term] if term.startswith("ISO 2022") else [term]
    texts = [f"A{char}" for char in SAMPLES]
    kept = []
    for text in texts:
        data = write_identifier({"00081030": {"vr": "LO", "Value": [text]}}, raw.EXPLICIT, charset)
        found = read_identifier(data, raw.EXPLICIT)
        assert found["00081030"]["Value"] == [text]
        said = [one or "" for one in found.get("00080005", {}).get("Value", [])]
        if said and said[-1] == term:
            kept.append(text)
    assert kept or term == "ISO 2022 IR 6"
