// The record: searching, paging, exporting, and proving that it is as it was written; what is found
// wrong is an alarm until an admin says that they know of it.

import "./layout.js";
import { ask } from "./api.js";
import { open } from "./dialog.js";
import { byId, make, onSubmit, showProblem, toast, wordsOf } from "./dom.js";
import { roleName } from "./narrowing.js";
import { _, date, instant, moment, ngettext, number, person } from "./words.js";

const form = byId("filters");
const names = Object.fromEntries([...form.elements.event.options].map((one) => [one.value, one.text]));
let before = null;
let asked = 0;

/** What the form says, as the box is asked. */
function query() {
  const said = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    const text = String(value).trim();
    if (!text) continue;
    // Days of this place: from the first moment of one, to the last of the other.
    if (name === "since") said.set(name, String(new Date(`${text}T00:00`).getTime() / 1000));
    else if (name === "until") said.set(name, String(new Date(`${text}T23:59:59.999`).getTime() / 1000));
    else said.set(name, text);
  }
  return said;
}

async function show({ more = false } = {}) {
  const said = query();
  const own = (asked += 1);
  said.set("limit", "50");
  if (more && before) said.set("before", String(before));
  const found = await ask(`/api/v1/audit?${said}`);
  if (own !== asked) return;
  before = found.before;
  const rows = found.entries.map(row);
  if (more) byId("entries").append(...rows);
  else byId("entries").replaceChildren(...rows);
  byId("older").hidden = before === null;
  const none = byId("entries").childElementCount === 0;
  byId("no-entries").hidden = !none;
  byId("entries-box").hidden = none;
  if (more) rows[0]?.querySelector("button")?.focus();
}

const OUTCOMES = { 4: "warning", 8: "alarm", 12: "alarm" };
const outcome = (code) => ({ 4: _("refused"), 8: _("failed"), 12: _("grave") })[code] ?? "";
const nameOf = (actor) => actor.name || _("nobody known");

function row(entry) {
  const { actor, about = {} } = entry;
  const how = [entry.instances ? ngettext("%(n)s image", "%(n)s images", entry.instances) : "", entry.times > 1 ? ngettext("%(n)s time", "%(n)s times", entry.times) : "", entry.target ?? ""];
  return make("tr", {},
    make("td", {}, moment(entry.at)),
    make("td", {}, make("bdi", {}, nameOf(actor)), make("div", { class: "soft" }, [actor.ae_title, actor.address].filter(Boolean).join(" · "))),
    make("td", {}, names[entry.event] ?? entry.event, " ",
      entry.outcome ? make("span", { class: "badge", data: { level: OUTCOMES[entry.outcome] ?? "warning" } }, outcome(entry.outcome)) : null,
      make("div", { class: "soft" }, how.filter(Boolean).join(" · "))),
    make("td", {}, about.patient_name ? make("bdi", {}, person(about.patient_name)) : "", make("div", { class: "soft" }, about.patient_id ?? "")),
    make("td", {}, make("button", { type: "button", class: "button quiet small", "aria-label": _("Details of entry %(n)s", { n: entry.number }), onclick: () => details(entry) }, _("Details"))));
}

function details(entry) {
  const { actor, about = {} } = entry;
  const facts = [
    [_("When"), entry.until ? _("%(from)s to %(to)s", { from: instant(entry.at, { always: true }), to: instant(entry.until) }) : instant(entry.at, { always: true })],
    [_("Who"), [nameOf(actor), actor.role && roleName(actor.role)].filter(Boolean).join(" · ")],
    [_("Log-in"), [actor.proof, actor.token].filter(Boolean).join(" · ")],
    [_("From where"), [actor.ae_title, actor.address].filter(Boolean).join(" · ")],
    [_("Emergency access"), actor.emergency],
    [_("What"), [entry.what, entry.target].filter(Boolean).join(" · ")],
    [_("Outcome"), entry.outcome ? outcome(entry.outcome) : _("done")],
    [_("Reason"), entry.reason],
    [_("Patient"), [about.patient_name ? person(about.patient_name) : "", about.patient_id].filter(Boolean).join(" · ")],
    [_("Study"), about.study_uid],
    [_("Accession number"), about.accession_number],
    [_("Searched for"), entry.query],
    ...Object.entries(entry.detail ?? {}),
  ];
  open({ title: `${names[entry.event] ?? entry.event} · ${number(entry.number)}`, body: make("dl", { class: "entry-facts" },
    facts.filter(([, text]) => text).flatMap(([name, text]) => [make("dt", {}, name), make("dd", { dir: "auto" }, text)])) });
}

