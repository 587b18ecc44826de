// A decision with something to fill in: what follows from it is spelled out before.

import { open } from "./dialog.js";
import { make, onSubmit, toast } from "./dom.js";
import { _, ngettext } from "./words.js";

/** Ask; resolves to true once `act(fields)` is done. fields: nodes. */
export function decide({ title, text = "", consequences = [], fields = [], action, danger = false, act }) {
  let shown = null;
  const form = make("form", { class: "stack" },
    text ? make("p", { class: "note" }, text) : null,
    consequences.length ? make("ul", {}, consequences.map((one) => make("li", {}, one))) : null,
    ...fields,
    make("p", { class: "problem", role: "alert", hidden: true }),
    make("div", { class: "actions" },
      make("button", { type: "button", class: "button quiet", onclick: () => shown.close() }, _("Cancel")),
      make("button", { class: danger ? "button danger" : "button" }, action)));
  shown = open({ title, body: form });
  return new Promise((resolve) => {
    let done = false;
    onSubmit(form, async (said) => {
      await act(said);
      done = true;
      shown.close();
    });
    shown.addEventListener("close", () => resolve(done));
  });
}

/** A field of such a form. */
export function field(label, input, note = "") {
  return make("label", { class: "field" }, make("span", {}, label), input, note ? make("small", {}, note) : null);
}

/** Something to tick. */
export function check(label, attributes) {
  return make("label", { class: "check" }, make("input", { type: "checkbox", ...attributes }), make("span", {}, label));
}

/** Say what became of a decision about images; what could not be decided is a problem. */
export function told({ done, unchanged, refused }) {
  if (!done && refused.length) throw new Error(refused[0].why);
  if (done) toast(ngettext("Decided for %(n)s image.", "Decided for %(n)s images.", done));
  else if (unchanged) toast(_("It was decided already."));
  if (refused.length) toast(ngettext("Not for %(n)s image: %(why)s", "Not for %(n)s images: %(why)s", refused.length, { why: refused[0].why }), "alarm");
}
