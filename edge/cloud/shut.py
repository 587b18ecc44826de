"""Archives with their secrets open; in place of one whose secret can't be, one that is shut.

A sealed secret may have become unreadable: the file came from another box, or a bit of it changed.
That is a matter of the one archive: it is as one that refuses our credentials until somebody gives
the secret again, and whatever else the box does goes on. Promises that nothing is ever said to an
archive without the secret that belongs to it, and that one which is shut is not even connected to.

Opening reads files: call it in a thread.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import NoReturn

from edge import config, others
from edge.cloud.archive import Archive, Dataset, StoreResult
from edge.cloud.orthanc import archive_of
from edge.cloud.pace import Way
from edge.crypto.secrets import open_secrets
from edge.errors import CloudUnauthorised, SecretUnopened

__all__ = ["ShutArchive", "driver_of", "opened"]


def opened(archive: others.Archive, cloud: config.Cloud, key: bytes) -> others.Archive:
    """The archive with its secrets as they are used. Blocks.

    Args:
        archive: One of them.
        cloud: All of them, as configured: messages say where it stands there.
        key: Of this box.

    Raises:
        SecretUnopened: One that is sealed can't be opened here.
        ConfigError: One can't be had in another way.
    """
    return open_secrets(archive, key, f"cloud.archive.{cloud.archive.index(archive)}")


def driver_of(
    archive: others.Archive, cloud: config.Cloud, key: bytes, way: Way | None = None
) -> Archive:
    """The driver for an archive; one that is shut if a sealed secret of it can't be opened. Blocks.

    Args:
        archive: As `opened` takes it, and the next two.
        cloud: All of them.
        key: Of this box.
        way: Of the bytes.

    Raises:
        ConfigError: The url or the credentials can't be used, or a file with one of them.
    """
    try:
        return archive_of(opened(archive, cloud, key), way)
    except SecretUnopened as error:
        return ShutArchive(archive.name, error)


class ShutArchive:
    """``Archive`` that is not spoken with: every method raises ``CloudUnauthorised``.

    Args:
        name: Of the archive, as configured.
        why: The secret that can't be opened.
    """

    def __init__(self, name: str, why: SecretUnopened) -> None:
        self._name = name
        self._why = why

    @property
    def name(self) -> str:
        """See ``Archive``, as all that follows."""
        return self._name

    def _refuse(self) -> NoReturn:
        raise CloudUnauthorised(f"archive {self._name}: {self._why}", hint=self._why.hint)

    async def answers(self) -> bool:
        """Nothing is to be learned from a look at its address."""
        return True

    async def store_instances(self, *_: object, **__: object) -> list[StoreResult]:
        """It refuses."""
        self._refuse()

    async def search_studies(self, *_: object, **__: object) -> list[Dataset]:
        """It refuses."""
        self._refuse()

    async def search_series(self, *_: object, **__: object) -> list[Dataset]:
        """It refuses."""
        self._refuse()

    async def search_instances(self, *_: object, **__: object) -> list[Dataset]:
        """It refuses."""
        self._refuse()

    async def retrieve_instance(self, *_: object, **__: object) -> AsyncGenerator[bytes]:
        """It refuses."""
        yield self._refuse()

    async def retrieve_study(
        self, *_: object, **__: object
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """It refuses."""
        yield self._refuse()

    async def retrieve_metadata(self, *_: object, **__: object) -> list[Dataset]:
        """It refuses."""
        self._refuse()

    async def delete_instance(self, *_: object, **__: object) -> None:
        """It refuses."""
        self._refuse()

    async def close(self) -> None:
        """There is nothing to let go of."""
