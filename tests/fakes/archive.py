"""An archive that misbehaves on demand: a real HTTP server that speaks DICOMweb out of memory.

Owns what it was sent, a log of what it was asked, and a script of faults. By default it is a good
archive with the habits of Orthanc: it keeps the first copy of a UID and says success. What it is
told to do next stands in ``faults``; what it always does to an instance, in ``refusals``. Parses
requests with other code than the edge writes them with. Listens on loopback only.
"""

from __future__ import annotations

import io
import json
import socket
import time
from collections import Counter, UserDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import pydicom
from aiohttp import BodyPartReader, web
from pydicom.filereader import read_partial

from edge.dicom.xml_model import to_xml
from tests.fakes.faults import BOUNDARY, Fault, Refusal, answer, hang_up

__all__ = ["FakeArchive", "Fault", "Held", "Refusal", "held"]

_STUDY = (
    "00080020 00080030 00080050 00080090 00081030 00100010 00100020 00100030 00100040 "
    "0020000D 00200010".split()
)
_SERIES = [*_STUDY, "00080060", "0008103E", "0020000E", "00200011"]
_INSTANCE = [*_SERIES, "00080016", "00080018", "00200013", "00280008"]
_UIDS = (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)
_READ = [int(tag, 16) for tag in ("00080005", *_INSTANCE)]


@dataclass(frozen=True)
class Held:
    """An instance that it has."""

    part10: bytes
    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str
    attributes: Mapping[str, Any]
    """What searches and metadata show of it."""
    listed_from: float
    """When searches begin to show it; monotonic seconds."""


class _Attributes(UserDict[str, Any]):
    """Of an instance; understood when somebody looks."""

    def __init__(self, part10: bytes) -> None:
        self._part10 = part10

    @cached_property
    def data(self) -> dict[str, Any]:  # type: ignore[override]
        dataset = pydicom.dcmread(
            io.BytesIO(self._part10), stop_before_pixels=True, specific_tags=_READ
        )
        elements = dataset.to_json_dict(suppress_invalid_tags=True)
        return {tag: element for tag, element in elements.items() if tag in _INSTANCE}

    def __or__(self, other: Any) -> Any:
        return self.data | other


def held(part10: bytes, *, listed_from: float = 0.0) -> Held:
    """Understand an instance, with pydicom."""
    dataset = read_partial(
        io.BytesIO(part10), lambda tag, _vr, _length: tag > _UIDS[-1], specific_tags=list(_UIDS)
    )
    return Held(
        part10,
        str(dataset.StudyInstanceUID),
        str(dataset.SeriesInstanceUID),
        str(dataset.SOPInstanceUID),
        str(dataset.SOPClassUID),
        _Attributes(part10),
        listed_from,
    )


def _whole(instance: Held) -> dict[str, Any]:
    """All attributes but pixels, as metadata has them."""
    dataset = pydicom.dcmread(io.BytesIO(instance.part10), stop_before_pixels=True)
    return dataset.to_json_dict(suppress_invalid_tags=True)


