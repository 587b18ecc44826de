"""What an instance is beside its demographics, as one digest: is it ours, but for a correction?

An archive that corrects a patient or a study writes its files anew under the same UIDs. Owns which
attributes such a correction may change, and which forms of writing make no difference: character
sets (text is compared decoded), lengths of sequences and items, group lengths, the order of
elements, padding, explicit or implicit VR. All else counts, bulk values byte for byte. Takes a Part
10 stream in pieces; holds what is open of it and no bulk value. No I/O.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from edge.dicom.builder import ModelBuilder, ScanLimits
from edge.dicom.charset import TextDecoder
from edge.dicom.codec import Codec, Header, codec_of
from edge.dicom.demographics import DEMOGRAPHICS
from edge.dicom.digest import Digester
from edge.dicom.familiar import Familiar
from edge.dicom.json_model import INLINE_VALUE
from edge.dicom.part10 import FileMetaReader
from edge.dicom.scanner import Inflater
from edge.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    encoding_of,
    is_uid,
)
from edge.dicom.walker import Walker
from edge.errors import NotDicom

__all__ = ["Essence", "Likeness", "is_comparable"]

_LIMITS: Final = ScanLimits()
_MOST: Final = 256 * 1024
"""Elements of open data sets and items at a time: 40 MB."""

_CORRECTED: Final = frozenset(int(tag, 16) for tag in DEMOGRAPHICS) | {
    0x00100024,  # Issuer of Patient ID Qualifiers Sequence, which goes with the issuer
    0x04000550,  # Modified Attributes Sequence,
    0x04000561,  # and Original Attributes Sequence: the trace of an edit
}
"""Of the data set itself. Not Patient Identity Removed (0012,0062) and its kin: what was made
anonymous is no correction."""
_META_GROUP: Final = 0x0002
_CHARACTER_SET: Final = 0x00080005
_FORMAL: Final = frozenset({_CHARACTER_SET, 0xFFFCFFFC})
"""Character set and trailing padding: on every level they tell how it was written, not what."""

_WORDS: Final = frozenset("AE AS CS DA DS DT IS TM UI".split())
"""Values of the default repertoire; padding on either side is none of theirs."""
_PARAGRAPHS: Final = frozenset("LT ST UR UT".split())
_TEXTS: Final = _WORDS | frozenset("LO PN SH UC".split()) | _PARAGRAPHS
_PAD: Final = " \0"
_UNKNOWN: Final = "\ufffd"
_ESCAPE: Final = b"\x1b"
_NATIVE: Final = (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)


def is_comparable(ours: str, theirs: str) -> bool:
    """Whether instances of these transfer syntaxes can be the same."""
    return ours == theirs or (ours in _NATIVE and theirs in _NATIVE)


class Essence:
    """Takes one instance: update, then digest."""

    def __init__(self) -> None:
        self._meta: FileMetaReader | None = FileMetaReader()
        self._walker: _Walk | None = None
        self._inflater: Inflater | None = None
        self._transfer_syntax = ""

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Take the next bytes; may be called in a worker thread.

        Raises:
            NotDicom: It can't be understood.
        """
        if self._meta is not None:
            if not self._meta.feed(piece):
                return
            self._transfer_syntax = self._meta.values.get(0x0010, "")
            if not is_uid(self._transfer_syntax):
                raise NotDicom("the file meta information has no Transfer Syntax UID")
            encoding = encoding_of(self._transfer_syntax)
            self._inflater = Inflater(_LIMITS) if encoding.deflated else None
            self._walker = _Walk(codec_of(encoding))
            piece, self._meta = self._meta.rest, None
        if self._walker is not None:
            if self._inflater is not None:
                self._inflater.feed(memoryview(piece), self._walker)
            else:
                self._walker.feed(piece)

    def digest(self) -> bytes:
        """Of all that passed; the stream has ended.

        Raises:
            NotDicom: It ends too early.
        """
        if self._walker is None:
            raise NotDicom("the stream ends before a data set begins")
        if self._inflater is not None:
            self._inflater.finish()
        self._walker.finish()
        syntax = "native" if self._transfer_syntax in _NATIVE else self._transfer_syntax
        return hashlib.sha256(syntax.encode() + b"\0" + self._walker.kept.digest()).digest()


class Likeness(Digester):
    """A digester that also finds the essence, where the stream can be understood."""

    def __init__(self) -> None:
        super().__init__()
        self._essence: Essence | None = Essence()

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """See ``Digester``."""
        super().update(piece)
        if self._essence is not None:
            try:
                self._essence.update(piece)
            except NotDicom:
                self._essence = None

    def essence(self) -> bytes | None:
        """The stream has ended; None if it could not be understood."""
        try:
            return self._essence.digest() if self._essence is not None else None
        except NotDicom:
            return None


