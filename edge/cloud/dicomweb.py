"""An archive behind DICOMweb (PS3.18): STOW-RS, QIDO-RS and WADO-RS over httpx.

Owns the requests and what becomes of their answers. Promises that memory stays bounded whatever
the size of an instance, in both directions; that a store answer is read on 200, 202, 409, 400 and
any other status that has one; that errors are ours. Never stores, sends or asks anything twice by
itself, but for a GET or DELETE that hit a connection which the archive had just closed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from urllib.parse import quote

import httpx

from edge.cloud.answers import MAX_ANSWER, AnswerTooLarge, datasets_in, read_body, words_in
from edge.cloud.archive import Dataset, Outgoing, StoreOutcome, StoreResult, first_value
from edge.cloud.decoding import content_of
from edge.cloud.http_archive import HEADS, HttpArchive
from edge.cloud.pace import steady
from edge.cloud.paging import all_rows
from edge.cloud.portal import intercepted
from edge.cloud.second_look import second_look
from edge.cloud.store_answer import results_of
from edge.cloud.store_body import StoreBody
from edge.cloud.transport import error_of_status, unusable
from edge.cloud.words import is_of_tls_for_good
from edge.dicom.instance import InstanceRef
from edge.dicom.multipart import boundary_of, parse_media_type, read_parts
from edge.errors import (
    CloudRefused,
    CloudUnreachable,
    InstanceNotFound,
    MultipartError,
)

__all__ = ["DicomwebArchive"]

_JSON = {"Accept": "application/dicom+json"}
# transfer-syntax=*: as stored; without it an archive may transcode (PS3.18 8.7.3.5.2).
# identity: DICOM hardly shrinks, and an archive that compresses it waits for the whole of it.
_DICOM = {
    "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*',
    "Accept-Encoding": "identity",
}
# Number of Study Related Series and Instances, Modalities in Study, Study Description: some
# archives give them only on request.
_STUDY_FIELDS = tuple(
    ("includefield", tag) for tag in ("00201206", "00201208", "00080061", "00081030")
)
_SERIES_UID, _SOP_UID = "0020000E", "00080018"
# Bytes. Decoded, an answer takes some ten times its length: a page of studies, a list of series or
# instances (some 15,000 rows).
_MAX_PAGE, _MAX_LIST = 4 * 1024**2, 16 * 1024**2
_MISSING = frozenset({404, 410})
_DELETES_NOTHING = frozenset({405, 501})
# Statuses without a data set that are about the service, not about what was sent.
_ABOUT_THE_INSTANCES = frozenset({400, 409, 413, 422})
_ASK_FIRST = frozenset({500, 502, 504})


class DicomwebArchive(HttpArchive):
    """``Archive`` over DICOMweb; made and closed as every ``HttpArchive``."""

    def _path(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> str:
        path = f"/studies/{quote(study_uid, safe='')}"
        if series_uid is not None:
            path += f"/series/{quote(series_uid, safe='')}"
        if sop_uid is not None:
            path += f"/instances/{quote(sop_uid, safe='')}"
        return path

    # STOW-RS, PS3.18 10.5 ------------------------------------------------------------------------

    async def store_instances(self, instances: Sequence[Outgoing]) -> list[StoreResult]:
        """See ``Archive``. UNKNOWN for all if the connection died after the request began.

        Raises:
            CloudRefused: Also with 413 when several instances together are too large.
        """
        if not instances:
            return []
        refs = [instance.ref for instance in instances]
        body = StoreBody(instances, self._way)
        request = self._client().build_request(
            "POST",
            f"{self._base}/studies",
            content=body,
            headers=_JSON | body.headers,
            timeout=httpx.Timeout(
                connect=self._timeouts.connect,
                write=self._timeouts.write,
                read=self._timeouts.store,
                pool=None,
            ),
        )
        with self._busy("up"):
            return await self._stored(refs, request, body)

    async def _stored(
        self, refs: Sequence[InstanceRef], request: httpx.Request, body: StoreBody
    ) -> list[StoreResult]:
        self._count("up", HEADS)
        async with aclosing(body):
            try:
                response = await self._client().send(request, stream=True)
                async with aclosing(response):
                    answer = await read_body(response)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError):
                with self._translated():
                    raise
            except (httpx.HTTPError, httpx.StreamError, ssl.SSLError) as error:
                if is_of_tls_for_good(error):  # TLS 1.3 refuses a certificate after the handshake.
                    with self._translated():
                        raise
                return [
                    StoreResult(ref, StoreOutcome.UNKNOWN, text=type(error).__name__)
                    for ref in refs
                ]
        self._count("down", HEADS + response.num_bytes_downloaded)
        return await self._store_results(refs, response, answer)

    async def _store_results(
        self, refs: Sequence[InstanceRef], response: httpx.Response, body: bytes
    ) -> list[StoreResult]:
        status = response.status_code
        datasets = await datasets_in(response, body)
        if datasets:
            merged = {tag: element for dataset in datasets for tag, element in dataset.items()}
            return results_of(refs, merged, status=status)
        error = error_of_status(self.name, response, "storing")
        alone = len(refs) == 1
        if (
            error is None
            or status in _ASK_FIRST
            or (status in _ABOUT_THE_INSTANCES and (alone or status != 413))
        ):
            return results_of(refs, None, status=status, text=words_in(body))
        raise error

    # QIDO-RS, PS3.18 10.6 ------------------------------------------------------------------------

    async def search_studies(
        self, params: Mapping[str, str] | None = None, *, limit: int, offset: int = 0
    ) -> list[Dataset]:
        """See ``Archive``."""
        query = [*(params or {}).items(), *_STUDY_FIELDS, ("limit", str(limit))]
        if offset:
            query.append(("offset", str(offset)))
        return await self._datasets("/studies", query, "searching studies", limit=_MAX_PAGE)

    async def search_series(self, study_uid: str) -> list[Dataset]:
        """See ``Archive``."""
        path = f"{self._path(study_uid)}/series"
        return await self._all(path, [], _SERIES_UID, "listing series")

    async def search_instances(
        self, study_uid: str, series_uid: str, sop_uid: str | None = None
    ) -> list[Dataset]:
        """See ``Archive``."""
        query = [] if sop_uid is None else [("SOPInstanceUID", sop_uid)]
        path = f"{self._path(study_uid, series_uid)}/instances"
        found = await self._all(path, query, _SOP_UID, "listing instances")
        # An archive may ignore a parameter that it does not know.
        return [it for it in found if sop_uid in (None, first_value(it, _SOP_UID))]

    async def _all(
        self, path: str, query: list[tuple[str, str]], key: str, doing: str
    ) -> list[Dataset]:
        async def read(offset: int) -> list[Dataset]:
            paged = [*query, ("offset", str(offset))] if offset else query
            return await self._datasets(path, paged, doing, limit=_MAX_LIST, may_be_missing=True)

        return await all_rows(read, key)

    async def retrieve_metadata(
        self, study_uid: str, series_uid: str | None = None
    ) -> list[Dataset]:
        """See ``Archive``."""
        path = f"{self._path(study_uid, series_uid)}/metadata"
        found = await self._datasets(
            path, [], "reading metadata", limit=MAX_ANSWER, may_be_missing=True
        )
        if not found:
            raise InstanceNotFound(f"archive {self.name} has no metadata at {path}")
        return found

    async def _datasets(
        self,
        path: str,
        query: list[tuple[str, str]],
        doing: str,
        *,
        limit: int,
        may_be_missing: bool = False,
    ) -> list[Dataset]:
        """The data sets that a GET answers; none for 204, and for 404 if that may be."""
        try:
            response, body = await self._read(path, query, doing, limit)
        except CloudUnreachable as unreachable:
            better = await second_look(
                unreachable, self.name, self.route, patience=self._timeouts.connect
            )
            raise better from better.__cause__
        if response.status_code == 204 or (may_be_missing and response.status_code in _MISSING):
            return []
        if error := error_of_status(self.name, response, doing, body):
            raise error
        datasets = await datasets_in(response, body)
        if datasets is not None:
            return datasets
        if error := intercepted(self.name, response, doing, body):
            raise error
        if response.headers.get("Content-Type", "").startswith("application/dicom"):
            raise self._senseless(response, doing, "it can't be understood")
        raise unusable(self.name, f"{doing}: the answer is neither DICOM JSON nor XML")

    async def _read(
        self, path: str, query: list[tuple[str, str]], doing: str, limit: int
    ) -> tuple[httpx.Response, bytes]:
        with self._translated():
            async with (
                asyncio.timeout(self._timeouts.answer),
                self._get(path, _JSON, query) as response,
            ):
                try:
                    return response, await read_body(response, limit=limit)
                except AnswerTooLarge as large:
                    raise self._senseless(response, doing, str(large)) from large
                finally:
                    self._count("down", response.num_bytes_downloaded)

    # WADO-RS, PS3.18 10.4 ------------------------------------------------------------------------

    async def retrieve_instance(self, ref: InstanceRef) -> AsyncGenerator[bytes]:
        """See ``Archive``."""
        path = self._path(ref.study_uid, ref.series_uid, ref.sop_uid)
        async with aclosing(self._streams(path)) as streams:
            async for stream in streams:
                async for piece in stream:
                    yield piece
                # Only the first part counts; a second would be another archive's idea.
                return

    async def retrieve_study(
        self, study_uid: str, series_uid: str | None = None
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """See ``Archive``."""
        async with aclosing(self._streams(self._path(study_uid, series_uid))) as streams:
            async for stream in streams:
                yield stream

    async def _streams(self, path: str) -> AsyncGenerator[AsyncIterator[bytes]]:
        """The Part 10 streams of a WADO-RS answer, multipart or single part.

        Raises:
            InstanceNotFound: There are none.
        """
        with self._translated(), self._busy("down"):
            async with self._get(path, _DICOM) as response:
                if response.status_code in {204, *_MISSING}:
                    raise InstanceNotFound(f"archive {self.name} has nothing at {path}")
                if error := error_of_status(self.name, response, "retrieving"):
                    raise error
                content_type = response.headers.get("Content-Type", "")
                try:
                    essence = parse_media_type(content_type).essence
                except MultipartError:
                    essence = ""
                pieces = steady(
                    self._received(response),
                    least=self._timeouts.slowest,
                    window=self._timeouts.slow,
                )
                if essence == "application/dicom":
                    yield self._pieces(pieces)
                    return
                if place := intercepted(self.name, response, "retrieving"):
                    raise place
                if not essence.startswith("multipart/"):
                    raise unusable(self.name, f"retrieving: the answer is {essence or 'untyped'}")
                empty = True
                parts = read_parts(pieces, boundary_of(content_type))
                async with aclosing(parts):
                    async for part in parts:
                        empty = False
                        yield self._pieces(part)
        if empty:
            raise InstanceNotFound(f"archive {self.name} answered without instances at {path}")

    async def _received(self, response: httpx.Response) -> AsyncIterator[bytes]:
        async for piece in content_of(response):
            self._count("down", len(piece))
            yield piece

    async def _pieces(self, source: AsyncIterable[bytes | memoryview]) -> AsyncIterator[bytes]:
        # Whoever reads a stream pulls on the connection himself: its errors arise here.
        with self._translated():
            async for piece in source:
                yield bytes(piece)

    # DELETE, which is no transaction of PS3.18 ----------------------------------------------------

    async def delete_instance(self, ref: InstanceRef) -> None:
        """See ``Archive``. Most archives take DELETE at the URL of the instance."""
        path = self._path(ref.study_uid, ref.series_uid, ref.sop_uid)
        await self._delete(f"{self._base}{path}", ref)

    async def _delete(self, url: str, ref: InstanceRef) -> None:
        response, _ = await self._ask("DELETE", url)
        if response.status_code in _MISSING:
            raise InstanceNotFound(f"archive {self.name} does not have instance {ref.sop_uid}")
        if response.status_code in _DELETES_NOTHING:
            raise CloudRefused(
                f"archive {self.name}: it does not delete over DICOMweb",
                status=response.status_code,
                hint="delete it in the archive itself",
            )
        if error := error_of_status(self.name, response, "deleting"):
            raise error