onSubmit(form, () => show());
form.addEventListener("reset", () => setTimeout(() => show().catch((error) => showProblem(form.querySelector(".problem"), error))));
byId("older").addEventListener("click", () => show({ more: true }).catch((error) => showProblem(form.querySelector(".problem"), error)));

byId("export").addEventListener("click", () => {
  const link = (format, text) => {
    const said = query();
    said.set("format", format);
    return make("a", { class: "button quiet", href: `/api/v1/audit/export?${said}`, download: true, onclick: () => shown.close() }, text);
  };
  const shown = open({ title: _("Export what the search finds"), body: [
    make("p", { class: "note" }, _("The file names patients: keep it as you keep their records. That you take it is recorded.")),
    make("div", { class: "cluster" },
      link("csv", _("A table (CSV)")), link("dicom", _("Audit messages of DICOM (XML)")), link("json", _("Lines for programs (JSON)"))),
  ] });
});

byId("check").addEventListener("click", async () => {
  const told = make("p", { role: "status" }, _("Every entry is being proved. A long record takes some minutes."));
  const list = make("ul", { class: "rows" });
  const shown = open({ title: _("Check the record"), body: [told, list] });
  try {
    const found = await ask("/api/v1/audit/check");
    told.replaceChildren(
      make("span", { class: "badge", data: { level: found.sound ? "safe" : "alarm" } }, found.sound ? _("as it was written") : _("it was changed")), " ",
      found.entries ? ngettext("%(n)s entry since %(date)s.", "%(n)s entries since %(date)s.", found.entries, { date: date(found.since) }) : _("It has no entry yet."));
    list.replaceChildren(...found.findings.map((one) => make("li", {},
      make("p", { class: "who", lang: "en", dir: "auto" }, one.what),
      make("span", { class: "badge", data: { level: one.is_harmless ? "busy" : "alarm" } }, one.is_harmless ? _("harmless") : one.fault))));
    const after = [make("p", { class: "words" }, _("Last entry: %(n)s, digest %(digest)s", { n: number(found.last), digest: found.digest }))];
    if (found.is_alarm) after.push(
      make("p", {}, _("It stays an alarm on every screen until somebody says that they know of it. What is found later is a new one.")),
      make("div", { class: "actions" }, make("button", { type: "button", class: "button", onclick: () => know(found.flaws, shown, told) }, _("I know of it"))));
    list.after(...after);
  } catch (error) {
    told.replaceChildren(...wordsOf(error));
  }
});

async function know(flaws, shown, told) {
  try {
    const { is_alarm: isAlarm } = await ask("/api/v1/audit/seen", { body: { flaws } });
    shown.close();
    toast(isAlarm ? _("It stays an alarm: more was found meanwhile. Check the record again.") : _("It is no alarm any more. That you said so is in the record."));
  } catch (error) {
    told.replaceChildren(...wordsOf(error));
  }
}

// What a link of another page asks for.
for (const [name, value] of new URLSearchParams(location.search)) {
  const field = form.elements.namedItem(name);
  if (field && "value" in field && name !== "failed") {
    field.value = value;
    if (value) field.closest("details")?.setAttribute("open", "");
  }
}
show().catch((error) => showProblem(form.querySelector(".problem"), error));
if (location.hash === "#check") byId("check").click();
