"""The two models of metadata: DICOM JSON (PS3.18 F) and Native DICOM in XML (PS3.19 A.1).

Reads XML into the form of JSON, so that one comparison serves both. Promises to judge by the
Standard's text alone; pydicom gives the values that were stored, and never reads the answer.
"""

from __future__ import annotations

import base64
import itertools
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

__all__ = [
    "attributes_of",
    "bulk_uris",
    "differences",
    "faults",
    "from_xml",
    "names",
    "to_xml",
    "value_of",
]

Attributes = dict[str, Any]

_NAMESPACE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
_TAG = re.compile(r"[0-9A-F]{8}")
_BINARY = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
# What may stand behind a BulkDataURI (table F.2.2, "BulkDataURI").
_BULK = (
    *_BINARY,
    "DS",
    "FL",
    "FD",
    "IS",
    "LT",
    "SL",
    "SS",
    "ST",
    "SV",
    "UC",
    "UL",
    "US",
    "UT",
    "UV",
)
_NUMBERS = ("FL", "FD", "SL", "SS", "UL", "US")
_NUMBERS_OR_STRINGS = ("DS", "IS", "SV", "UV")
_INLINE = 1024
_CONTENTS = ("Value", "BulkDataURI", "InlineBinary")
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def value_of(attributes: Attributes, tag: str) -> Any:
    """The first value of an attribute; None if it has none."""
    values = attributes.get(tag, {}).get("Value") or [None]
    return values[0]


def names(attributes: Attributes, tag: str) -> dict[str, str]:
    """The component groups of a person name; none if it has no value."""
    return value_of(attributes, tag) or {}


