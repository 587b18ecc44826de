// All studies: found as one types, in a list of any length, which follows what happens.
//
// What is looked for stands in the address: a filter can be linked to, and Back comes back to it.

import { follow } from "./layout.js";
import { ask } from "./api.js";
import { byId, make, showProblem } from "./dom.js";
import { List } from "./table.js";
import { address, images, kind, picture, presence, vouched } from "./picturing.js";
import { _, ago, date, ngettext, person } from "./words.js";

const TYPING = 150;
const AT_ONCE = 50;
const SOON = 2000;
const LATER = 10000;
const form = byId("search-form");
const chips = [...form.querySelectorAll(".chip")];
const selects = [byId("modality"), byId("days"), byId("order")];

// What is looked for ------------------------------------------------------------------------------

let asked = {};
function read() {
  const parameters = new URLSearchParams(location.search);
  asked = Object.fromEntries([...parameters].filter(([name, value]) => value && ["q", "custody", "here", "pinned", "modality", "days", "order"].includes(name)));
  byId("q").value = asked.q ?? "";
  for (const select of selects) {
    const value = asked[select.name] ?? "";
    if (![...select.options].some((one) => one.value === value)) select.append(make("option", { value }, value));
    select.value = value;
  }
  showChips();
}

function showChips() {
  for (const chip of chips) {
    const on = Object.entries(chip.dataset).every(([name, value]) => asked[name] === value);
    chip.setAttribute("aria-pressed", String(on));
  }
  const filters = Object.keys(asked).filter((name) => name !== "order");
  byId("clear").hidden = filters.length === 0;
}

/** Look for something else; a new step of the history unless it is one more letter. */
function look(changes, { step = true } = {}) {
  asked = Object.fromEntries(Object.entries({ ...asked, ...changes }).filter(([, value]) => value));
  const search = new URLSearchParams(asked).toString();
  history[step ? "pushState" : "replaceState"](null, "", search ? `?${search}` : location.pathname);
  showChips();
  list.reload();
}

const day = (back) => {
  const at = new Date();
  at.setDate(at.getDate() - back);
  return `${at.getFullYear()}${String(at.getMonth() + 1).padStart(2, "0")}${String(at.getDate()).padStart(2, "0")}`;
};

async function load(offset, limit, signal, attended = true) {
  const { days, ...rest } = asked;
  const query = new URLSearchParams({ ...rest, limit, offset });
  if (days) query.set("since", day(Number(days) - 1));
  const { total, items } = await ask(`/api/v1/studies?${query}`, { signal, attended });
  byId("problem").hidden = true;
  const said = ngettext("%(n)s study", "%(n)s studies", total);
  if (byId("found").textContent !== said) byId("found").textContent = said;
  return { rows: items, total };
}

let typing = 0;
byId("q").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(() => look({ q: event.target.value.trim() }, { step: false }), TYPING);
});
byId("q").addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown") return;
  event.preventDefault();
  list.body.focus();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  look({ q: byId("q").value.trim() });
});
for (const chip of chips) {
  chip.addEventListener("click", () => {
    const [[name, value]] = Object.entries(chip.dataset);
    look({ [name]: asked[name] === value ? "" : value });
  });
}
for (const select of selects) select.addEventListener("change", () => look({ [select.name]: select.value }));
byId("clear").addEventListener("click", () => {
  history.pushState(null, "", location.pathname);
  read();
  list.reload();
  byId("q").focus();
});
addEventListener("popstate", () => {
  read();
  list.reload();
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, select, textarea, dialog");
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  byId("q").focus();
});

// The list ----------------------------------------------------------------------------------------

/** Parts in a line; each keeps its own direction, whatever that of the page is. */
const parts = (...all) => all.filter(Boolean).map((one, place) => make("span", {}, place ? " · " : "", make("bdi", {}, one)));
const two = (above, below) => make("span", { class: "two" }, make("span", {}, ...[above].flat()), make("small", {}, ...[below].flat()));

// Where there is no room for columns each row has three lines.
const isNarrow = matchMedia("(max-width: 60rem)");
const tall = () => (isNarrow.matches ? 92 : 72);

read();
const list = new List(byId("studies"), {
  label: _("Studies"),
  rowHeight: tall(),
  empty: byId("studies").dataset.empty,
  id: (study) => study.study_uid,
  onOpen: (study) => location.assign(address(study.study_uid)),
  load,
  columns: [
    { title: make("span", { class: "hidden" }, _("Picture")), width: "3.25rem", class: "pic",
      render: (study) => picture(address(study.study_uid), study.modalities, study) },
    { title: _("Patient"), width: "minmax(9rem, 6fr)", class: "who",
      render: (study) => two(
        make("a", { href: address(study.study_uid), tabindex: "-1", dir: "auto" }, person(study.patient_name)),
        parts(study.patient_id, date(study.birth_date))) },
    { title: _("Examination"), width: "minmax(0, 6fr)", class: "what",
      render: (study) => two(
        [kind(study.modalities), make("bdi", {}, study.description || _("No description"))],
        parts(date(study.study_date), study.accession_number)) },
    { title: _("Images"), width: "minmax(0, 3fr)", class: "counts",
      render: (study) => two(
        make("span", { class: "tabular" }, images(study.instances)),
        asked.order === "arrival" ? ago(study.arrived) : presence(study)) },
    { title: _("Custody"), width: "11rem", class: "custody", render: vouched },
  ],
});
isNarrow.addEventListener("change", () => list.resize(tall()));
byId("studies").addEventListener("problem", (event) => showProblem(byId("problem"), event.detail));

// What happens ------------------------------------------------------------------------------------

let timer = 0;
let due = Infinity;
/** Look again within so long; one look answers all who want one. */
function soon(milliseconds) {
  const at = Date.now() + milliseconds;
  if (at >= due) return;
  due = at;
  clearTimeout(timer);
  timer = setTimeout(() => {
    due = Infinity;
    if (!document.hidden) list.refresh();
    else document.addEventListener("visibilitychange", () => list.refresh(), { once: true });
  }, milliseconds);
}

let before = {};
function changed(name, value) {
  const now = JSON.stringify(value);
  const isNew = before[name] !== undefined && before[name] !== now;
  before[name] = now;
  return isNew;
}
let known = null;
follow({
  arrivals: ({ arrived }) => {
    const isFirst = known === null;
    const isNew = !isFirst && arrived.some((one) => !known.has(one.study_uid));
    known = new Set(arrived.map((one) => one.study_uid));
    // A study that is new is shown at once; that another image of one came can wait a little. One
    // that came between the list and the first word of it is not to be missed.
    if (changed("arrivals", arrived) || isFirst) soon(isNew ? AT_ONCE : SOON);
  },
  state: ({ studies, instances, custody, sealed_bytes: sealed }) => {
    if (changed("state", [studies, instances, custody, sealed])) soon(LATER);
  },
});
