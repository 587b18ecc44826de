"""Orthanc as the archive: DICOMweb, and its own REST API where its plugin has nothing to offer.

That plugin answers 405 to DELETE. So an instance is looked up and deleted by the REST API, which
stands one level above DICOMweb (``POST /tools/lookup``, ``DELETE /instances/{id}``). There is its
log of changes, too (``GET /changes``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from edge import others
from edge.cloud.archive import Dataset
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.feed import Action, Change, Page
from edge.cloud.pace import Way
from edge.cloud.transport import error_of_status, unusable
from edge.dicom.instance import InstanceRef
from edge.dicom.uids import is_uid
from edge.errors import CloudRefused, InstanceNotFound

__all__ = ["OrthancArchive", "OrthancFeed", "archive_of", "rooted"]

_ROOT = "/dicom-web"
"""Of its plugin, unless its settings say otherwise."""
_LIMIT = 100
"""Changes a page. Orthanc gives no more unless it is asked for more."""
_MAX_PAGE = 4 * 1024**2
_QUIET = 20
"""Empty pages after which the end of the log is asked for by itself."""
_DOING = "reading the log of changes"


class _Found(msgspec.Struct):
    """A resource that a lookup found."""

    kind: str = msgspec.field(name="Type")
    name: str = msgspec.field(name="ID")


_DECODER = msgspec.json.Decoder(list[_Found])


class _Entry(msgspec.Struct):
    """One entry of the log."""

    number: int = msgspec.field(name="Seq")
    what: str = msgspec.field(name="ChangeType")
    name: str = msgspec.field(name="ID")
    date: str = msgspec.field(name="Date", default="")


class _Log(msgspec.Struct):
    """A page of the log."""

    entries: list[_Entry] = msgspec.field(name="Changes")
    done: bool = msgspec.field(name="Done")
    last: int = msgspec.field(name="Last")


class _Resource(msgspec.Struct):
    """An instance, a series or a study."""

    name: str = msgspec.field(name="ID")
    tags: dict[str, object] = msgspec.field(name="MainDicomTags", default_factory=dict)
    series: str = msgspec.field(name="ParentSeries", default="")
    study: str = msgspec.field(name="ParentStudy", default="")

    def uid(self, keyword: str) -> str:
        """Of its level; empty if it has none."""
        value = self.tags.get(keyword)
        return value if isinstance(value, str) and is_uid(value) else ""


_LOG = msgspec.json.Decoder(_Log)
_RESOURCES = msgspec.json.Decoder(list[_Resource])


class OrthancArchive(DicomwebArchive):
    """``Archive`` over Orthanc's DICOMweb plugin and REST API."""

    async def search_studies(
        self, params: Mapping[str, str] | None = None, *, limit: int, offset: int = 0
    ) -> list[Dataset]:
        """See ``Archive``.

        Its REST API has a ``/studies``, too, which understands nothing of this: who names that is
        told so, and is not sent into the log.
        """
        try:
            return await super().search_studies(params, limit=limit, offset=offset)
        except CloudRefused as error:
            if not self.route.url.path.rstrip("/").endswith(_ROOT):
                error.hint = (
                    f"check the url: of an Orthanc it ends with {_ROOT}, as in"
                    f" {rooted(str(self.route.url))}, unless its"
                    " DICOMweb plugin has another Root"
                )
            raise

    async def delete_instance(self, ref: InstanceRef) -> None:
        """See ``Archive``."""
        root = _root(self)
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