def bulk_uris(attributes: Attributes) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every BulkDataURI with the tags that lead to it."""
    for tag, attribute in attributes.items():
        if uri := attribute.get("BulkDataURI"):
            yield (tag,), uri
        if attribute.get("vr") == "SQ":
            for item in attribute.get("Value", ()):
                for path, uri in bulk_uris(item):
                    yield (tag, *path), uri


def faults(attributes: object, place: str = "") -> list[str]:
    """What F.2 does not allow in a DICOM JSON Model object."""
    if not isinstance(attributes, dict):
        return [f"{place or 'it'} is no JSON object (F.2.2)"]
    found = []
    if list(attributes) != sorted(attributes):
        found.append(f"{place or 'the object'}: its attributes do not ascend (F.2.2)")
    for tag, attribute in attributes.items():
        here = f"{place}{tag}"
        if not _TAG.fullmatch(tag):
            found.append(f"{here} is no tag of eight uppercase hexadecimal digits (F.2.2)")
        elif tag.endswith("0000"):
            found.append(f"{here} is a group length (F.2.2)")
        if not isinstance(attribute, dict) or not isinstance(attribute.get("vr"), str):
            found.append(f"{here} has no vr (F.2.2)")
            continue
        contents = [name for name in _CONTENTS if name in attribute]
        if len(contents) > 1:
            found.append(f"{here} has {' and '.join(contents)} (F.2.2)")
        if unknown := set(attribute) - {"vr", *_CONTENTS}:
            found.append(f"{here} has {', '.join(unknown)} (F.2.2)")
        if contents == ["Value"]:
            found += _faults_of_values(attribute["vr"], attribute["Value"], here)
        elif contents == ["InlineBinary"] and attribute["vr"] not in _BINARY:
            found.append(f"{here} is {attribute['vr']} and InlineBinary (F.2.2)")
        elif contents == ["BulkDataURI"] and attribute["vr"] not in _BULK:
            found.append(f"{here} is {attribute['vr']} and a BulkDataURI (F.2.2)")
    return found


def _faults_of_values(vr: str, values: object, here: str) -> list[str]:
    if not isinstance(values, list):
        return [f"{here}: Value is no array (F.2.2)"]
    if not values:
        return [f"{here} is empty and has a Value (F.2.5)"]
    if vr == "SQ":
        return [text for value in values for text in faults(value, f"{here}.")]
    if vr in _BINARY:
        return [f"{here} is {vr} and has a Value (F.2.2)"]
    given = [value for value in values if value is not None]
    return [
        f"{here}: {value!r} is no value of {vr} (table F.2.3-1)"
        for value in given
        if not _is_value(vr, value)
    ]


def _is_value(vr: str, value: object) -> bool:
    """Whether the type of a value is the one of table F.2.3-1."""
    if vr == "PN":
        return isinstance(value, dict) and not set(value) - set(_GROUPS)
    if vr in _NUMBERS or vr in _NUMBERS_OR_STRINGS:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number or (vr in _NUMBERS_OR_STRINGS and isinstance(value, str))
    return isinstance(value, str)


def differences(stored: Dataset, attributes: Attributes, place: str = "") -> list[str]:
    """Where metadata says something else than the data set that was stored.

    The character set is the answer's own (F.2), so Specific Character Set is not compared.
    """
    found = []
    for element in stored:
        tag = f"{element.tag:08X}"
        if element.tag.element == 0 or tag == "00080005":
            continue
        here = f"{place}{element.keyword or tag}"
        attribute = attributes.get(tag)
        if attribute is None:
            found.append(f"{here} is missing")
        elif attribute.get("vr") != element.VR:
            found.append(f"{here} is {attribute.get('vr')} instead of {element.VR}")
        else:
            found += _differences_of_values(element, attribute, here)
    return found


def _differences_of_values(element: DataElement, attribute: Attributes, here: str) -> list[str]:
    if "BulkDataURI" in attribute:
        return []
    if element.VR == "SQ":
        items = attribute.get("Value", [])
        if len(items) != len(element.value):
            return [f"{here} has {len(items)} items instead of {len(element.value)}"]
        return list(
            itertools.chain.from_iterable(
                differences(stored, item, f"{here}.")
                for stored, item in zip(element.value, items, strict=True)
            )
        )
    if element.VR in _BINARY:
        inline = base64.b64decode(attribute.get("InlineBinary", ""))
        return [] if inline == (element.value or b"") else [f"{here} has other bytes"]
    wanted, given = _stored_values(element), attribute.get("Value", [])
    if len(wanted) != len(given) or not all(map(_same, wanted, given)):
        return [f"{here} is {given!r} instead of {wanted!r}"]
    return []


def _stored_values(element: DataElement) -> list[Any]:
    if element.is_empty:
        return []
    values = list(element.value) if element.VM > 1 else [element.value]
    return [_stored_value(element.VR, value) for value in values]


def _stored_value(vr: str, value: Any) -> Any:
    if vr == "PN":
        name = PersonName(value)
        groups = (name.alphabetic, name.ideographic, name.phonetic)
        return {key: text for key, text in zip(_GROUPS, groups, strict=True) if text} or None
    if vr == "AT":
        return f"{int(value):08X}"
    if value in ("", None):
        return None
    if vr in (*_NUMBERS, *_NUMBERS_OR_STRINGS):
        try:
            return float(value) if vr in ("FL", "FD", "DS") else int(value)
        except ValueError:
            return str(value)  # a data set may hold what its VR does not allow
    return str(value)


def _same(wanted: Any, given: Any) -> bool:
    if wanted is None:
        # F.2.5 says null; an empty name without any group says the same, and F.2.5 has its check.
        return given in (None, {})
    if isinstance(wanted, int | float):
        # FL is stored with 24 bits, whatever digits it is written with.
        return given is not None and math.isclose(wanted, float(given), rel_tol=1e-6)
    if isinstance(wanted, str):
        # Padding says nothing (PS3.5 6.2), and JSON needs none (F.1).
        return isinstance(given, str) and wanted.strip(" \0") == given.strip(" \0")
    if isinstance(wanted, dict):
        # Empty components at the end say nothing (PS3.5 6.2.1.1), and XML can't hold them.
        return isinstance(given, dict) and _plain(wanted) == _plain(given)
    return bool(wanted == given)


def _plain(name: dict[str, str]) -> dict[str, str]:
    """The component groups of a person name that say anything, without carets at their end."""
    stripped = {group: text.rstrip("^ ") for group, text in name.items()}
    return {group: text for group, text in stripped.items() if text}


def attributes_of(dataset: Dataset, apart: Callable[[bytes], str]) -> Attributes:
    """A data set in the form of DICOM JSON.

    Args:
        dataset: What is described.
        apart: Takes a long binary value and says the URI that stands for it.
    """
    found: Attributes = {}
    for element in dataset:
        attribute: Attributes = {"vr": element.VR}
        if element.VR == "SQ":
            attribute["Value"] = [attributes_of(item, apart) for item in element.value]
        elif element.VR in _BINARY:
            if len(element.value) > _INLINE:
                attribute["BulkDataURI"] = apart(element.value)
            else:
                attribute["InlineBinary"] = base64.b64encode(element.value).decode()
        else:
            attribute["Value"] = _stored_values(element)
        if not attribute.get("Value", True):
            del attribute["Value"]
        found[f"{element.tag:08X}"] = attribute
    return found


def from_xml(document: bytes) -> Attributes:
    """A Native DICOM Model document in the form of DICOM JSON (F.3.1).

    Raises:
        ValueError: It is none.
    """
    root = ET.fromstring(document)
    if root.tag.removeprefix(_NAMESPACE) != "NativeDicomModel":
        raise ValueError(f"the root element is {root.tag}, not NativeDicomModel")
    return _attributes_of(root)


def _attributes_of(parent: ET.Element) -> Attributes:
    found: Attributes = {}
    for child in parent:
        if child.tag.removeprefix(_NAMESPACE) != "DicomAttribute":
            raise ValueError(f"{child.tag} stands where a DicomAttribute should")
        tag, vr = child.attrib["tag"], child.attrib["vr"]
        attribute: Attributes = {"vr": vr}
        numbered: list[tuple[int, Any]] = []
        for part in child:
            kind = part.tag.removeprefix(_NAMESPACE)
            if kind == "BulkData":
                attribute["BulkDataURI"] = part.attrib.get("uri") or part.attrib.get("uuid")
                if not attribute["BulkDataURI"]:
                    raise ValueError(f"BulkData of {tag} has neither uri nor uuid (PS3.19 A.1)")
            elif kind == "InlineBinary":
                attribute["InlineBinary"] = "".join((part.text or "").split())
            else:
                value = _value_of(kind, vr, part)
                numbered.append((int(part.attrib["number"]), value))
        if numbered:
            last = max(number for number, _ in numbered)
            by_number = dict(numbered)
            attribute["Value"] = [by_number.get(number) for number in range(1, last + 1)]
        found[tag] = attribute
    return found


def _value_of(kind: str, vr: str, part: ET.Element) -> Any:
    if kind == "Item":
        return _attributes_of(part)
    if kind == "PersonName":
        groups = {group.tag.removeprefix(_NAMESPACE): _components(group) for group in part}
        return {group: "^".join(components) for group, components in groups.items()} or None
    if kind != "Value":
        raise ValueError(f"{kind} stands where a value should")
    text = part.text or ""
    return float(text) if vr in _NUMBERS else text or None


def _components(group: ET.Element) -> list[str]:
    """Those of a person name, in the order of PS3.5 6.2.1; empty ones at the end are left out."""
    by_name = {part.tag.removeprefix(_NAMESPACE): part.text or "" for part in group}
    components = [by_name.get(name, "") for name in _COMPONENTS]
    while components and not components[-1]:
        components.pop()
    return components


def to_xml(attributes: Attributes) -> bytes:
    """A Native DICOM Model document of attributes in the form of DICOM JSON (F.3.1)."""
    root = ET.Element(
        "NativeDicomModel", {"xmlns": _NAMESPACE.strip("{}"), "xml:space": "preserve"}
    )
    _write(root, attributes)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    # A carriage return that is not written so is read as the end of a line (XML 1.0 2.11).
    return document.replace(b"\r", b"&#13;")


def _write(parent: ET.Element, attributes: Attributes) -> None:
    for tag, attribute in attributes.items():
        vr = attribute["vr"]
        given = {"tag": tag, "vr": vr}
        if keyword := keyword_for_tag(int(tag, 16)):
            given["keyword"] = keyword
        element = ET.SubElement(parent, "DicomAttribute", given)
        if "BulkDataURI" in attribute:
            ET.SubElement(element, "BulkData", {"uri": attribute["BulkDataURI"]})
        elif "InlineBinary" in attribute:
            ET.SubElement(element, "InlineBinary").text = attribute["InlineBinary"]
        for number, value in enumerate(attribute.get("Value", ()), 1):
            _write_value(element, vr, {"number": str(number)}, value)


def _write_value(element: ET.Element, vr: str, number: dict[str, str], value: Any) -> None:
    if vr == "SQ":
        _write(ET.SubElement(element, "Item", number), value)
    elif vr == "PN" and value:
        name = ET.SubElement(element, "PersonName", number)
        for group, text in value.items():
            parts = ET.SubElement(name, group)
            for kind, component in zip(_COMPONENTS, text.split("^"), strict=False):
                if component:
                    ET.SubElement(parts, kind).text = component
    elif value not in (None, {}, ""):
        ET.SubElement(element, "Value", number).text = str(value)
