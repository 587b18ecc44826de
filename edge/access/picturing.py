"""What a phone reads from a screen, as a QR code: an app's secret, an invitation, a recovery key.

Owns the drawing alone. Promises that nothing in it runs or is loaded, and that it says what it was
given, and keeps none of that.
"""

from __future__ import annotations

from io import BytesIO

__all__ = ["picture_of"]


def picture_of(text: str) -> str:
    """It as a QR code, SVG of no size of its own. Blocks for some milliseconds."""
    import segno  # noqa: PLC0415 - half a megabyte that few starts need

    out = BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="svg", xmldecl=False, omitsize=True)
    return out.getvalue().decode()
