"""Where the root secret comes from.

A provider gives 32 bytes at start and is not asked again. Everything else derives from them or is
wrapped by what derives from them (``keys``), so who has no root secret reads nothing.

Attack model, provider by provider; "the box" is the machine, and "the disk" what is in it:

``file``            It lies in a file. A stolen disk stays shut if that file is on another medium;
                    a stolen box does if that medium was not in it.
``passphrase``      Random, wrapped by a passphrase that is stretched (Argon2id). A stolen box stays
                    shut without the passphrase, and whoever guesses must pay for each guess.
``systemd-creds``   Random, wrapped by a credential that systemd opens with the machine's key, or
                    its TPM. A stolen disk stays shut without that TPM; a stolen box does not,
                    whatever system is started on it, where Secure Boot is off.
``network``         Random, wrapped by what a Tang server gives back (``tang``). A stolen box stays
                    shut outside of the network that the server is in.

What is wrapped lies in ``root.sealed``, twice (``wrapped``), and every byte of it is authenticated.
Over a restart of the service, and of nothing else, the kernel may keep the secret (``kernel``): a
machine without power has lost it, so none of the above changes.
"""

from edge.crypto.providers.base import ROOT_LENGTH, Given, Keeper, KeyProvider
from edge.crypto.providers.file import FileKeyProvider

__all__ = ["ROOT_LENGTH", "FileKeyProvider", "Given", "Keeper", "KeyProvider"]
