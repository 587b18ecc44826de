"""The root secret under a credential of the service, which systemd opens and hands over.

``LoadCredentialEncrypted=`` of the unit names it; systemd decrypts it with the machine's own key,
or its TPM, and lays it into a folder that only this service sees, and no swap has (systemd.exec).
It is read there and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.crypto.providers.base import ROOT_LENGTH
from edge.crypto.providers.file import read_secret
from edge.crypto.providers.wrapped import ByCredential, WrappedRoot, unwrap, wrap
from edge.crypto.twin import copies
from edge.errors import KeyUnavailable, WrongKey

__all__ = ["CredentialKeyProvider"]

_FOLDER = "CREDENTIALS_DIRECTORY"


@dataclass
class CredentialKeyProvider:
    """Opens the box with a credential.

    Args:
        wrapped: The file.
        name: Of the credential.
        environ: Where the folder is looked up.
    """

    wrapped: WrappedRoot
    name: str
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    opens_alone = True
    is_destroyed_by_locking = True

    def root_secret(self, *, first_start: bool) -> bytes:
        """Unwrap it; make it, if this is the first start and there is none.

        Raises:
            KeyUnavailable: There is no credential, or one that is none.
            KeyLocked: There is nothing that it opens; the recovery key does.
            WrongKey: It is another one than that which the secret was wrapped with.
        """
        if first_start and not self.wrapped.exists():
            secret = os.urandom(ROOT_LENGTH)
            self.put_back(secret)
            return secret
        found = self.wrapped.required(ByCredential)
        assert isinstance(found, ByCredential)
        try:
            return unwrap(found.box, self._key(found.salt), b"systemd-creds", found.salt)
        except WrongKey as error:
            raise WrongKey(
                f"the credential {self.name} is not the one that this box was made with",
                hint="give the unit the one that it had; or, if it is lost, open the box with its "
                "recovery key: edge key unlock --recovery",
            ) from error

    @property
    def files(self) -> tuple[Path, ...]:
        """Both copies."""
        return copies(self.wrapped.path)

    def keep(self, secret: bytes) -> None:
        """Wrap it with the credential that is there now.

        Raises:
            KeyUnavailable: There is none.
        """
        salt = os.urandom(16)
        self.wrapped.write(
            ByCredential(salt, wrap(secret, self._key(salt), b"systemd-creds", salt))
        )

    put_back = keep

    def mend(self) -> None:
        """Make both copies whole."""
        self.wrapped.mend()

    def destroy(self) -> None:
        """Destroy the file, without which the credential opens nothing."""
        self.wrapped.destroy()

    def remember(self, secret: bytes) -> bool:
        """Nothing: systemd hands the credential over again."""
        del secret
        return False

    def forget(self) -> None:
        """Nothing was remembered."""

    def _key(self, salt: bytes) -> bytes:
        info = b"edge root secret 1 systemd-creds"
        return HKDF(SHA256(), length=32, salt=salt, info=info).derive(self._credential())

    def _credential(self) -> bytes:
        folder = self.environ.get(_FOLDER)
        load = f"LoadCredentialEncrypted={self.name}:/etc/edge/{self.name}"
        if not folder:
            raise KeyUnavailable(
                f"systemd handed no credentials over: ${_FOLDER} is not set",
                hint=f"the service's unit needs {load}, made with edge key seal-credential",
            )
        path = Path(folder) / self.name
        try:
            text = path.read_bytes()
        except OSError as error:
            raise KeyUnavailable(
                f"the credential {path} can't be read: {error.strerror}",
                hint=f"the service's unit needs {load}",
            ) from error
        if (secret := read_secret(text)) is None:
            raise KeyUnavailable(
                f"the credential {path} is not one that edge key seal-credential made",
                hint="give the unit the one that this box was made with",
            )
        return secret
