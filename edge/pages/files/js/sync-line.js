// The line: what it may carry now, and the way to each archive, tested step by step.

import { byId, make, showProblem } from "./dom.js";
import { walk } from "./walk.js";
import { _, bytes, date } from "./words.js";

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

for (const part of document.querySelectorAll(".trial")) {
  const [button, steps, problem] = ["button", ".walk", ".problem"].map((one) => part.querySelector(one));
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    problem.hidden = true;
    try {
      await walk(steps, `/api/v1/archives/${encodeURIComponent(part.dataset.archive)}/test`);
    } catch (error) {
      showProblem(problem, error);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}
