// The line: what it may carry now, and the way to each archive, tested step by step.

import { Refusal, Unreachable, toWelcome } from "./api.js";
import { byId, icon, make, showProblem } from "./dom.js";
import { _, bytes, date, number } from "./words.js";

const limit = (kbps) => (kbps === null ? _("no limit") : kbps === 0 ? _("nothing goes") : _("%(speed)s a second", { speed: bytes(kbps * 125) }));

function fact(label, value, note) {
  return make("div", { class: "fact" }, make("dt", {}, label), make("dd", { class: "value" }, value), note ? make("dd", { class: "fact-note" }, note) : null);
}

/** What holds now. */
export function lineFacts({ line }) {
  const speed = (value) => (value ? _("%(speed)s a second of late", { speed: bytes(value) }) : "");
  const facts = [
    fact(_("To the cloud"), limit(line.upload_kbps), speed(line.upload_speed)),
    fact(_("From the cloud"), limit(line.download_kbps), speed(line.download_speed)),
    fact(_("This month"), bytes(line.month_sent_bytes + line.month_received_bytes),
      line.budget_bytes
        ? _("of %(all)s; anew on %(day)s", { all: bytes(line.budget_bytes), day: line.budget_renewed ? date(line.budget_renewed) : "?" })
        : _("no budget is set")),
  ];
  byId("line-facts").replaceChildren(...facts);
}

const STEPS = {
  name: _("The name is found"), connect: _("Connection"), proxy: _("Proxy"), tls: _("Encryption"), clock: _("Clock"),
  login: _("Log-in"), search: _("Search"), store: _("A test image is stored"), find: _("It is found"),
  retrieve: _("It comes back the same"), delete: _("It is deleted"),
};
const MARKS = { passed: ["check", "safe", _("works")], noted: ["info", "warning", _("works, but look")], failed: ["close", "alarm", _("fails")] };

function stepRow({ step, verdict, found, hint, milliseconds }) {
  const [mark, level, text] = MARKS[verdict];
  return make("li", { data: { level } },
    make("span", { class: "mark-of" }, icon(mark, text)),
    make("div", {},
      make("p", {}, make("strong", {}, STEPS[step] ?? step), " ", make("small", {}, `${number(Math.round(milliseconds))} ms`)),
      make("p", { class: "words", lang: "en", dir: "auto" }, found),
      hint ? make("p", { class: "hint", lang: "en", dir: "auto" }, hint) : null));
}

/** Take the steps, as the box takes them. */
async function walk(name, onEvent) {
  let answer;
  try {
    answer = await fetch(`/api/v1/archives/${encodeURIComponent(name)}/test`, {
      method: "POST", headers: { Accept: "text/event-stream" }, credentials: "same-origin", cache: "no-store",
    });
  } catch (error) {
    throw new Unreachable(error.message);
  }
  if (answer.status === 401) return toWelcome();
  if (!answer.ok) throw new Refusal(answer.status, await answer.json());
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

for (const part of document.querySelectorAll(".trial")) {
  const [button, steps, problem] = ["button", ".steps", ".problem"].map((one) => part.querySelector(one));
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    problem.hidden = true;
    const waiting = make("li", { class: "waiting" }, make("span", { class: "mark-of" }, icon("clock")), make("p", {}, _("The next step is taken…")));
    steps.replaceChildren(waiting);
    let isOver = false;
    try {
      await walk(part.dataset.archive, (kind, said) => {
        if (kind === "step") waiting.before(stepRow(said));
        if (kind !== "end") return;
        isOver = true;
        waiting.replaceWith(make("li", { class: "verdict", data: { level: said.works ? "safe" : "alarm" } },
          make("span", { class: "mark-of" }, icon(said.works ? "check" : "warning")),
          make("strong", {}, said.works ? _("The way works, there and back.") : _("The way does not work: the last step says why."))));
        if (said.why) showProblem(problem, { message: said.why, hint: said.hint });
      });
      if (!isOver) throw new Unreachable("");
    } catch (error) {
      waiting.remove();
      showProblem(problem, error);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}
