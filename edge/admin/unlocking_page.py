"""What the page of a locked box looks like: its words, its style sheet and its mark.

Owns the HTML, which needs no script, no other host and no font of its own. Promises that everything
that is put into it is shown as text; that it can be read at arm's length, in light and in dark, on
the width of a phone; and that what went wrong is said to who hears the page, too. Decides nothing.
"""

from __future__ import annotations

import html
from typing import Final

from edge.crypto.passphrases import LEAST
from edge.errors import Needs

__all__ = ["MARK", "STYLE", "ask", "choose", "opening", "waits"]

_AGAIN_SECONDS: Final = 8
"""Until the page of an open box is asked for. Nobody answers while it is being opened, and not all
browsers try again by themselves; small boxes take some two seconds."""
_LOOK_SECONDS: Final = 15
"""Until a page looks again whether a box that opens by itself did."""

STYLE: Final = """\
:root {
  color-scheme: light dark;
  --ground: #f4f6f4; --surface: #ffffff; --ink: #16211e; --quiet: #50605a;
  --edge: #dbe2de; --field: #7f8d88; --accent: #0b6b5d; --pressed: #084f45; --on-accent: #ffffff;
  --wrong: #b3261e; --wrong-ground: #fbeae8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1513; --surface: #171f1c; --ink: #e8eeeb; --quiet: #a1b0aa;
    --edge: #2a3632; --field: #74847e; --accent: #5ccab4; --pressed: #82dccb; --on-accent: #06231d;
    --wrong: #ff8a80; --wrong-ground: #3a1c1a;
  }
}
*, ::before, ::after { box-sizing: border-box }
html { font-size: 112.5%; -webkit-text-size-adjust: 100%; text-size-adjust: 100% }
body {
  margin: 0; min-height: 100vh; min-height: 100dvh; padding: 1.5rem; display: grid;
  place-items: center; color: var(--ink); background: var(--ground);
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
main {
  width: 100%; max-width: 29rem; padding: 2.75rem 2.5rem 2.5rem; background: var(--surface);
  border: 1px solid var(--edge); border-radius: 1rem;
}
.mark {
  display: block; width: 2.75rem; height: 2.75rem; margin-inline-start: -.4rem;
  color: var(--accent);
}
a { color: var(--accent); text-underline-offset: .2em }
h1 {
  margin: 1.25rem 0 .5rem; font-size: 1.75rem; line-height: 1.2; font-weight: 650;
  letter-spacing: -.015em; text-wrap: balance;
}
p { margin: 0; text-wrap: pretty }
.quiet { color: var(--quiet) }
.told {
  margin-top: 1.5rem; padding: .75rem 1rem; color: var(--wrong); background: var(--wrong-ground);
  border-inline-start: .25rem solid; border-radius: .5rem; font-weight: 600;
}
form { margin-top: 1.75rem; display: grid; gap: .5rem }
label { font-weight: 600 }
.hint { font-size: .9rem; color: var(--quiet) }
input, button { width: 100%; min-height: 3.25rem; font: inherit; border-radius: .625rem }
input {
  padding: 0 1rem; color: inherit; background: var(--surface); border: 1.5px solid var(--field);
  margin-bottom: .75rem;
}
input[aria-invalid] { border-color: var(--wrong) }
button {
  padding: 0 1.25rem; color: var(--on-accent); background: var(--accent); border: 0;
  font-weight: 650; cursor: pointer;
}
button:hover, button:active { background: var(--pressed) }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px }
input:focus-visible { outline-offset: 0; border-color: var(--accent) }
.help { margin-top: 1.75rem; padding-top: 1.25rem; border-top: 1px solid var(--edge) }
code { font: .95em ui-monospace, "DejaVu Sans Mono", monospace; white-space: nowrap }
@media (max-width: 32rem) {
  body { padding: 0; place-items: start stretch; background: var(--surface) }
  main { max-width: none; padding: 2rem 1.25rem; border: 0; border-radius: 0 }
}
@media (forced-colors: active) { button { border: 1px solid } }
"""
_LOCK: Final = (
    '<g fill="none" stroke="{colour}" stroke-width="2" stroke-linecap="round"'
    ' stroke-linejoin="round"><rect x="4" y="10.5" width="16" height="10.5" rx="2.5"/>'
    '<path d="M8 10.5V7a4 4 0 0 1 {shackle}"/><path d="M12 14.75v2"/></g>'
)
_SHUT, _OPEN = "8 0v3.5", "7.7-1.5"
MARK: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">'
    f"{_LOCK.format(colour='#2a9d92', shackle=_SHUT)}</svg>\n"
)
"""What a browser shows beside the title: a colour for light and dark bars."""
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="/unlock.svg" type="image/svg+xml">
<link rel="stylesheet" href="/unlock.css">
{head}</head>
<body>
<main>
<svg class="mark" viewBox="0 0 24 24" aria-hidden="true">{mark}</svg>
<h1>{title}</h1>
{body}</main>
</body>
</html>
"""
_STATE: Final = (
    '<p class="quiet">Until it is opened, it takes no images and shows none. What is in it is'
    " safe.</p>\n"
)
_TOLD: Final = '<p class="told" id="told" role="alert">{}</p>\n'
_ASK: Final = """\
<form method="post" action="/unlock" autocomplete="off">
<label for="passphrase">Passphrase</label>
<input id="passphrase" type="password" name="passphrase" maxlength="1000" required autofocus{about}>
<button>Open the box</button>
</form>
<p class="help quiet hint">Capitals and spaces count. Is it lost? Who has the recovery key opens the
box on the machine itself: <code>edge key unlock --recovery</code></p>
"""
_CHOOSE: Final = f"""\
<form method="post" action="/unlock" autocomplete="off">
<label for="code">Code</label>
<p class="hint" id="where">The console of the box shows it.</p>
<input id="code" type="text" name="code" maxlength="40" autocapitalize="characters"
 autocorrect="off" spellcheck="false" required autofocus aria-describedby="where{{told}}">
