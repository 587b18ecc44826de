// A walk to an archive, each step told as the box takes it; a look at something is told the same way.

import { Refusal, Unreachable, toWelcome } from "./api.js";
import { icon, make } from "./dom.js";
import { _, number } from "./words.js";

const STEPS = {
  name: _("The name is found"), connect: _("Connection"), proxy: _("Proxy"), tls: _("Encryption"), clock: _("Clock"),
  login: _("Log-in"), search: _("Search"), store: _("A test image is stored"), find: _("It is found"),
  retrieve: _("It comes back the same"), delete: _("It is deleted"),
};
const MARKS = { passed: ["check", "safe", _("works")], noted: ["info", "warning", _("works, but look")], failed: ["close", "alarm", _("fails")] };

/** One line of a list of class `walk`; what the box found is in its own words. */
export function walkRow(title, { verdict, found, hint }, aside = null) {
  const [mark, level, text] = MARKS[verdict];
  return make("li", { data: { level } },
    make("span", { class: "mark-of" }, icon(mark, text)),
    make("div", {},
      make("p", {}, make("strong", {}, title), aside ? [" ", make("small", {}, aside)] : null),
      make("p", { class: "words", lang: "en", dir: "auto" }, found),
      hint ? make("p", { class: "hint", lang: "en", dir: "auto" }, hint) : null));
}

/** Ask for it, and hear of each event of the stream that is the answer. */
async function steps(path, body, onEvent) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST", credentials: "same-origin", cache: "no-store",
      headers: { Accept: "text/event-stream", ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    throw new Unreachable(error.message);
  }
  if (answer.status === 401) return toWelcome();
  if (!answer.ok) throw new Refusal(answer.status, await answer.json().catch(() => ({})));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read().catch((error) => { throw new Unreachable(error.message); });
    if (done) return;
    held += value;
    const blocks = held.split("\n\n");
    held = blocks.pop();
    for (const block of blocks) {
      const kind = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (kind && data) onEvent(kind, JSON.parse(data));
    }
  }
}

/**
 * Walk, and tell each step in a list of class `walk`; whether the way works. `only`: names of the
 * steps that are told even if they pass.
 */
export async function walk(list, path, body, only = null) {
  const waiting = make("li", { class: "waiting" }, make("span", { class: "mark-of" }, icon("clock")), make("p", {}, _("The next step is taken…")));
  list.replaceChildren(waiting);
  let end = null;
  try {
    await steps(path, body, (kind, said) => {
      if (kind === "end") end = said;
      else if (kind === "step" && (!only || only.includes(said.step) || said.verdict === "failed")) {
        waiting.before(walkRow(STEPS[said.step] ?? said.step, said, `${number(Math.round(said.milliseconds))}\u00a0ms`));
      }
    });
    if (!end) throw new Unreachable("");
    if (end.why) throw new Refusal(409, { detail: end.why, hint: end.hint });
    waiting.replaceWith(make("li", { class: "verdict", data: { level: end.works ? "safe" : "alarm" } },
      make("span", { class: "mark-of" }, icon(end.works ? "check" : "warning")),
      make("strong", {}, end.works ? _("The way works, there and back.") : _("The way does not work: the last step says why."))));
    return end.works;
  } finally {
    waiting.remove();
  }
}
