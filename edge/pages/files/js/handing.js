// What is shown once, to be handed to somebody: read, copied, printed or scanned, and then gone.

import { open } from "./dialog.js";
import { icon, make, toast } from "./dom.js";
import { _ } from "./words.js";

/** An SVG of the box as an image. */
export const picture = (svg, alt) => make("img", { class: "qr", alt, width: "224", height: "224", src: `data:image/svg+xml;base64,${btoa(svg)}` });

/** Show it. note: what it is for. secret: the text itself. svg: the same to be scanned. */
export function handOver({ title, note, secret, svg = "", facts = [] }) {
  const text = make("p", { class: "secret handed", dir: "ltr" }, secret);
  return open({ title, body: [
    make("p", { class: "note" }, note),
    svg ? picture(svg, _("The same as a code to be scanned")) : null,
    text,
    ...facts.map((one) => make("p", { class: "note" }, one)),
    make("p", { class: "note" }, _("It can’t be shown again.")),
    make("div", { class: "actions" },
      make("button", { type: "button", class: "button quiet", onclick: () => copy(secret, text) }, icon("copy"), _("Copy")),
      make("button", { type: "button", class: "button quiet", onclick: () => window.print() }, icon("print"), _("Print"))),
  ].filter(Boolean) });
}

async function copy(secret, shown) {
  try {
    await navigator.clipboard.writeText(secret);
    toast(_("Copied."));
  } catch { // Without TLS, browsers give no clipboard: it is marked, to be copied by hand.
    getSelection().selectAllChildren(shown);
  }
}
