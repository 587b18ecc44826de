"""The workstation: asks by C-FIND over one association, and counts what comes back.

Lean and blocking, so that what is measured is the server; the same for all servers. Promises that
a search which ends otherwise than by success is an error and never a figure.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from edge.dicom.identifier import write_identifier
from edge.dicom.query import vr_of
from edge.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN
from edge.dimse.messages import PENDING, CommandField, Element, build_command
from edge.dimse.proposal import Proposal, request_pdu
from tests.bench.servers import CALLING, Server
from tests.bench.workplace import BenchError

__all__ = ["Finder", "identifier"]

_STUDY_ROOT: Final = "1.2.840.10008.5.1.4.1.2.2.1"
_RETURNED: Final = (
    "00080020 00080030 00080050 00080061 00080090 00081030 00100010 00100020 00100030 00100040 "
    "0020000D 00200010 00201206 00201208"
).split()
"""What a workstation's list of studies shows."""
_ASSOCIATE_AC, _P_DATA = 2, 4
_PDU, _PDV = struct.Struct(">BxI"), struct.Struct(">IBB")
_STATUS: Final = struct.pack("<HHI", 0, Element.STATUS, 2)


def identifier(**matched: str) -> bytes:
    """A search for studies.

    Args:
        matched: Values by tag, such as ``t00100020="4711"``.
    """
    asked: dict[str, Any] = {tag: {"vr": vr_of(tag)} for tag in _RETURNED}
    asked["00080052"] = {"vr": "CS", "Value": ["STUDY"]}
    for name, value in matched.items():
        vr = vr_of(name[1:])
        asked[name[1:]] = {"vr": vr, "Value": [{"Alphabetic": value} if vr == "PN" else value]}
    return write_identifier(asked, IMPLICIT_VR_LITTLE_ENDIAN)


class Finder:
    """One association; entering makes it.

    Args:
        server: Whom to ask.
        seconds: How long nothing may come.
    """

    def __init__(self, server: Server, *, seconds: float = 120.0) -> None:
        self._server = server
        self._seconds = seconds
        self._received = bytearray()
        self._message_id = 0

    def __enter__(self) -> Self:
        """Associate.

        Raises:
            BenchError: The server will not.
        """
        address = ("127.0.0.1", self._server.dicom_port)
        self._socket = socket.create_connection(address, timeout=self._seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        proposal = Proposal(_STUDY_ROOT, (IMPLICIT_VR_LITTLE_ENDIAN,))
        called = self._server.ae_title
        self._socket.sendall(
            request_pdu([proposal], calling=CALLING, called=called, max_pdu=128 * 1024)
        )
        kind, _ = self._read_pdu()
        if kind != _ASSOCIATE_AC:
            self._socket.close()
            raise BenchError(f"{self._server.name} accepts no association for searches")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.sendall(_PDU.pack(5, 4) + bytes(4))
        self._socket.close()

    def find(self, asked: bytes) -> tuple[int, float]:
        """How many answers came, and in how many seconds from the request to the last of them.

        Raises:
            BenchError: It did not end by success.
        """
        self._message_id += 1
        values: Mapping[Element, int | str | bytes] = {
            Element.AFFECTED_SOP_CLASS_UID: _STUDY_ROOT,
            Element.COMMAND_FIELD: CommandField.C_FIND,
            Element.MESSAGE_ID: self._message_id,
            Element.PRIORITY: 0,
            Element.COMMAND_DATA_SET_TYPE: 1,
        }
        message = _pdu(build_command(values), 3) + _pdu(asked, 2)
        count = 0
        begun = time.perf_counter()
        self._socket.sendall(message)
        while True:
            kind, body = self._read_pdu()
            if kind != _P_DATA:
                raise BenchError(f"{self._server.name} ended the association")
            at = 0
            while at < len(body):
                length, _, control = _PDV.unpack_from(body, at)
                if control & 1:
                    # From behind: the message ID may look like it.
                    found = body.rindex(_STATUS, at, at + 4 + length) + len(_STATUS)
                    status = int.from_bytes(body[found : found + 2], "little")
                    if status not in PENDING:
                        if status:
                            raise BenchError(f"{self._server.name}: status {status:04X}")
                        return count, time.perf_counter() - begun
                    count += 1
                at += length + 4

    def _read_pdu(self) -> tuple[int, bytes]:
        received = self._received
        while True:
            if len(received) >= _PDU.size:
                kind, length = _PDU.unpack_from(received)
                end = _PDU.size + length
                if len(received) >= end:
                    body = bytes(received[_PDU.size : end])
                    del received[:end]
                    return kind, body
            piece = self._socket.recv(256 * 1024)
            if not piece:
                raise BenchError(f"{self._server.name} closed the connection")
            received += piece


def _pdu(data: bytes, control: int) -> bytes:
    """All of a message's command or data set as one PDU."""
    return _PDU.pack(_P_DATA, len(data) + 6) + _PDV.pack(len(data) + 2, 1, control) + data
