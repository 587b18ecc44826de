"""Writes the Native DICOM Model in XML (PS3.19 A.1), as archives answer with it.

Knows what answers of archives are made of, and no more.
"""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape, quoteattr


def native_model(dataset: dict[str, Any]) -> bytes:
    """One data set as a document."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel>']

    def write(level: dict[str, Any]) -> None:
        for tag, element in level.items():
            lines.append(f"<DicomAttribute tag={quoteattr(tag)} vr={quoteattr(element['vr'])}>")
            for number, value in enumerate(element.get("Value", []), 1):
                if element["vr"] == "SQ":
                    lines.append(f'<Item number="{number}">')
                    write(value)
                    lines.append("</Item>")
                elif element["vr"] == "PN":
                    family, _, given = value.get("Alphabetic", "").partition("^")
                    lines.append(
                        f'<PersonName number="{number}"><Alphabetic>'
                        f"<FamilyName>{escape(family)}</FamilyName>"
                        f"<GivenName>{escape(given)}</GivenName></Alphabetic></PersonName>"
                    )
                else:
                    lines.append(f'<Value number="{number}">{escape(str(value))}</Value>')
            lines.append("</DicomAttribute>")

    write(dataset)
    lines.append("</NativeDicomModel>")
    return "\n".join(lines).encode()
