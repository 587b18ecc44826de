// The history as a chart of days: two bars a day, drawn as large as there is room for.

import { ask } from "./api.js";
import { byId, make, showProblem } from "./dom.js";
import { _, bytes, date, ngettext, number } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 224;
const FOOT = 26;
const TOP = 18;
let days = [];
let wanted = 30;

function draw(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

const dayOf = (one) => date(one.date.replaceAll("-", ""));
const short = new Intl.DateTimeFormat(`${{ en: "en-GB" }[document.documentElement.lang] ?? document.documentElement.lang}-u-nu-latn`, { day: "numeric", month: "short", timeZone: "UTC" });
const shortDay = (one) => short.format(new Date(`${one.date}T12:00:00Z`));

/** A round number that is not below this one. */
function roundedUp(value) {
  const size = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 5, 10].map((one) => one * size).find((one) => one >= value);
}

function chart(width) {
  const isRtl = document.documentElement.dir === "rtl";
  const most = roundedUp(Math.max(4, ...days.map((one) => Math.max(one.came, one.safe))));
  const left = 44;
  const room = width - left - 8;
  const step = room / days.length;
  const bar = Math.max(1.5, Math.min(14, step * 0.36));
  // Time runs as text does.
  const place = (x, wide = 0) => (isRtl ? width - x - wide : x);
  const level = (value) => HEIGHT - FOOT - (value / most) * (HEIGHT - FOOT - TOP);
  const parts = [];
  for (const value of [0, most / 2, most]) {
    parts.push(draw("line", { class: "rule", x1: place(left), x2: place(width - 8), y1: level(value), y2: level(value) }));
    parts.push(draw("text", { class: "scale", x: place(left - 8), y: level(value) + 4, "text-anchor": "end" }, number(value)));
  }
  const every = Math.max(1, Math.ceil(72 / step));
  days.forEach((one, index) => {
    const middle = left + (index + 0.5) * step;
    const tip = draw("title", {}, tipOf(one));
    const group = draw("g", { class: "day" }, tip,
      draw("rect", { class: "ground", x: place(middle - step / 2, step), y: TOP, width: step, height: HEIGHT - FOOT - TOP }));
    for (const [kind, x] of [["came", middle - bar - 0.5], ["safe", middle + 0.5]]) {
      if (one[kind]) group.append(draw("rect", { class: kind, x: place(x, bar), y: level(one[kind]), width: bar, height: level(0) - level(one[kind]), rx: Math.min(2.5, bar / 3) }));
    }
    if (one.refused) group.append(draw("circle", { class: "refused", cx: place(middle), cy: TOP - 8, r: 4 }));
    parts.push(group);
    if ((days.length - 1 - index) % every) return;
    // The last day ends with the chart, so that nothing of it is cut off.
    const isLast = index === days.length - 1;
    parts.push(draw("text", { class: "scale", x: place(isLast ? width - 2 : middle), y: HEIGHT - 8, "text-anchor": isLast ? "end" : "middle" }, shortDay(one)));
  });
  const picture = draw("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": summary() }, ...parts);
  byId("chart").replaceChildren(picture);
}

function tipOf(one) {
  const [came, safe, refused] = [_("came in"), _("safe in the cloud"), _("refused by the archive")];
  const parts = [dayOf(one), `${came}: ${number(one.came)} (${bytes(one.came_bytes)})`, `${safe}: ${number(one.safe)} (${bytes(one.safe_bytes)})`];
  if (one.refused) parts.push(`${refused}: ${number(one.refused)}`);
  return parts.join("\n");
}

function summary() {
  const sum = (name) => days.reduce((all, one) => all + one[name], 0);
  const came = ngettext("%(n)s image came in (%(size)s)", "%(n)s images came in (%(size)s)", sum("came"), { size: bytes(sum("came_bytes")) });
  const safe = ngettext("%(n)s became safe in the cloud (%(size)s)", "%(n)s became safe in the cloud (%(size)s)", sum("safe"), { size: bytes(sum("safe_bytes")) });
  return _("%(came)s; %(safe)s.", { came, safe });
}

function show() {
  byId("history-note").textContent = summary();
  byId("history-table").tBodies[0].replaceChildren(...[...days].reverse().map((one) => make("tr", {},
    make("th", { scope: "row" }, dayOf(one)),
    make("td", {}, number(one.came), make("small", {}, ` ${bytes(one.came_bytes)}`)),
    make("td", {}, number(one.safe), make("small", {}, ` ${bytes(one.safe_bytes)}`)),
    make("td", {}, number(one.refused)))));
  redraw();
}

function redraw() {
  const width = byId("chart").clientWidth;
  if (days.length && width) chart(width);
}

/** Ask for it, and show it. */
export async function showHistory({ attended = true } = {}) {
  byId("chart").setAttribute("aria-busy", "true");
  try {
    days = await ask(`/api/v1/sync/history?days=${wanted}`, { attended });
    byId("history-problem").hidden = true;
    show();
  } catch (error) {
    showProblem(byId("history-problem"), error);
  } finally {
    byId("chart").removeAttribute("aria-busy");
  }
}

let drawn = 0;
new ResizeObserver(([{ contentRect }]) => {
  if (contentRect.width === drawn) return;
  drawn = contentRect.width;
  requestAnimationFrame(redraw);
}).observe(byId("chart"));
byId("spans").addEventListener("click", (event) => {
  const chip = event.target.closest("[data-days]");
  if (!chip) return;
  wanted = Number(chip.dataset.days);
  for (const one of byId("spans").children) one.setAttribute("aria-pressed", String(one === chip));
  showHistory();
});
