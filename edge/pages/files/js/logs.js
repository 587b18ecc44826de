// The log: its last lines, and the new ones as they come.

import "./layout.js";
import { ask } from "./api.js";
import { byId, make, showProblem } from "./dom.js";
import { instant } from "./words.js";

const PAUSE = 3000;
const MOST = 2000;
const LEVELS = { WARNING: "warning", ERROR: "alarm", CRITICAL: "alarm" };
const box = byId("log-box");
const problem = byId("log-problem");
let last = 0;
let asked = 0;

const line = (one) => make("li", { data: { level: LEVELS[one.level] ?? "" } },
  make("time", { datetime: new Date(one.at * 1000).toISOString(), title: new Date(one.at * 1000).toISOString() }, instant(one.at)),
  make("span", { class: "line-text" }, `${one.level} ${one.name}: ${one.text}`));

/** Lines behind the last that are known, or all anew. */
async function show({ anew = false, attended = true } = {}) {
  const own = (asked += 1);
  if (anew) last = 0;
  const said = new URLSearchParams({ after: String(last), level: byId("level").value, text: byId("text").value.trim(), limit: anew ? "500" : "2000" });
  try {
    const found = await ask(`/api/v1/logs?${said}`, { attended });
    if (own !== asked) return;
    // A service that began anew counts from 1 again.
    if (!anew && found.last < last) return show({ anew: true, attended });
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 48;
    const list = byId("log");
    if (anew) list.replaceChildren(...found.lines.map(line));
    else list.append(...found.lines.map(line));
    while (list.childElementCount > MOST) list.firstElementChild.remove();
    last = found.last;
    byId("no-lines").hidden = list.childElementCount > 0;
    box.hidden = list.childElementCount === 0;
    if (anew || isAtEnd) box.scrollTop = box.scrollHeight;
    problem.hidden = true;
  } catch (error) {
    if (own === asked && attended) showProblem(problem, error);
  }
}

byId("level").addEventListener("change", () => show({ anew: true }));
let typing = 0;
byId("text").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => show({ anew: true }), 250);
});

async function goOn() {
  if (byId("follow").checked && !document.hidden) await show({ attended: false });
  setTimeout(goOn, PAUSE);
}
show({ anew: true }).then(() => setTimeout(goOn, PAUSE));
