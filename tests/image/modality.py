"""A modality that sends a study, and knows image by image what was acknowledged.

Owns its connection alone: a library's threads see a cut for a minute as a peer that thinks.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from tests.dimse.raw import associate_body, context_item, fragment, p_data, pdu, store_command

__all__ = ["stored"]

_PATIENCE = 60.0
"""Seconds that it waits for an answer."""
_PIECE = 16000
_CONTEXT = 1
_ACCEPTED, _REJECTED, _DATA, _RELEASE, _ABORTED = 2, 3, 4, 5, 7
_STATUS = 0x0900


def stored(
    port: int, study: Sequence[Dataset], *, calling: str, seconds: float = _PATIENCE
) -> Iterator[bool]:
    """Send a study over one association; of each image, whether it was acknowledged as stored.

    Args:
        port: Of loopback.
        study: Images of one SOP class, in one transfer syntax: explicit VR, little endian.
        calling: AE title of who sends; it calls EDGE.
        seconds: That one answer may take.

    Raises:
        ConnectionError: It is not let in, or it was cut off.
        TimeoutError: No answer came.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as line:
        syntax = study[0].file_meta.TransferSyntaxUID
        offer = context_item(_CONTEXT, study[0].SOPClassUID, [syntax])
        try:
            _put(line, pdu(1, associate_body(offer, calling=calling)))
            kind, _ = _next(line)
        except OSError:
            kind = _REJECTED
        if kind != _ACCEPTED:
            raise ConnectionRefusedError("it is not let in")
        for number, image in enumerate(study, 1):
            command = store_command(
                image.SOPInstanceUID, sop_class=image.SOPClassUID, message_id=number
            )
            data = encode(image, is_implicit_vr=False, is_little_endian=True) or b""
            _put(line, p_data(fragment(_CONTEXT, 3, command)))
            for start in range(0, len(data), _PIECE):
                last = 2 if start + _PIECE >= len(data) else 0
                _put(line, p_data(fragment(_CONTEXT, last, data[start : start + _PIECE])))
            yield _status(line) == 0
        _put(line, pdu(_RELEASE, bytes(4)))
        _next(line)


def _put(line: socket.socket, data: bytes) -> None:
    try:
        line.sendall(data)
    except TimeoutError:
        raise TimeoutError("nothing was taken any more") from None
    except OSError:
        raise ConnectionResetError("the connection was cut") from None


def _next(line: socket.socket) -> tuple[int, bytes]:
    """Type and body of the next PDU."""
    kind, length = struct.unpack(">BxI", _exactly(line, 6))
    body = _exactly(line, length)
    if kind == _ABORTED:
        raise ConnectionAbortedError("the box ended it")
    return kind, body


def _exactly(line: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        try:
            piece = line.recv(length - len(data))
        except TimeoutError:
            raise TimeoutError("no answer came") from None
        except OSError:
            piece = b""
        if not piece:
            raise ConnectionResetError("the connection was cut")
        data += piece
    return data


def _status(line: socket.socket) -> int:
    """That of the response that comes next, in however many PDUs."""
    command, is_last = b"", False
    while not is_last:
        kind, body = _next(line)
        if kind != _DATA:
            raise ConnectionAbortedError("the box ended it")
        while body:
            length, _, control = struct.unpack_from(">IBB", body)
            command += body[6 : 4 + length]
            body = body[4 + length :]
            is_last = bool(control & 2)
    offset = 0
    while offset < len(command):
        _, number, size = struct.unpack_from("<HHI", command, offset)
        if number == _STATUS:
            return int.from_bytes(command[offset + 8 : offset + 8 + size], "little")
        offset += 8 + size
    raise ConnectionAbortedError("the box answered without a status")
