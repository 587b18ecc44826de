"""Runs of plain elements, passed over quickly: most of what a data set is made of.

Owns what is quick in a walk (``walker``): each function begins at an element, puts what it meets
into the level that is open, and gives the place of the first element that it leaves to the walker.
That is whatever is special, in any way.
"""

from __future__ import annotations

from typing import Final

from edge.dicom.builder import ELEMENT_COST, VALUE_COST, ModelBuilder
from edge.dicom.codec import IMPLICIT_ELEMENTS, PLAIN_KEYS
from edge.dicom.dictionary import vr_of
from edge.dicom.familiar import Familiar
from edge.dicom.json_model import NotInline

__all__ = ["run_explicit", "run_familiar", "run_implicit"]

_META_GROUP: Final = 0x0002


def run_familiar(
    model: ModelBuilder, familiar: Familiar, window: bytes, pos: int, limit: int
) -> int:
    """Pass over the elements at the front that were met before."""
    level = model.level
    codec, elements, decode = level.codec, level.elements, level.decode
    known, following = familiar.elements, familiar.following
    previous, cost, most = level.previous, model.cost, model.most
    while met := known.get(raw := window[pos : pos + following.get(previous, 0)]):
        tag, key, element, weight, same_codec, same_decode = met
        stop = pos + len(raw)
        if same_codec is not codec or same_decode is not decode:
            break
        if tag <= previous or cost > most or stop > limit:
            break
        if weight < 0:  # a sequence
            weight = -weight
            if model.sequences or (cost + weight) * 8 > most:
                break  # what it becomes depends on what is around it
        elements[key] = element
        cost += weight
        previous, pos = tag, stop
    level.previous, model.cost = previous, cost
    return pos


def run_explicit(
    model: ModelBuilder, familiar: Familiar, window: bytes, pos: int, limit: int
) -> int:
    """Pass over plain elements, quickly; stop at whatever is special, or may be familiar."""
    level = model.level
    codec, elements, decode = level.codec, level.elements, level.decode
    header, long_length, forms = codec.header, codec.length, codec.by_vr
    known, following, meet = familiar.elements, familiar.following, familiar.meet
    previous, cost, most = level.previous, model.cost, model.most
    try:
        while pos + 8 <= limit:
            met = known.get(window[pos : pos + following.get(previous, 0)])
            if met and met[4] is codec and met[5] is decode:
                break
            group, number, vr, length = header(window, pos)
            tag = group << 16 | number
            form = forms.get(vr)
            if form is None or tag <= previous or cost > most or not number:
                break
            key = PLAIN_KEYS.get(tag)
            if not key:
                if key is not None or group == _META_GROUP:
                    break
                key = f"{tag:08X}"
            convert, is_long, inline, _ = form
            start = pos + 8
            if is_long:
                if start + 4 > limit:
                    break
                (length,) = long_length(window, start)
                start += 4
            stop = start + length
            if stop > limit or length > inline:
                break
            elements[key] = element = convert(window[start:stop], decode)
            weight = ELEMENT_COST + VALUE_COST * length
            meet(previous, window[pos:stop], (tag, key, element, weight, codec, decode))
            cost += weight
            previous, pos = tag, stop
    except NotInline:
        pass  # it is met again on the slow way
    level.previous, model.cost = previous, cost
    return pos


def run_implicit(
    model: ModelBuilder, familiar: Familiar, window: bytes, pos: int, limit: int
) -> int:
    """The same for implicit VR."""
    level = model.level
    codec, elements, decode = level.codec, level.elements, level.decode
    header, forms = codec.header, codec.forms
    known, following, meet = familiar.elements, familiar.following, familiar.meet
    previous, cost, most = level.previous, model.cost, model.most
    try:
        while pos + 8 <= limit:
            met = known.get(window[pos : pos + following.get(previous, 0)])
            if met and met[4] is codec and met[5] is decode:
                break
            group, number, length = header(window, pos)
            tag = group << 16 | number
            entry = IMPLICIT_ELEMENTS.get(tag)
            if entry is None and group & 1 and (form := forms.get(vr_of(tag, elements))):
                entry = f"{tag:08X}", form
            if entry is None or tag <= previous or cost > most or not number:
                break
            key, (convert, _, inline, _) = entry
            start = pos + 8
            stop = start + length
            if stop > limit or length > inline:
                break
            elements[key] = element = convert(window[start:stop], decode)
            weight = ELEMENT_COST + VALUE_COST * length
            if not group & 1:  # what a private one means depends on what is before it
                meet(previous, window[pos:stop], (tag, key, element, weight, codec, decode))
            cost += weight
            previous, pos = tag, stop
    except NotInline:
        pass
    level.previous, model.cost = previous, cost
    return pos