<label for="passphrase">New passphrase</label>
<p class="hint" id="long">{LEAST} characters or more: five words that nobody would put together,
say.</p>
<input id="passphrase" type="password" name="passphrase" maxlength="1000" required
 aria-describedby="long">
<label for="again">The same again</label>
<input id="again" type="password" name="again" maxlength="1000" required>
<button>Choose it and open the box</button>
</form>
<p class="help quiet hint">It opens this box whenever it was switched off. Without it, and without
the recovery key, nothing in the box can ever be read.</p>
"""
_WORDS: Final = {
    Needs.NEW_PASSPHRASE: "Its passphrase is chosen on the machine itself: {}",
    Needs.SERVER: "It opens by itself as soon as it reaches the server that keeps its key.",
    Needs.RECOVERY_KEY: "It is opened with its recovery key, on the machine itself: {}",
    Needs.ADMIN: "It is opened by its administrator, on the machine itself: {}",
}
_COMMANDS: Final = {
    Needs.NEW_PASSPHRASE: "edge key unlock",
    Needs.RECOVERY_KEY: "edge key unlock --recovery",
    Needs.ADMIN: "edge key unlock",
}


def ask(told: str) -> str:
    """The page that asks for the passphrase; *told* is what went wrong before, or empty."""
    about = ' aria-invalid="true" aria-describedby="told"' if told else ""
    return _locked(_STATE + _said(told) + _ASK.format(about=about))


def choose(told: str) -> str:
    """That on which the first passphrase is chosen."""
    lead = '<p class="quiet">It waits for the passphrase that will open it.</p>\n'
    body = lead + _said(told) + _CHOOSE.format(told=" told" if told else "")
    return _locked(body, title="This box is new")


def waits(needs: Needs | None, told: str) -> str:
    """That of a box which no page opens."""
    words, head = "", ""
    if needs is Needs.SERVER:
        head = _refresh(_LOOK_SECONDS)
    if needs in _WORDS:
        command = f"<code>{_COMMANDS.get(needs, '')}</code>"
        words = f'<p class="help">{_WORDS[needs].format(command)}</p>\n'
    return _locked(_STATE + _said(told) + words, head=head)


def opening() -> str:
    """That of a box which is being opened; it goes on by itself."""
    body = (
        '<p class="quiet" role="status">The box is being opened. This page goes on by itself in a'
        ' few seconds.</p>\n<p class="help hint">Does it not? <a href="/">Go on</a></p>\n'
    )
    head = _refresh(_AGAIN_SECONDS)
    return _PAGE.format(title="Opening", head=head, mark=_mark(_OPEN), body=body)


def _locked(body: str, *, head: str = "", title: str = "This box is locked") -> str:
    return _PAGE.format(title=title, head=head, mark=_mark(_SHUT), body=body)


def _refresh(seconds: int) -> str:
    return f'<meta http-equiv="refresh" content="{seconds}; url=/">\n'


def _mark(shackle: str) -> str:
    return _LOCK.format(colour="currentColor", shackle=shackle)


def _said(told: str) -> str:
    return _TOLD.format(html.escape(told)) if told else ""