class _Model(ModelBuilder):
    """Keeps digests, and of values what reading on needs: private creators and character sets."""

    __slots__ = ("_count", "_open")

    def __init__(self, codec: Codec, limits: ScanLimits) -> None:
        super().__init__(codec, limits)
        self._open: list[list[tuple[int, bytes]]] = [[]]
        """Elements of each open data set or item, and in turn items of its open sequence."""
        self._count = 0

    def keep(self, tag: int, digest: bytes) -> None:
        """Note an element of the innermost data set or item.

        Raises:
            NotDicom: There are too many.
        """
        if tag not in _FORMAL and (tag not in _CORRECTED or len(self._open) > 1):
            self._add(tag, digest)

    def _add(self, name: int, digest: bytes) -> None:
        self._open[-1].append((name, digest))
        self._count += 1
        if self._count > _MOST:
            raise NotDicom("the data set has too many elements to be compared")

    def open_sequence(
        self, key: str, codec: Codec, start: int, end: int, *, tolerant: bool = False
    ) -> None:
        """See ``ModelBuilder``."""
        super().open_sequence(key, codec, start, end, tolerant=tolerant)
        self._open.append([])
        self.peculiar += 1  # nothing here is like elsewhere

    def open_item(self, codec: Codec, end: int) -> None:
        """See ``ModelBuilder``."""
        super().open_item(codec, end)
        self._open.append([])

    def close_item(self) -> None:
        """See ``ModelBuilder``; nothing of its values stays."""
        before = self.level.cost
        super().close_item()
        self.sequences[-1].items.clear()
        self.cost = before
        digest = self._close()
        self._add(len(self._open[-1]), digest)

    def close_sequence(self, end: int) -> None:
        """See ``ModelBuilder``; nothing of its values stays."""
        key, before = self.sequences[-1].key, self.sequences[-1].cost
        super().close_sequence(end)
        self.level.elements.pop(key, None)
        self.cost = before
        self.keep(int(key, 16), self._close())

    def refer(
        self, key: str, vr: str, offset: int, length: int, *, encapsulated: bool = False
    ) -> None:
        """Of bulk values nothing is needed but their bytes."""

    def _close(self) -> bytes:
        """The digest of the innermost open one, which is done with."""
        if self.muted:
            raise NotDicom("the data set is too large to be compared")
        digest = self.digest()
        self._count -= len(self._open.pop())
        return digest

    def digest(self) -> bytes:
        """Of the innermost open one."""
        found = sorted(self._open[-1])
        together = b"".join(tag.to_bytes(4, "big") + digest for tag, digest in found)
        return hashlib.sha256(together).digest()


class _Walk(Walker):
    """Walks one element after the other, and looks at every byte of them."""

    __slots__ = ("_bulk", "_bulk_tag", "kept")

    def __init__(self, codec: Codec) -> None:
        super().__init__(codec, _LIMITS, 0, Familiar())
        self.model = self.kept = _Model(codec, _LIMITS)
        self.watch = self._pass_by
        self._bulk: Any = None
        """The hash of the value that passes; None if none does."""
        self._bulk_tag = 0
        """Whose that is; 0 for fragments, which end by a delimiter."""

    def _run(self, _window: bytes, pos: int, _limit: int) -> int:
        """Nothing is passed over."""
        return pos

    def _walk_value(self, tag: int, header: Header, window: bytes, pos: int) -> int:
        """See ``Walker``: text is decoded, of all else the bytes are hashed while they pass."""
        kept, vr, start = self.kept, header.vr, header.start
        stop = start + header.length
        if not tag & 0xFFFF or (tag >> 16 == _META_GROUP and len(kept.levels) == 1):
            return self._pass(tag, stop, window)
        if vr in _TEXTS and header.length <= INLINE_VALUE:
            if stop > len(window):
                self._need = stop - pos
                return pos
            value = window[start:stop]
            if tag == _CHARACTER_SET or _is_creator(tag):
                kept.put(tag, f"{tag:08X}", header.content.forms[vr], value, self._base + start)
            kept.keep(tag, hashlib.sha256(_plain(tag, vr, value, kept.level.decode)).digest())
        else:
            self._bulk, self._bulk_tag = hashlib.sha256(window[start:stop]), tag
            if stop <= len(window):
                self._end_bulk(tag)
        return self._pass(tag, stop, window)

    def _walk_fragments(self, window: bytes, pos: int) -> int:
        """See ``Walker``: lengths and bytes of all items count."""
        if self._bulk is None:
            self._bulk, self._bulk_tag = hashlib.sha256(), 0
        stop = super()._walk_fragments(window, pos)
        self._bulk.update(window[pos:stop])
        if self._fragments.value is not None:
            self._end_bulk(self._target)
        return stop

    def _pass_by(self, piece: memoryview) -> None:
        """More of what is hashed, or of what is of no interest."""
        if self._bulk is not None:
            self._bulk.update(piece)
            if self._bulk_tag and not self._skip:
                self._end_bulk(self._bulk_tag)

    def _end_bulk(self, tag: int) -> None:
        self.kept.keep(tag, self._bulk.digest())
        self._bulk = None


def _is_creator(tag: int) -> bool:
    """Private creators reserve blocks of elements (PS3.5 7.8.1)."""
    return bool(tag & 0x10000) and 0x10 <= tag & 0xFFFF < 0x100


def _plain(tag: int, vr: str, value: bytes, decode: TextDecoder) -> bytes:
    """Text as it is compared: UTF-8 without padding.

    What its character set does not have is compared as it stands; so is private ASCII, whose VR
    implicit VR may not tell.
    """
    if tag & 0x10000 and value.isascii() and _ESCAPE not in value:
        return value
    text = value.decode("latin_1") if vr in _WORDS else decode(value)
    if _UNKNOWN in text:
        return value
    if vr in _PARAGRAPHS:
        return text.rstrip(_PAD).encode()
    parts = text.split("\\")
    strip = str.strip if vr in _WORDS else str.rstrip
    return "\\".join(strip(part, _PAD) for part in parts).encode()
