// Asking a person before something is done, with what follows from it spelled out.

import { icon, make, wordsOf } from "./dom.js";
import { _ } from "./words.js";

/**
 * Ask; resolves to true once `act` is done, to false if the person would rather not.
 *
 * title: a question. consequences: what will be so, each a sentence. action: the verb on the button.
 * danger: it can't be undone. typed: a word that has to be typed first. act: async; if it fails, the
 * dialog stays, and says why.
 */
export function confirm({ title, text = "", consequences = [], action, danger = false, typed = "", act = async () => {} }) {
  const problem = make("p", { class: "problem", role: "alert", hidden: true });
  const go = make("button", { class: danger ? "button danger" : "button", disabled: Boolean(typed) }, action);
  const word = typed
    ? make("label", { class: "field" }, make("span", {}, _("Type %(word)s to go on", { word: typed })),
        make("input", { autocomplete: "off", spellcheck: "false", oninput: (event) => { go.disabled = event.target.value.trim() !== typed; } }))
    : null;
  const form = make("form", { method: "dialog", class: "stack" },
    make("h2", { id: "dialog-title" }, title),
    text ? make("p", { class: "note" }, text) : null,
    consequences.length ? make("ul", {}, consequences.map((one) => make("li", {}, one))) : null,
    word, problem,
    make("div", { class: "actions" },
      make("button", { type: "button", class: "button quiet", onclick: () => shown.close() }, _("Cancel")), go));
  const shown = make("dialog", { "aria-labelledby": "dialog-title" }, form);
  return new Promise((resolve) => {
    let done = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (go.disabled) return;
      go.disabled = true;
      try {
        await act();
        done = true;
        shown.close();
      } catch (error) {
        problem.replaceChildren(...wordsOf(error));
        problem.hidden = false;
        go.disabled = false;
      }
    });
    shown.addEventListener("close", () => {
      shown.remove();
      resolve(done);
    });
    show(shown);
  });
}

/** A dialog of a page's own: nodes in, the element out; it closes by its cross, Escape, or `close()`. */
export function open({ title, body }) {
  const close = make("button", { type: "button", class: "plain", "aria-label": _("Close"), onclick: () => shown.close() }, icon("close"));
  const shown = make("dialog", { "aria-labelledby": "dialog-title" },
    make("div", { class: "stack" },
      make("div", { class: "page-head" }, make("h2", { id: "dialog-title" }, title), close), ...[body].flat()));
  shown.addEventListener("close", () => shown.remove());
  show(shown);
  return shown;
}

// One that was closed is told so, and goes, a moment later: the next one does not stand beside it.
function show(dialog) {
  for (const closed of document.querySelectorAll("dialog:not([open])")) closed.remove();
  document.body.append(dialog);
  dialog.showModal();
}
