"""Orthanc as the archive: DICOMweb, and its own REST API where its plugin has nothing to offer.

That plugin answers 405 to DELETE. So an instance is looked up and deleted by the REST API, which
stands one level above DICOMweb (``POST /tools/lookup``, ``DELETE /instances/{id}``).
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from edge import config
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.pace import Way
from edge.cloud.transport import error_of_status, unusable
from edge.dicom.instance import InstanceRef
from edge.errors import InstanceNotFound

__all__ = ["OrthancArchive", "archive_of"]


class _Found(msgspec.Struct):
    """A resource that a lookup found."""

    kind: str = msgspec.field(name="Type")
    name: str = msgspec.field(name="ID")


_DECODER = msgspec.json.Decoder(list[_Found])


class OrthancArchive(DicomwebArchive):
    """``Archive`` over Orthanc's DICOMweb plugin and REST API."""

    async def delete_instance(self, ref: InstanceRef) -> None:
        """See ``Archive``."""
        root = str(self._base).rpartition("/")[0]
        response, body = await self._ask(
            "POST", f"{root}/tools/lookup", content=ref.sop_uid.encode("ascii")
        )
        if error := error_of_status(self.name, response, "looking up what to delete"):
            raise error
        try:
            found = _DECODER.decode(body)
        except msgspec.DecodeError as error:
            raise unusable(self.name, "looking up what to delete: it is no Orthanc") from error
        names = [one.name for one in found if one.kind == "Instance"]
        if not names:
            raise InstanceNotFound(f"archive {self.name} does not have instance {ref.sop_uid}")
        for name in names:
            await self._delete(f"{root}/instances/{quote(name, safe='')}", ref)


def archive_of(settings: config.Archive, way: Way | None = None) -> DicomwebArchive:
    """The driver for an archive, by its kind; *way* is that of the bytes.

    Raises:
        ConfigError: The url or the credentials can't be used.
    """
    driver = OrthancArchive if settings.kind == "orthanc" else DicomwebArchive
    return driver(settings, way=way)
