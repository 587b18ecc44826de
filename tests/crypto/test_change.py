"""Another root secret, by another provider or by the same: nothing is lost at any step."""

from __future__ import annotations

import base64
import contextlib
import os

import pytest

from edge.crypto import change
from edge.crypto.change import change_root
from edge.crypto.escrow import FILE, Escrow, root_secret_in
from edge.crypto.kernel import KernelMemory
from edge.crypto.keys import KeyRing
from edge.crypto.passphrases import Stretching, normal
from edge.crypto.providers import FileKeyProvider, Given
from edge.crypto.providers.credential import CredentialKeyProvider
from edge.crypto.providers.network import NetworkKeyProvider
from edge.crypto.providers.passphrase import PassphraseKeyProvider
from edge.crypto.providers.wrapped import WrappedRoot
from edge.crypto.recovery import RecoveryKey
from edge.errors import KeyLocked, KeyUnavailable, SecretError, WrongKey
from tests.fakes import tang
from tests.fakes.tang import Tang

KEY = RecoveryKey.new()
GOOD, OTHER = "seven herons over a wet field", "five otters below an old bridge"


class Box:
    """A folder with a ring, and every provider of it."""

    def __init__(self, folder, server):
        self.folder = folder / "data"
        self.folder.mkdir()
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()
        self.server = server
        (self.elsewhere / "cred").write_bytes(base64.b64encode(os.urandom(32)))

    def provider(self, name, said=GOOD):
        wrapped, kernel = WrappedRoot(self.folder, self.folder / FILE), KernelMemory(self.folder, 0)
        if name == "passphrase":
            found = PassphraseKeyProvider(wrapped, kernel)
            found._said = normal(said)
            return found
        if name == "systemd-creds":
            environ = {"CREDENTIALS_DIRECTORY": str(self.elsewhere)}
            return CredentialKeyProvider(wrapped, "cred", environ)
        if name == "network":
            if self.server is None:
                pytest.skip(tang.missing())
            return NetworkKeyProvider(wrapped, kernel, [self.server.server])
        return FileKeyProvider(self.elsewhere / name)

    def make(self, name):
        self.root = self.provider(name).root_secret(first_start=True)
        with_ring = KeyRing(self.folder / "keys.db", Given(self.root))
        self.study = with_ring.new_study_key()
        self.index = with_ring.derive("index")
        Escrow(self.folder, with_ring).keep(KEY.recipient, 1.0)
        with_ring.close()

    def change(self, old, new, said=GOOD):
        keys = KeyRing(self.folder / "keys.db", self.provider(old))
        try:
            change_root(
                keys, Escrow(self.folder, keys), self.provider(old), self.provider(new, said)
            )
        finally:
            keys.close()

    def opens(self, provider):
        """Whether a start with this provider has everything; a start settles what was begun."""
        try:
            keys = KeyRing(self.folder / "keys.db", provider, may_create=False)
        except SecretError:
            return False
        try:
            assert keys.study_key(self.study.key_id) == self.study
            assert keys.derive("index") == self.index
            Escrow(self.folder, keys).follow()
        finally:
            keys.close()
        return True

    def opens_by_recovery_key(self):
        return self.opens(Given(root_secret_in(self.folder / FILE, KEY)))


@pytest.fixture(autouse=True)
def cheap_passphrases(monkeypatch):
    """What a guess costs is looked at by ``test_passphrases``; here each test makes a dozen."""

    def cheap(_):
        return Stretching(os.urandom(16), memory_kib=64, passes=1, lanes=1)

    monkeypatch.setattr(Stretching, "new", classmethod(cheap))


@pytest.fixture
def box(tmp_path):
    if tang.missing():
        yield Box(tmp_path, None)
        return
    with Tang(tmp_path / "tang") as server:
        yield Box(tmp_path, server)


NAMES = ("file", "passphrase", "systemd-creds", "network")


@pytest.mark.parametrize("new", NAMES)
@pytest.mark.parametrize("old", NAMES)
def test_from_each_provider_to_each_other_the_old_secret_opens_nothing_any_more(box, old, new):
    box.make(old)
    said = OTHER if new == "passphrase" else GOOD
    box.change(old, new, said)
    assert box.opens(box.provider(new, said))
    assert not box.opens(Given(box.root))
    assert box.opens_by_recovery_key()
    if new != old:
        assert not box.opens(box.provider(old))
    left = {path for path in box.provider(old).files if path.exists()}
    assert left <= set(box.provider(new).files)


def test_a_key_file_is_moved_to_another_medium(box):
    box.make("file")
    box.change("file", "stick")
    assert box.opens(box.provider("stick"))
    assert not (box.elsewhere / "file").exists()


def test_the_key_file_of_another_box_is_not_overwritten(box):
    box.make("file")
    FileKeyProvider(box.elsewhere / "stick").root_secret(first_start=True)
    others = (box.elsewhere / "stick").read_bytes()
    with pytest.raises(WrongKey, match="another box"):
        box.change("file", "stick")
    assert (box.elsewhere / "stick").read_bytes() == others
    assert box.opens(Given(box.root))
    assert box.opens(box.provider("file"))
    assert box.opens_by_recovery_key()


@pytest.mark.parametrize("old", NAMES)
def test_a_new_provider_that_can_not_keep_it_changes_nothing(box, old):
    box.make(old)
    files = box.provider(old).files
    before = [path.read_bytes() for path in files]
    (box.elsewhere / "cred").rename(box.elsewhere / "away")
    if old != "systemd-creds":
        with pytest.raises(KeyUnavailable):
            box.change(old, "systemd-creds")
    (box.elsewhere / "away").rename(box.elsewhere / "cred")
    with pytest.raises((SecretError, KeyLocked)):
        box.change(old, "passphrase", "password")
    if box.server is not None and old != "network":
        box.server.stop()
        with pytest.raises(KeyLocked):
            box.change(old, "network")
    assert [path.read_bytes() for path in files] == before
    assert box.opens(Given(box.root))
    assert box.opens(box.provider(old))
    assert box.opens_by_recovery_key()


@pytest.mark.parametrize("step", range(7))
@pytest.mark.parametrize(
    ("old", "new"), [("file", "passphrase"), ("passphrase", "file"), ("passphrase", "passphrase")]
)
def test_a_power_cut_at_any_step_leaves_a_box_that_one_of_the_two_opens(
    box, old, new, step, monkeypatch
):
    """The steps are those between two writes that are durable."""
    box.make(old)
    new_provider = box.provider(new, OTHER if new == "passphrase" else GOOD)
    keys = KeyRing(box.folder / "keys.db", box.provider(old))
    escrow = Escrow(box.folder, keys)
    done = []

    def counted(act):
        def wrapper(*words, **named):
            if len(done) == step:
                raise KeyboardInterrupt
            done.append(act)
            return act(*words, **named)

        return wrapper

    places = (
        (keys, "add_root"),
        (escrow, "follow"),
        (type(new_provider), "keep"),
        (type(new_provider), "put_back"),
        (keys, "settle_root"),
        (change, "destroy_file"),
    )
    with monkeypatch.context() as patched:
        for owner, name in places:
            patched.setattr(owner, name, counted(getattr(owner, name)))
        with contextlib.suppress(KeyboardInterrupt):
            change_root(keys, escrow, box.provider(old), new_provider)
    keys.close()
    by_new = box.provider(new, OTHER if new == "passphrase" else GOOD)
    opened = [box.opens(box.provider(old)), box.opens(by_new)]
    assert any(opened)
    assert box.opens_by_recovery_key()
