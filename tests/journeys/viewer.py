"""A DICOMweb client that sees bytes as they are; it shares no code with what it tests.

Reads the edge and Orthanc alike, so that what one gives can be compared with what the other gives.
"""

from __future__ import annotations

import io
import re
import secrets
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import pydicom
from pydicom.filereader import _read_file_meta_info, read_preamble

AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
JSON = "application/dicom+json"


@dataclass(frozen=True, slots=True)
class Part10:
    """A Part 10 file, taken apart."""

    sop_uid: str
    transfer_syntax: str
    dataset: bytes
    """What stands behind preamble and group 0002."""

    @classmethod
    def of(cls, data: bytes) -> Self:
        file = io.BytesIO(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's opinion of its own odd files
            read_preamble(file, force=False)
            meta = _read_file_meta_info(file)
        end = file.tell()
        return cls(str(meta.MediaStorageSOPInstanceUID), str(meta.TransferSyntaxUID), data[end:])

    @classmethod
    def at(cls, path: Path) -> Self:
        return cls.of(path.read_bytes())


class Viewer:
    """A client of one DICOMweb service; *options* are httpx's, such as ``auth``."""

    def __init__(self, base: str, **options: Any) -> None:
        self.http = httpx.AsyncClient(base_url=base, trust_env=False, timeout=60, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def get(self, path: str, accept: str, **params: Any) -> httpx.Response:
        return await self.http.get(path, headers={"Accept": accept}, params=params)

    async def search(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """QIDO-RS; no match is an empty list, whatever the status says."""
        answer = await self.get(path, JSON, **params)
        answer.raise_for_status()
        return answer.json() if answer.content else []

    async def instances(self, path: str) -> dict[str, Part10]:
        """WADO-RS: instances as they are stored, by their SOP Instance UID."""
        found = [Part10.of(part) for part in parts(await self._got(path, AS_STORED))]
        by_uid = {one.sop_uid: one for one in found}
        assert len(by_uid) == len(found), "an instance came twice"
        return by_uid

    async def metadata(self, path: str) -> list[dict[str, Any]]:
        return (await self._got(f"{path}/metadata", JSON)).json()

    async def frames(self, path: str, numbers: Iterable[int]) -> list[bytes]:
        listed = ",".join(map(str, numbers))
        return list(parts(await self._got(f"{path}/frames/{listed}", FRAMES)))

    async def store(self, *files: bytes, path: str = "/studies") -> httpx.Response:
        """STOW-RS."""
        boundary = secrets.token_hex(16)
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body = b"".join(head + data + b"\r\n" for data in files) + f"--{boundary}--".encode()
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        headers = {"Content-Type": kind, "Accept": JSON}
        return await self.http.post(path, content=body, headers=headers)

    async def _got(self, path: str, accept: str) -> httpx.Response:
        answer = await self.get(path, accept)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer


def parts(answer: httpx.Response) -> list[bytes]:
    """The bodies of a multipart answer."""
    return parts_of(answer.headers["Content-Type"], answer.content)


def parts_of(content_type: str, body: bytes) -> list[bytes]:
    """The bodies of the parts of a multipart message (RFC 2046 5.1.1)."""
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    assert boundary, content_type
    mark = f"--{boundary[1]}".encode()
    head, *pieces = (b"\r\n" + body).split(b"\r\n" + mark)
    assert not head.strip()
    assert pieces.pop().startswith(b"--"), "the multipart message was cut"
    return [piece.partition(b"\r\n\r\n")[2] for piece in pieces]


def identity(data: bytes) -> pydicom.Dataset:
    """The UIDs of a Part 10 file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
        return pydicom.dcmread(io.BytesIO(data), specific_tags=wanted)


def as_sent(paths: Iterable[Path]) -> dict[str, Part10]:
    """Files by their SOP Instance UID, as `Viewer.instances` gives what comes back."""
    return {one.sop_uid: one for one in map(Part10.at, paths)}
