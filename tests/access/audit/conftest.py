"""A record in a folder of its own, and entries to fill it with."""

from __future__ import annotations

import pytest

from edge.access.audit.entry import Actor, Entry, Event, Subject
from edge.access.audit.folder import AuditFolder
from edge.crypto.sealed import Algorithm

KEY = bytes(range(32))


class Memory:
    """What the index would remember and know."""

    def __init__(self):
        self.number, self.digest = 0, b""
        self.known = {}
        self.names = set()
        self.kept = ""

    async def head(self):
        return self.number, self.digest

    async def set_head(self, number, digest):
        self.number, self.digest = number, digest

    async def subjects(self, study_uids):
        return {uid: self.known[uid] for uid in study_uids if uid in self.known}

    async def people(self, names):
        return self.names & set(names)

    async def damage(self):
        return self.kept

    async def set_damage(self, text):
        self.kept = text


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def open_folder(tmp_path):
    """Opens the record anew, as another process would."""

    def opened(**options):
        return AuditFolder(tmp_path / "audit", KEY, Algorithm.AES_256_GCM, **options)

    return opened


@pytest.fixture
def entry():
    """Makes an entry; ``study`` and ``patient`` are short for what it is about."""

    def made(at=1000.0, event=Event.ACCESSED, *, name="a viewer", study="1.2.3", **fields):
        patient = fields.pop("patient", "")
        fields.setdefault("about", Subject(study, patient) if study else Subject())
        fields.setdefault("actor", Actor(name, role="viewer", address="10.0.0.7"))
        return Entry(at=at, event=event, **fields)

    return made
