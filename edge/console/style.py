"""How the page on the screen of the box looks, in the words of textual.

Of colours, those sixteen that a text console has, by what they are there: it shows the nearest one,
and what is bold and black as dark grey. Of buttons, the one alone is filled that Enter presses.
"""

from __future__ import annotations

from typing import Final

__all__ = ["STYLE"]

STYLE: Final = """
Screen { background: #000000; color: #ffffff; }
#title { height: 1; padding: 0 1; text-style: bold; }
#sentence { height: auto; padding: 0 1; margin-bottom: 1; text-style: bold; }
.safe { background: #008000; } .busy { background: #008080; }
.warning { background: #808000; } .alarm { background: #800000; }
#facts { width: 1fr; max-width: 64; padding: 0 1; }
#picture { width: auto; padding: 0 1; color: #ffffff; background: #000000; }
Footer { background: #000080; color: #ffffff; }
FooterKey { background: #000080; color: #ffffff; }
FooterKey .footer-key--key { background: #000080; color: #ffff00; }
ModalScreen { align: center middle; }
.form { width: 72; max-width: 100%; height: auto; max-height: 100%; border: solid #ffffff;
        background: #000000; padding: 0 1; }
.heading { text-style: bold; margin-bottom: 1; }
.fields { height: auto; max-height: 12; }
.field { height: 1; } .field Label { width: 15; } .field Input { width: 1fr; }
.field .input--placeholder { color: #c0c0c0; }
#notes { color: #c0c0c0; height: auto; max-height: 4; }
#wrong { color: #ffff00; height: auto; }
#help { color: #c0c0c0; }
#left { color: #ffff00; }
#seen { margin-bottom: 1; }
#text { margin-bottom: 1; }
.buttons { height: 3; }
.buttons Button { margin-right: 2; background: #000000; color: #ffffff; border: solid #808080;
                  text-style: none; tint: #000000 0%; }
.buttons Button:focus { background: #c0c0c0; color: #000000; border: solid #c0c0c0;
                        text-style: none; background-tint: #000000 0%; tint: #000000 0%; }
"""
