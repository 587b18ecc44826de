"""A walk over the elements of a data set while its bytes pass by (PS3.5 7).

Owns the grammar: elements, sequences, items, delimiters, encapsulated values, in any encoding and
in pieces of any size. Bytes of bulk values are counted, not looked at and not copied. There is no
recursion, and no more is buffered than one value that stands in the JSON model. It never asks what
an attribute means, beyond what reading on needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from edge.dicom.builder import ENDLESS, ModelBuilder, ScanLimits
from edge.dicom.codec import LUT_DATA, PIXEL_VALUES, Codec, Header, read_header, true_codec
from edge.dicom.dictionary import KEYS
from edge.dicom.familiar import Familiar
from edge.dicom.fragments import TABLE_BYTES, Fragments
from edge.dicom.json_model import INLINE_LUT
from edge.dicom.runs import run_explicit, run_familiar, run_implicit
from edge.errors import NotDicom

__all__ = ["Walker"]

_UNDEFINED: Final = 0xFFFFFFFF
_SEQUENCE_HEADER: Final = 12
"""Bytes before the first item, in explicit VR."""
_ITEM: Final = 0xFFFEE000
_ITEM_DELIMITER: Final = 0xFFFEE00D
_SEQUENCE_DELIMITER: Final = 0xFFFEE0DD

_META_GROUP: Final = 0x0002
_PIXEL_DATA: Final = 0x7FE00010
_OFFSET_TABLES: Final = frozenset({0x7FE00001, 0x7FE00002})
_BINARY_VRS: Final = frozenset("OB OW OF OL OD OV".split())
_CROWDED: Final = 64
"""Once the model is full, only values up to so many bytes are put into it."""
_WINDOW: Final = 64 * 1024


# What is expected next. Plain numbers: an enumeration would cost a tenth of the walk.
_ELEMENTS: Final = 0
_ITEMS: Final = 1
_FRAGMENTS: Final = 2
_PADDING: Final = 3


class _Began(NamedTuple):
    """An open sequence: what was before it."""

    previous: int
    """The tag before its own."""
    start: int
    """Its position."""
    cost: int
    peculiar: int


class Walker:
    """Walks one data set: feed it, then finish.

    Args:
        codec: How the data set is encoded.
        limits: What the walk may take.
        position: Of the data set's first byte; positions of bulk values count on from it.
        familiar: Elements of other data sets.
    """

    __slots__ = (
        "_base",
        "_began",
        "_carry",
        "_familiar",
        "_fragments",
        "_limits",
        "_mode",
        "_need",
        "_skip",
        "_steps",
        "_target",
        "encapsulated",
        "model",
        "offset_tables",
        "position",
        "watch",
    )

    def __init__(self, codec: Codec, limits: ScanLimits, position: int, familiar: Familiar) -> None:
        self.model = ModelBuilder(codec, limits)
        self.position = position
        """Of the first byte that was not walked over yet."""
        self.encapsulated: Fragments | None = None
        """Those of Pixel Data, once they are complete."""
        self.offset_tables: dict[int, bytes] = {}
        """Extended Offset Table (7FE0,0001) and its lengths (7FE0,0002), as they are encoded."""
        self.watch: Callable[[memoryview], None] | None = None
        """Gets what passes unseen, if anybody wants it."""
        self._limits = limits
        self._familiar = familiar
        self._mode = _ELEMENTS
        self._base = 0
        """Position of the window's first byte."""
        self._skip = 0
        """So many bytes are to pass unseen."""
        self._need = 0
        """So many bytes must be there to walk on."""
        self._carry = bytearray()
        """Those that are there already."""
        self._fragments = Fragments("", 0, 0)
        self._target = 0
        """Tag of the element that has them."""
        self._steps = 0
        self._began: _Began | None = None
        """The open sequence of the data set itself, if it may become familiar."""

    def feed(self, data: bytes | bytearray | memoryview, start: int = 0) -> None:
        """Walk on over the next piece of the stream, from index ``start`` of it.

        Raises:
            NotDicom: It is no data set.
        """
        size = len(data)
        view: bytes | memoryview = data if isinstance(data, bytes) else memoryview(data)
        while start < size:
            if self._skip:
                step = min(self._skip, size - start)
                self._skip -= step
                self.position += step
                if self.watch is not None:
                    self.watch(memoryview(view)[start : start + step])
                start += step
            elif self._carry:
                taken = view[start : start + self._need - len(self._carry)]
                self._carry += taken
                start += len(taken)
                if len(self._carry) >= self._need:
                    window = bytes(self._carry)
                    self._carry = bytearray(window[self._walk(window, 0) :])
            elif isinstance(view, bytes):
                self._carry += view[self._walk(view, start) :]
                start = size
            else:
                window = bytes(view[start : start + _WINDOW])
                self._carry += window[self._walk(window, 0) :]
                start += len(window)

    def finish(self) -> None:
        """The stream has ended.

        Raises:
            NotDicom: The data set has not.
        """
        if not self._skip and not self._carry:
            self._walk(b"", 0)  # what ends by its length ends now
        if self._skip or self.model.sequences or self._mode == _FRAGMENTS or any(self._carry):
            raise NotDicom("the data set ends in the middle of an element")
        self.model.finish()

    def _walk(self, window: bytes, pos: int) -> int:
        """Walk as far as the window goes; what is behind the returned index is needed again."""
        self._base = self.position - pos
        self._need = 0
        start = pos
        while not (self._need or self._skip):
            self._steps += 1
            mode = self._mode
            if mode == _ELEMENTS:
                pos = self._walk_elements(window, pos)
            elif mode == _ITEMS:
                pos = self._walk_items(window, pos)
            elif mode == _FRAGMENTS:
                pos = self._walk_fragments(window, pos)
            elif window.count(0, pos) == len(window) - pos:
                self._need, pos = 1, len(window)
            else:
                raise NotDicom("something follows the data set")
            if self._steps > self._limits.steps:
                raise NotDicom("the data set has too many elements")
        self.position += pos - start
        return pos

    def _walk_elements(self, window: bytes, pos: int) -> int:
        """The elements of one level, as many as can be."""
        model = self.model
        level = model.level
        if model.muted and level.end not in (ENDLESS, self._base + pos):
            return self._jump(level.end, window)
        limit = min(len(window), level.bound - self._base)
        pos = self._run(window, pos, limit)
        if pos + 8 <= limit:
            return self._walk_element(window, pos)
        if self._base + pos == level.end:
            model.close_item()
            self._mode = _ITEMS
        elif limit < len(window) or self._base + len(window) >= level.bound:
            raise NotDicom("an item ends in the middle of an element")
        else:
            self._need = 8
        return pos

    def _run(self, window: bytes, pos: int, limit: int) -> int:
        """Pass over what is plain or familiar."""
        model, familiar = self.model, self._familiar
        run = run_implicit if model.level.codec.implicit else run_explicit
        before = -1
        while pos > before:
            before = pos
            pos = run_familiar(model, familiar, window, pos, limit)
            pos = run(model, familiar, window, pos, limit)
        return pos

    def _walk_element(self, window: bytes, pos: int) -> int:
        """One element of any kind."""
        model = self.model
        level = model.level
        top = len(model.levels) == 1
        group, number = level.codec.item(window, pos)[:2]
        tag = group << 16 | number
        if group == 0xFFFE:
            return self._end_item(tag, pos)
        if top:
            if not tag:
                self._mode = _PADDING
                return pos
            if level.previous < 0:
                level.codec = true_codec(level.codec, window[pos + 4 : pos + 6])
        header = read_header(level.codec, tag, window, pos, level.elements)
        if header is None or not header.is_complete(window):
            self._need = 12 if header is None else header.start + 4 - pos
            return pos
        if header.length == _UNDEFINED:
            self._open_undefined(tag, header)
            return header.start
        stop = self._base + header.start + header.length
        if stop > level.bound:
            raise NotDicom("an element is longer than the item that it stands in")
        if header.holds_items(window) and not model.muted:
            self._open_sequence(tag, header, stop)
            return header.start
        return self._walk_value(tag, header, window, pos)

    def _walk_value(self, tag: int, header: Header, window: bytes, pos: int) -> int:
        """The value of an element, which is put into the model or only referred to."""
        model = self.model
        top = len(model.levels) == 1
        vr, start, length = header.vr, header.start, header.length
        stop = start + length
        if not tag & 0xFFFF or model.muted or (top and tag >> 16 == _META_GROUP):
            return self._pass(tag, stop, window)  # group lengths are no part of the model
        key = KEYS.get(tag) or f"{tag:08X}"
        if " or " in vr:
            vr = model.resolve(vr, key)
        form = header.content.forms[vr if vr != "SQ" else "UN"]
        inline = INLINE_LUT if tag in LUT_DATA else form.inline
        if model.crowded:
            inline = min(inline, _CROWDED)
        whole = length <= inline and tag not in PIXEL_VALUES
        table = top and tag in _OFFSET_TABLES and length <= TABLE_BYTES
        if (whole or table) and stop > len(window):
            self._need = stop - pos
            return pos
        if table:
            self.offset_tables[tag] = window[start:stop]
        if whole:
            model.put(tag, key, form, window[start:stop], self._base + start)
        else:
            model.refer(key, form.vr, self._base + start, length)
        return self._pass(tag, stop, window)

    def _pass(self, tag: int, stop: int, window: bytes) -> int:
        """Go behind an element, perhaps past the window's end."""
        self.model.level.passed(tag)
        return self._jump(self._base + stop, window)

    def _jump(self, position: int, window: bytes) -> int:
        """Go on at a position, perhaps past the window's end."""
        self._skip = max(0, position - self._base - len(window))
        return position - self._base - self._skip

    def _open_undefined(self, tag: int, header: Header) -> None:
        """A value that ends by a delimiter: items or fragments (PS3.5 7.5, A.4)."""
        in_explicit = not header.content.implicit
        if tag == _PIXEL_DATA or (header.vr in _BINARY_VRS and in_explicit):
            vr = header.vr if header.vr in _BINARY_VRS else "OB"
            self._fragments = Fragments(vr, self._base + header.start, self._limits.fragments)
            self._target = tag
            self._mode = _FRAGMENTS
        elif header.vr == "SQ" or not in_explicit:
            self._open_sequence(tag, header, ENDLESS)
        else:
            raise NotDicom(f"an element with VR {header.vr} has an undefined length")

    def _open_sequence(self, tag: int, header: Header, end: int) -> None:
        level, model = self.model.level, self.model
        key = KEYS.get(tag) or f"{tag:08X}"
        # What was UN in explicit VR is implicit VR by the Standard, and explicit from some writers.
        tolerant = header.looked_up and not level.codec.implicit
        is_said = not (header.looked_up or level.codec.implicit) and header.content is level.codec
        if is_said and not model.sequences and level.previous < tag:
            start = self._base + header.start - _SEQUENCE_HEADER
            self._began = _Began(level.previous, start, model.cost, model.peculiar)
        level.passed(tag)
        model.open_sequence(key, header.content, self._base + header.start, end, tolerant=tolerant)
        self._mode = _ITEMS

    def _end_item(self, tag: int, pos: int) -> int:
        """A delimiter where an element could stand."""
        level = self.model.level
        end = self._base + pos + 8
        if tag != _ITEM_DELIMITER or level.end not in (ENDLESS, end) or end > level.bound:
            raise NotDicom("a delimiter stands where an element should")
        if len(self.model.levels) == 1:
            raise NotDicom("an item ends that never began")
        self.model.close_item()
        self._mode = _ITEMS
        return pos + 8

    def _walk_items(self, window: bytes, pos: int) -> int:
        """The next item of a sequence, or its end."""
        model = self.model
        sequence = model.sequences[-1]
        at = self._base + pos
        if at == sequence.end:
            return self._end_sequence(at, window, pos)
        if len(window) < pos + 8:
            self._need = 8
            return pos
        group, number, length = sequence.codec.item(window, pos)
        tag, start = group << 16 | number, at + 8
        if tag == _SEQUENCE_DELIMITER and sequence.end in (ENDLESS, start):
            return self._end_sequence(at, window, pos + 8)
        end = ENDLESS if length == _UNDEFINED else start + length
        if tag != _ITEM or (start if end == ENDLESS else end) > sequence.bound:
            raise NotDicom("a sequence has something else than items that fit into it")
        known = end if sequence.end == ENDLESS else sequence.end
        if model.muted and known != ENDLESS:
            return self._jump(known, window)  # nobody looks into it
        codec = sequence.codec
        if sequence.tolerant and length >= 8:
            if len(window) < pos + 14:
                self._need = 14
                return pos
            codec = true_codec(codec, window[pos + 12 : pos + 14])
        model.open_item(codec, end)
        self._mode = _ELEMENTS
        return pos + 8

    def _end_sequence(self, end: int, window: bytes, pos: int) -> int:
        model, began = self.model, self._began
        model.close_sequence(end)
        self._mode = _ELEMENTS
        if began is not None and not model.sequences:
            self._began = None
            first = began.start - self._base
            # Values that are only referred to, by their position, are others there, for example.
            if first >= 0 and model.peculiar == began.peculiar:
                level = model.level
                tag = level.previous
                key = KEYS.get(tag) or f"{tag:08X}"
                weight = began.cost - model.cost
                meaning = tag, key, level.elements[key], weight, level.codec, level.decode
                self._familiar.meet(began.previous, window[first:pos], meaning)
        return pos

    def _walk_fragments(self, window: bytes, pos: int) -> int:
        """One fragment of an encapsulated value, or its end."""
        fragments, model = self._fragments, self.model
        stop, self._need = fragments.step(window, pos, self._base)
        if self._base + stop > model.level.bound:
            raise NotDicom("encapsulated pixel data is longer than the item that it stands in")
        if (value := fragments.value) is not None:
            self._mode = _ELEMENTS
            if not model.muted:
                key = KEYS.get(self._target) or f"{self._target:08X}"
                model.refer(key, value.vr, value.offset, value.length, encapsulated=True)
            if self._target == _PIXEL_DATA and len(model.levels) == 1:
                self.encapsulated = fragments
            model.level.passed(self._target)
        return self._jump(self._base + stop, window)
