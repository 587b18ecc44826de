"""A Structured Report as a page to read (PS3.3 C.17.3, PS3.18 8.7.4: text/html).

Owns the walk over the content tree and the markup. Promises a document that stands alone (no
script, no reference to anything outside), in which everything that came with the report is plain
text, and that no item which has a value is left out: what is not understood is shown by its name.
Never interprets a template: the tree is shown as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

__all__ = ["is_report", "report_html"]

_CONTENT: Final = "0040A730"
_VALUE_TYPE: Final = "0040A040"
_NAME: Final = "0040A043"
_MAX_DEPTH: Final = 64

_HEADER: Final = (
    ("Patient", "00100010"),
    ("Patient ID", "00100020"),
    ("Born", "00100030"),
    ("Sex", "00100040"),
    ("Study", "00081030"),
    ("Study date", "00080020"),
    ("Accession number", "00080050"),
    ("Referring physician", "00080090"),
    ("Institution", "00080080"),
    ("Report of", "00080023"),
    ("Completion", "0040A491"),
    ("Verification", "0040A493"),
)
_VALUES: Final[Mapping[str, str]] = {
    "TEXT": "0040A160",
    "DATE": "0040A121",
    "TIME": "0040A122",
    "DATETIME": "0040A120",
    "PNAME": "0040A123",
    "UIDREF": "0040A124",
    "SCOORD": "00700023",
    "SCOORD3D": "00700023",
}
_REFERENCES: Final = {"IMAGE": "image", "COMPOSITE": "object", "WAVEFORM": "waveform"}
_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 17px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.1rem; margin: 1.6rem 0 .3rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: 0 0 1.5rem;
     padding: .8rem 1rem; border: 1px solid #8884; border-radius: .5rem; }
dt { opacity: .65; } dd { margin: 0; }
p { margin: .3rem 0; white-space: pre-wrap; }
ul { margin: .2rem 0 .2rem; padding-left: 1.2rem; } li { margin: .15rem 0; }
b { font-weight: 600; } small { opacity: .65; }
"""


def is_report(attributes: Mapping[str, Any]) -> bool:
    """Whether the instance has a content tree."""
    return _first(attributes, _VALUE_TYPE) == "CONTAINER"


def report_html(attributes: Mapping[str, Any]) -> str:
    """The page.

    Args:
        attributes: The whole instance, DICOM JSON.
    """
    title = _meaning(attributes.get(_NAME)) or "Structured report"
    rows = "".join(
        f"<dt>{label}</dt><dd>{escape(text)}</dd>"
        for label, tag in _HEADER
        if (text := _plain(attributes.get(tag)))
    )
    body = "".join(_items(attributes, 0))
    return (
        '<!doctype html>\n<html><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n<dl>{rows}</dl>\n{body}</body></html>\n"
    )


def _items(item: Mapping[str, Any], depth: int) -> Iterator[str]:
    """The content items below an item: sections as sections, everything else as a list."""
    listed = False
    for child in _sequence(item, _CONTENT):
        section = _first(child, _VALUE_TYPE) == "CONTAINER" and depth < 2
        if listed == section:
            yield "</ul>\n" if section else "<ul>\n"
            listed = not section
        if depth >= _MAX_DEPTH:
            yield "<li>…</li>"
            break
        yield from _section(child, depth) if section else _line(child, depth)
    if listed:
        yield "</ul>\n"


def _section(item: Mapping[str, Any], depth: int) -> Iterator[str]:
    name = _meaning(item.get(_NAME))
    yield f"<section>{f'<h2>{escape(name)}</h2>' if name else ''}\n"
    yield from _items(item, depth + 1)
    yield "</section>\n"


def _line(item: Mapping[str, Any], depth: int) -> Iterator[str]:
    name, value = _meaning(item.get(_NAME)), _value(item)
    label = f"<b>{escape(name)}</b>" if name else ""
    if "\n" in value or len(value) > 80:
        text = f"{label}<p>{escape(value)}</p>"
    else:
        text = ": ".join(filter(None, (label, escape(value))))
    yield f"<li>{text}"
    yield from _items(item, depth + 1)
    yield "</li>\n"


def _value(item: Mapping[str, Any]) -> str:
    """The value of a content item as text (PS3.3 C.17.3.2, table C.17.3-7)."""
    kind = _first(item, _VALUE_TYPE)
    if kind == "CODE":
        return _meaning(item.get("0040A168"))
    if kind == "NUM":
        return _measurement(item)
    if kind in _REFERENCES:
        return "; ".join(
            f"{_REFERENCES[kind]} {_first(reference, '00081155')}{_frames(reference)}"
            for reference in _sequence(item, "00081199")
        )
    if kind in _VALUES:
        return _plain(item.get(_VALUES[kind]))
    if identifiers := [str(number) for number in _values(item, "0040DB73")]:
        return f"see item {'.'.join(identifiers)}"
    return "" if kind in ("CONTAINER", "") else kind.lower()


def _measurement(item: Mapping[str, Any]) -> str:
    """A number with its unit, or why there is none (PS3.3 C.18.1)."""
    for measured in _sequence(item, "0040A300"):
        unit = next(iter(_sequence(measured, "004008EA")), {})
        code = _first(unit, "00080100")
        # UCUM codes are what people write, but for those that say "no unit" (PS3.16 CID 82).
        shown = _meaning({"Value": [unit]}) if code[:1] in ("{", "[") else code
        return f"{_plain(measured.get('0040A30A'))} {'' if code == '1' else shown}".strip()
    return _meaning(item.get("0040A301")) or "no value"


def _frames(reference: Mapping[str, Any]) -> str:
    frames = ", ".join(str(number) for number in _values(reference, "00081160"))
    return f" (frames {frames})" if frames else ""


def _meaning(element: Any) -> str:
    """What a code means, in the words that came with it (PS3.3 8)."""
    for item in (element or {}).get("Value") or ():
        if isinstance(item, Mapping):
            return _first(item, "00080104") or _first(item, "00080100")
    return ""


def _plain(element: Any) -> str:
    """The values of an attribute as text; dates and names as people write them."""
    if not isinstance(element, Mapping):
        return ""
    vr = element.get("vr")
    return ", ".join(_shown(vr, value) for value in element.get("Value") or () if value is not None)


def _shown(vr: Any, value: Any) -> str:
    if isinstance(value, Mapping):
        name = str(value.get("Ideographic") or value.get("Alphabetic") or "")
        family, *others = name.split("^")
        given, middle, prefix, suffix, *_ = [*others, "", "", "", ""]
        return " ".join(filter(None, (prefix, given, middle, family, suffix)))
    text = str(value)
    if vr in ("DA", "DT") and text[:8].isdecimal() and len(text) >= 8:
        date, time = f"{text[:4]}-{text[4:6]}-{text[6:8]}", text[8:14]
        return f"{date} {_shown('TM', time)}".strip() if time else date
    if vr == "TM" and text[:4].isdecimal() and len(text) >= 4:
        return ":".join(filter(None, (text[:2], text[2:4], text[4:6])))
    return text


def _sequence(dataset: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    return [item for item in _values(dataset, tag) if isinstance(item, Mapping)]


def _values(dataset: Mapping[str, Any], tag: str) -> Sequence[Any]:
    return dataset.get(tag, {}).get("Value") or ()


def _first(dataset: Mapping[str, Any], tag: str) -> str:
    return next((str(value) for value in _values(dataset, tag)), "")