class OrthancFeed:
    """``Feed`` of Orthanc's log of changes.

    Only NewInstance is looked at. An instance that is stored over another of its UID has it once
    more, and nothing tells it from one that came for the first time. Entries vanish with what they
    are about, so a gap in the numbers means nothing, and a delete is not to be seen.

    Args:
        archive: Is asked.
        clock: POSIX seconds.
    """

    kind = "orthanc"
    logs_deletes = False

    def __init__(self, archive: DicomwebArchive, *, clock: Callable[[], float] = time.time) -> None:
        self._archive = archive
        self._clock = clock
        self._root = _root(archive)
        self._quiet = 0

    async def latest(self) -> str:
        """See ``Feed``."""
        return str((await self._read({"last": ""})).last)

    async def after(self, position: str) -> Page | None:
        """See ``Feed``."""
        if not position.isdecimal():
            return None
        since = int(position)
        log = await self._read({"since": position, "limit": str(_LIMIT)})
        if not log.entries:
            # Not every version says there how far the log goes, rather than what it was asked.
            self._quiet += 1
            if log.last >= since and self._quiet % _QUIET == 0:
                log = await self._read({"last": ""})
            return None if log.last < since else Page((), position, more=False)
        self._quiet = 0
        behind = max(since, *(entry.number for entry in log.entries), log.last)
        stored = {entry.name: entry for entry in log.entries if entry.what == "NewInstance"}
        refs = await self._refs(stored)
        ahead = await self._ahead() if refs else 0.0
        changes = tuple(
            Change(Action.STORED, ref, _moment(entry.date) - ahead)
            for name, entry in stored.items()
            if (ref := refs.get(name)) is not None
        )
        return Page(changes, str(behind), more=not log.done)

    async def _read(self, query: dict[str, str]) -> _Log:
        """A page of the log."""
        log, _ = await self._archive.ask(
            _DOING, f"{self._root}/changes", _LOG.decode, query, limit=_MAX_PAGE
        )
        if log is None:
            raise unusable(self._archive.name, f"{_DOING}: it is no Orthanc")
        return log

    async def _ahead(self) -> float:
        """How many seconds its clock is ahead of ours; no answer of it has a Date."""
        now, _ = await self._archive.ask(
            "asking what time it is", f"{self._root}/tools/now", lambda text: text.decode("ascii")
        )
        there = _moment(now or "")
        return there - self._clock() if there else 0.0

    async def _refs(self, names: Collection[str]) -> dict[str, InstanceRef]:
        """The instances of these names; those that are gone meanwhile are left out."""
        if not names:
            return {}
        instances = await self._resources(names, "Instance")
        series = {one.name: one for one in await self._resources(names, "Series")}
        studies = {one.name: one for one in await self._resources(names, "Study")}
        refs: dict[str, InstanceRef] = {}
        for one in instances:
            within = series.get(one.series)
            above = studies.get(within.study) if within is not None else None
            if within is None or above is None:
                continue
            uids = (
                above.uid("StudyInstanceUID"),
                within.uid("SeriesInstanceUID"),
                one.uid("SOPInstanceUID"),
            )
            if all(uids):
                refs[one.name] = InstanceRef(*uids)
        return refs

    async def _resources(self, names: Collection[str], level: str) -> list[_Resource]:
        """Instances, or what they belong to."""
        wanted = {"Resources": list(names), "Level": level, "Metadata": False}
        found, _ = await self._archive.ask(
            _DOING,
            f"{self._root}/tools/bulk-content",
            _RESOURCES.decode,
            content=msgspec.json.encode(wanted),
            limit=_MAX_PAGE,
        )
        return found or []


def _root(archive: DicomwebArchive) -> str:
    """Of the REST API."""
    return archive.base.rpartition("/")[0]


def rooted(url: str) -> str:
    """With the path of the plugin at its end, in the place of one that was meant to be it."""
    whole = url.rstrip("/")
    before, _, last = whole.rpartition("/")
    is_meant = last.lower().startswith("dicom") and not before.endswith("/")  # no host
    return (before if is_meant else whole) + _ROOT


def _moment(date: str) -> float:
    """When it was by Orthanc's clock; as long ago as can be if it does not say."""
    try:
        return datetime.strptime(date.strip(), "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def archive_of(settings: others.Archive, way: Way | None = None) -> DicomwebArchive:
    """The driver for an archive, by its kind; *way* is that of the bytes.

    Raises:
        ConfigError: The url or the credentials can't be used.
    """
    driver = OrthancArchive if settings.kind == "orthanc" else DicomwebArchive
    return driver(settings, way=way)
