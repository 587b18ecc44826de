"""Which provider a configuration means."""

from __future__ import annotations

from pathlib import Path

from edge.config import Config
from edge.crypto.escrow import FILE
from edge.crypto.kernel import KernelMemory
from edge.crypto.providers.base import Keeper
from edge.crypto.providers.credential import CredentialKeyProvider
from edge.crypto.providers.file import FileKeyProvider
from edge.crypto.providers.network import NetworkKeyProvider
from edge.crypto.providers.passphrase import PassphraseKeyProvider
from edge.crypto.providers.wrapped import WrappedRoot

__all__ = ["keeper_of", "root_key_path"]


def root_key_path(config: Config) -> Path:
    """Where the ``file`` provider has it."""
    path = config.keys.path
    return config.appliance.data_dir / "root.key" if path == Path() else path


def keeper_of(config: Config) -> Keeper:
    """The provider; nothing is read yet."""
    keys, folder = config.keys, config.appliance.data_dir
    wrapped = WrappedRoot(folder, folder / FILE)
    kernel = KernelMemory(folder, keys.grace_hours * 3600)
    if keys.provider == "passphrase":
        return PassphraseKeyProvider(wrapped, kernel)
    if keys.provider == "systemd-creds":
        return CredentialKeyProvider(wrapped, keys.credential)
    if keys.provider == "network":
        return NetworkKeyProvider(wrapped, kernel, keys.server)
    return FileKeyProvider(root_key_path(config))
