"""Several archives, to read from as if they were one.

The primary one is asked first, then those beside it, in the order of the configuration; one that
could not be reached a moment ago is asked last. Promises that "it is nowhere" is said only when all
of them were asked and said so. Never stores and never deletes anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

from edge.cloud.archive import Archive, Dataset
from edge.cloud.listing import describe_study, list_instances
from edge.dicom.instance import InstanceRef
from edge.dicom.remote import RemoteStudy
from edge.errors import CloudError, CloudUnreachable, InstanceNotFound

__all__ = ["Several"]

_AVOIDED = 60.0
"""Seconds for which one that could not be reached is asked last."""

T = TypeVar("T")


class Several:
    """Where what is not here may be had.

    Args:
        archives: The primary one first.
    """

    def __init__(self, archives: Sequence[Archive]) -> None:
        self._archives = tuple(archives)
        self._avoided_until: dict[str, float] = {}

    @property
    def primary(self) -> Archive:
        """The one that everything goes to."""
        return self._archives[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Of all of them."""
        return tuple(archive.name for archive in self._archives)

    @property
    def name(self) -> str:
        """What messages call them."""
        return " or ".join(self.names)

    async def first_that_has(self, attempt: Callable[[Archive], Awaitable[T]]) -> T:
        """What an attempt at the first archive that has it gives.

        Raises:
            CloudError: None has it of those that could be asked.
            InstanceNotFound: None has it.
        """
        missing: InstanceNotFound | None = None
        failed: CloudError | None = None
        for archive in self._in_order():
            try:
                return await attempt(archive)
            except InstanceNotFound as error:
                missing = missing or error
            except CloudError as error:
                failed = failed or error
                self._avoid(archive, error)
        raise failed or missing or InstanceNotFound("no archive is configured")

    async def retrieve_instance(self, ref: InstanceRef) -> AsyncGenerator[bytes]:
        """As ``Archive``; once the first bytes came, they all come from the same archive."""

        async def begin(archive: Archive) -> tuple[AsyncGenerator[bytes], bytes | None]:
            stream = archive.retrieve_instance(ref)
            try:
                return stream, await anext(stream, None)
            except BaseException:
                await stream.aclose()
                raise

        stream, piece = await self.first_that_has(begin)
        async with aclosing(stream):
            if piece is not None:
                yield piece
            async for piece in stream:
                yield piece

    async def retrieve_metadata(
        self, study_uid: str, series_uid: str | None = None
    ) -> list[Dataset]:
        """As ``Archive``."""
        return await self.first_that_has(
            lambda archive: archive.retrieve_metadata(study_uid, series_uid)
        )

    async def lists(self, ref: InstanceRef) -> bool:
        """Whether any of them lists an instance.

        Raises:
            CloudError: None does of those that could be asked, and one of them couldn't.
        """

        async def look(archive: Archive) -> None:
            if not (await list_instances(archive, [ref])).found:
                raise InstanceNotFound(f"archive {archive.name} does not list {ref.sop_uid}")

        try:
            await self.first_that_has(look)
        except InstanceNotFound:
            return False
        return True

    async def describe_study(self, study_uid: str) -> RemoteStudy | None:
        """All that the first of them that has a study lists of it; None if none has it.

        Raises:
            CloudError: None has it of those that could be asked, and one of them couldn't.
        """

        async def look(archive: Archive) -> RemoteStudy:
            study = await describe_study(archive, study_uid)
            if study is None:
                raise InstanceNotFound(f"archive {archive.name} does not have study {study_uid}")
            return study

        try:
            return await self.first_that_has(look)
        except InstanceNotFound:
            return None

    def _in_order(self) -> list[Archive]:
        now = asyncio.get_running_loop().time()
        return sorted(self._archives, key=lambda one: self._avoided_until.get(one.name, 0.0) > now)

    def _avoid(self, archive: Archive, error: CloudError) -> None:
        if isinstance(error, CloudUnreachable):
            until = asyncio.get_running_loop().time() + _AVOIDED
            self._avoided_until[archive.name] = until