class FakeArchive:
    """One archive. ``async with FakeArchive() as archive``, or ``start`` and ``stop``."""

    def __init__(self) -> None:
        self.instances: dict[str, Held] = {}
        self.faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        """By kind of request: "store", "search", "retrieve", "metadata", "delete"."""
        self.refusals: dict[str, Refusal] = {}
        """By SOP Instance UID."""
        self.rule: Callable[[pydicom.Dataset], Refusal | None] | None = None
        """What it does not take, by the instance itself."""
        self.poison: set[str] = set()
        """SOP Instance UIDs on which it hangs up, as a server that crashes does."""
        self.broken: set[str] = set()
        """SOP Instance UIDs whose retrieval, alone or with others, breaks off."""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and query of each request."""
        self.moments: list[float] = []
        """When each of them came; POSIX seconds."""
        self.batches: list[list[str]] = []
        """SOP Instance UIDs of each store request that was read to its end."""
        self.repeated: Counter[str] = Counter()
        """How often each SOP Instance UID came although it was there, as it came."""
        self.lengths: list[int | None] = []
        """Content-Length of each store request."""
        self.existing = "keep"
        """Of the same UID with other bytes: "keep" the first, "replace" it, or "conflict"."""
        self.listing_delay = 0.0
        """Seconds from a store to the first search that shows the instance."""
        self.cap: int | None = None
        """Rows of a search at the most."""
        self.ignores_offset = False
        self.ignores_dates = False
        self.counts = True
        """Whether a search for studies gives counts."""
        self.authorization: str | None = None
        """What the header of that name must be."""
        self.xml = False
        """Answer in XML, whatever is asked for."""
        self.max_request: int | None = None
        """Bytes of a store request; a longer one is answered with 413."""
        self.more_routes: list[web.RouteDef] = []
        """What it answers beside DICOMweb; see ``tests.fakes.azure``."""
        self.host = "127.0.0.1"
        self.port = 0
        self._last: dict[str, tuple[int, Any, Any]] = {}
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Base of its DICOMweb service."""
        return f"http://{self.host}:{self.port}/dicom-web"

    async def start(self, listening: socket.socket | None = None) -> None:
        """Listen, on the same port as before if there was one, or with a socket that does."""
        application = web.Application(client_max_size=1024**4, middlewares=[self._guard])
        root = "/dicom-web"
        application.add_routes(
            [
                web.post(f"{root}/studies", self._store),
                web.get(f"{root}/studies", self._search_studies),
                web.get(f"{root}/studies/{{study}}/series", self._search_series),
                web.get(
                    f"{root}/studies/{{study}}/series/{{series}}/instances",
                    self._search_instances,
                ),
                web.get(f"{root}/studies/{{study}}/metadata", self._metadata),
                web.get(f"{root}/studies/{{study}}/series/{{series}}/metadata", self._metadata),
                web.get(f"{root}/studies/{{study}}", self._retrieve),
                web.get(f"{root}/studies/{{study}}/series/{{series}}", self._retrieve),
                web.get(
                    f"{root}/studies/{{study}}/series/{{series}}/instances/{{sop}}",
                    self._retrieve,
                ),
                web.delete(
                    f"{root}/studies/{{study}}/series/{{series}}/instances/{{sop}}", self._delete
                ),
            ]
        )
        application.add_routes(self.more_routes)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site: web.BaseSite
        if listening is None:
            site = web.TCPSite(self._runner, self.host, self.port)
        else:
            site = web.SockSite(self._runner, listening)
        await site.start()
        self.host, self.port = self._runner.addresses[0][:2]

    async def stop(self) -> None:
        """Stop listening; what it has stays."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def put(self, part10: bytes) -> Held:
        """Have an instance that came from somewhere else."""
        instance = held(part10)
        self.instances[instance.sop_uid] = instance
        return instance

    @property
    def received(self) -> Counter[str]:
        """How often each SOP Instance UID came in a store request."""
        return Counter(uid for batch in self.batches for uid in batch)

    def asked(self, kind: str) -> int:
        """How many requests had this in their path, or as their method."""
        return sum(kind == method or kind in path for method, path, _ in self.requests)

    # Requests ------------------------------------------------------------------------------------

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.query)))
        self.moments.append(time.time())
        if self.authorization not in (None, request.headers.get("Authorization")):
            return web.Response(status=401, headers={"WWW-Authenticate": "Basic"})
        answer: web.StreamResponse = await handler(request)
        return answer

    def _fault(self, kind: str) -> Fault:
        return self.faults[kind].popleft() if self.faults[kind] else Fault()

    async def _answer(
        self, request: web.Request, kind: str, fault: Fault, good: web.Response
    ) -> web.StreamResponse:
        """The good answer, or what the fault makes of it."""
        body, headers = good.body, good.headers.copy()
        last = self._last.get(kind)
        if fault.replay and last is not None:
            good = web.Response(status=last[0], body=last[1], headers=last[2])
        else:
            self._last[kind] = (good.status, body, headers)
        return await answer(request, fault, good)

    async def _store(self, request: web.Request) -> web.StreamResponse:
        fault = self._fault("store")
        self.lengths.append(request.content_length)
        if fault.cut_request is not None:
            await request.content.readexactly(fault.cut_request)
            hang_up(request)
            return web.Response(status=500)
        if self.max_request is not None and (request.content_length or 0) > self.max_request:
            return web.Response(status=413, text="too large")
        parts, unreadable = [], 0
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            assert part.headers["Content-Type"] == "application/dicom"
            part10 = bytes(await part.read())
            try:
                parts.append(held(part10, listed_from=time.monotonic() + self.listing_delay))
            except Exception:  # noqa: BLE001 - whatever pydicom says, it is not DICOM
                unreadable += 1
        if self.poison & {instance.sop_uid for instance in parts}:
            hang_up(request)
            return web.Response(status=500)
        self.batches.append([instance.sop_uid for instance in parts])
        stored, failed = [], []
        for instance in parts:
            known = self.instances.get(instance.sop_uid)
            if known is not None and known.part10 == instance.part10:
                self.repeated[instance.sop_uid] += 1
            refusal = fault.refuse.get(instance.sop_uid) or self._refusal(instance)
            if refusal is not None:
                failed.append(_failed_item(instance, refusal))
                continue
            new = self.existing == "replace" or known is None
            if new and not fault.lose and (fault.status is None or fault.commit):
                self.instances[instance.sop_uid] = instance
            stored.append(_stored_item(instance, self.url))
        stored = stored[: len(stored) - fault.omit]
        status = 400 if unreadable else 200 if not failed else 202 if stored else 409
        status = fault.says or status
        said: dict[str, Any] = {}
        if stored and not fault.silent:
            said["00081199"] = {"vr": "SQ", "Value": stored}
        if failed and not fault.silent:
            said["00081198"] = {"vr": "SQ", "Value": failed}
        good = self._xml(said, status) if self.xml else _json(said, status)
        return await self._answer(request, "store", fault, good)

    def _refusal(self, instance: Held) -> Refusal | None:
        known = self.instances.get(instance.sop_uid)
        if self.existing == "conflict" and known is not None and known.part10 != instance.part10:
            return Refusal(45070)
        if refusal := self.refusals.get(instance.sop_uid):
            return refusal
        if self.rule is None:
            return None
        return self.rule(pydicom.dcmread(io.BytesIO(instance.part10), stop_before_pixels=True))

    # Searches ------------------------------------------------------------------------------------

    def _listed(self, **uids: str) -> list[Held]:
        now = time.monotonic()
        among = [self.instances.get(uids["sop"])] if "sop" in uids else self.instances.values()
        return [
            instance
            for instance in among
            if instance is not None
            and instance.listed_from <= now
            and uids.get("study") in (None, instance.study_uid)
            and uids.get("series") in (None, instance.series_uid)
            and uids.get("sop") in (None, instance.sop_uid)
        ]

    async def _rows(
        self, request: web.Request, rows: Iterable[dict[str, Any]]
    ) -> web.StreamResponse:
        offset = 0 if self.ignores_offset else int(request.query.get("offset", 0))
        limit = int(request.query.get("limit", 10**9))
        page = list(rows)[offset:][: min(limit, self.cap or limit)]
        if self.xml:
            good = self._xml_rows(page)
        else:
            good = _json(page, 200) if page else web.Response(status=204)
        return await self._answer(request, "search", self._fault("search"), good)

    async def _search_studies(self, request: web.Request) -> web.StreamResponse:
        studies: dict[str, list[Held]] = {}
        for instance in self._listed(**_only(study=request.query.get("StudyInstanceUID"))):
            studies.setdefault(instance.study_uid, []).append(instance)
        rows = []
        for instances in studies.values():
            row = {
                tag: instances[0].attributes[tag]
                for tag in _STUDY
                if tag in instances[0].attributes
            }
            if self.counts:
                series = {instance.series_uid: instance for instance in instances}
                modalities = {_first(instance, "00080060") for instance in series.values()} - {""}
                row["00080061"] = {"vr": "CS", "Value": sorted(modalities)}
                row["00201206"] = {"vr": "IS", "Value": [len(series)]}
                row["00201208"] = {"vr": "IS", "Value": [len(instances)]}
            patient = request.query.get("PatientID", _first(instances[0], "00100020"))
            if patient != _first(instances[0], "00100020"):
                continue
            dates = None if self.ignores_dates else request.query.get("StudyDate")
            if _in_range(_first(instances[0], "00080020"), dates):
                rows.append(row)
        return await self._rows(request, rows)

    async def _search_series(self, request: web.Request) -> web.StreamResponse:
        series: dict[str, list[Held]] = {}
        for instance in self._listed(study=request.match_info["study"]):
            series.setdefault(instance.series_uid, []).append(instance)
        return await self._rows(
            request,
            (
                {tag: it[0].attributes[tag] for tag in _SERIES if tag in it[0].attributes}
                | {"00201209": {"vr": "IS", "Value": [len(it)]}}
                for it in series.values()
            ),
        )

    async def _search_instances(self, request: web.Request) -> web.StreamResponse:
        found = self._listed(
            study=request.match_info["study"],
            series=request.match_info["series"],
            **_only(sop=request.query.get("SOPInstanceUID")),
        )
        return await self._rows(request, (dict(instance.attributes) for instance in found))

    # Retrieval -----------------------------------------------------------------------------------

    async def _metadata(self, request: web.Request) -> web.StreamResponse:
        found = self._listed(**request.match_info)
        good = _json([_whole(it) for it in found], 200) if found else web.Response(status=404)
        return await self._answer(request, "metadata", self._fault("metadata"), good)

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        fault = self._fault("retrieve")
        found = self._listed(**request.match_info)
        if self.broken & {instance.sop_uid for instance in found}:
            fault = Fault(cut_answer=100)
        if "transfer-syntax=*" not in request.headers.get("Accept", ""):
            return web.Response(status=406, text="would transcode")
        if not found:
            return await self._answer(request, "retrieve", fault, web.Response(status=404))
        body = b"".join(
            f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            + instance.part10
            + b"\r\n"
            for instance in found
        )
        good = web.Response(
            body=body + f"--{BOUNDARY}--".encode(),
            headers={
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
            },
        )
        return await self._answer(request, "retrieve", fault, good)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        fault = self._fault("delete")
        there = self.instances.get(request.match_info["sop"])
        if there is None:
            return await self._answer(request, "delete", fault, web.Response(status=404))
        if fault.status is None:
            del self.instances[there.sop_uid]
        return await self._answer(request, "delete", fault, web.Response(status=204))

    # XML -----------------------------------------------------------------------------------------

    def _xml(self, dataset: dict[str, Any], status: int) -> web.Response:
        return web.Response(
            status=status, body=to_xml(dataset), content_type="application/dicom+xml"
        )

    def _xml_rows(self, rows: list[dict[str, Any]]) -> web.Response:
        body = b"".join(
            f"--{BOUNDARY}\r\nContent-Type: application/dicom+xml\r\n\r\n".encode()
            + to_xml(row)
            + b"\r\n"
            for row in rows
        )
        content_type = f'multipart/related; type="application/dicom+xml"; boundary={BOUNDARY}'
        return web.Response(
            body=body + f"--{BOUNDARY}--".encode(), headers={"Content-Type": content_type}
        )


def _only(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _first(instance: Held, tag: str) -> str:
    values = instance.attributes.get(tag, {}).get("Value", [])
    return str(values[0]) if values else ""


def _in_range(date: str, wanted: str | None) -> bool:
    """PS3.4 C.2.2.2.5: an absent date matches no range."""
    if wanted is None:
        return True
    earliest, dash, latest = wanted.partition("-")
    latest = latest or ("99991231" if dash else earliest)
    return bool(date) and earliest <= date <= latest


def _json(value: Any, status: int) -> web.Response:
    return web.Response(
        status=status, body=json.dumps(value).encode(), content_type="application/dicom+json"
    )


def _stored_item(instance: Held, url: str) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [instance.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [instance.sop_uid]},
        "00081190": {"vr": "UR", "Value": [f"{url}/studies/{instance.study_uid}"]},
    }


def _failed_item(instance: Held, refusal: Refusal) -> dict[str, Any]:
    comment = "00091001" if refusal.private else "00000902"
    item = {
        "00081150": {"vr": "UI", "Value": [instance.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [instance.sop_uid]},
        "00081197": {"vr": "US", "Value": [refusal.reason]},
    }
    return item | ({comment: {"vr": "LO", "Value": [refusal.comment]}} if refusal.comment else {})
