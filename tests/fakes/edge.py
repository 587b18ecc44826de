"""A second edge as the archive: the appliance itself, on loopback, in a folder of its own.

Owns its configuration and a token for it. Nothing here is a stand-in; ``stop`` and ``start`` keep
what it has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edge import config, others
from edge.access.roles import Role
from edge.app import Appliance
from tests.ports import free_port


class EdgeServer:
    """One appliance that others use as their archive; a hub has archives of its own."""

    def __init__(
        self,
        folder: Path,
        tls: Literal["auto", "off"] = "off",
        archives: tuple[others.Archive, ...] = (),
    ) -> None:
        self._config = config.Config(
            appliance=config.Appliance(name="archive", data_dir=folder),
            dimse=config.Dimse(listen="127.0.0.1:0"),
            http=config.Http(listen=f"127.0.0.1:{free_port()}", tls=tls),
            cache=config.Cache(reserve_bytes=0),
            cloud=config.Cloud(archives),
        )
        self._appliance: Appliance | None = None
        self.token = ""
        self.admin_token = ""

    @property
    def dicomweb(self) -> str:
        """Base of its DICOMweb service."""
        http = self._config.http
        if http.tls == "off":
            return f"http://{http.listen}/dicom-web"
        return f"https://localhost:{http.listen.rpartition(':')[2]}/dicom-web"

    @property
    def authority(self) -> Path:
        """The certificate of its authority, if it speaks TLS."""
        return self._config.appliance.data_dir / "tls" / "ca.crt"

    async def start(self) -> None:
        """Start, with what it had before."""
        self._appliance = await Appliance(self._config).__aenter__()
        if not self.token:
            tokens = self._appliance.cache.tokens
            self.token = await tokens.create(Role.SERVICE, "another edge")
            self.admin_token = await tokens.create(Role.ADMIN, "who may delete")

    async def stop(self) -> None:
        """Stop it; what it has stays in the folder."""
        if self._appliance is not None:
            appliance, self._appliance = self._appliance, None
            await appliance.__aexit__(None, None, None)
