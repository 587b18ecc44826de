// Who is scheduled, who is expected, how far examinations are, and where all of that comes from.

import { follow } from "./layout.js";
import { ask } from "./api.js";
import { decide, field } from "./decide.js";
import { confirm } from "./dialog.js";
import { byId, icon, make, onSubmit, showProblem, toast } from "./dom.js";
import { Paged } from "./paged.js";
import { tabs } from "./tabs.js";
import { _, ago, date, moment, ngettext, number, person } from "./words.js";

const { today, own } = byId("worklist").dataset;
const mayStore = byId("worklist").hasAttribute("data-stores");
const PAUSE = 15000;

const modality = (text) => make("span", { class: "modality" }, text || "–");
const badge = (text, level) => make("span", { class: "badge", data: level ? { level } : {} }, text);
const joined = (...parts) => parts.filter(Boolean).join(" · ");

// Steps ------------------------------------------------------------------------------------------------

const STATES = { "IN PROGRESS": [_("has begun"), "busy"], COMPLETED: [_("is done"), "safe"], DISCONTINUED: [_("was broken off"), "warning"] };
const clock = (text) => (/^\d{4}/.test(text) ? `${text.slice(0, 2)}:${text.slice(2, 4)}` : text || "–");
let day = today;

const steps = new Paged("steps", {
  path: "",
  id: (step) => `${step.source} ${step.study_uid} ${step.step_id}`,
  make: (step) => {
    const [text, level] = STATES[step.state] ?? [_("scheduled"), ""];
    return make("li", {},
      make("p", { class: "who" }, make("span", { class: "clock" }, clock(step.time)), " ", person(step.patient_name)),
      make("p", { class: "when" }, badge(text, level)),
      make("p", { class: "what" }, modality(step.modality), joined(step.description, step.station_ae_title, step.accession_number)),
      make("p", { class: "when" }, day ? "" : date(step.date)),
      make("p", { class: "what" }, joined(step.patient_id, step.birth_date && _("born %(day)s", { day: date(step.birth_date) }), _("from %(source)s", { source: sourceName(step.source) }))),
      mayStore && step.source === "api"
        ? make("button", { type: "button", class: "button quiet small", onclick: () => remove(step) }, icon("trash"), _("Take it off"))
        : make("span", {}));
  },
});

function sourceName(name) {
  return name === "api" ? _("this page and programs") : name;
}

function showDay(value) {
  day = value;
  steps.path = day ? `/api/v1/worklist?date=${day}` : "/api/v1/worklist";
  if (day) byId("day").value = day;
  byId("day-all").setAttribute("aria-pressed", String(!day));
}

function moved(by) {
  const at = new Date(`${day || byId("day").value || today}T12:00:00Z`);
  at.setUTCDate(at.getUTCDate() + by);
  showDay(at.toISOString().slice(0, 10));
  steps.renew();
}
byId("day-before").addEventListener("click", () => moved(-1));
byId("day-after").addEventListener("click", () => moved(1));
byId("day").addEventListener("change", (event) => {
  if (!event.target.value) return;
  showDay(event.target.value);
  steps.renew();
});
byId("day-all").addEventListener("click", () => {
  showDay(day ? "" : byId("day").value || today);
  steps.renew();
});
showDay(today);

async function remove(step) {
  if (await confirm({
    title: _("Take this off the list?"), action: _("Take it off"), danger: true,
    consequences: [_("Devices are not offered it any more."), _("Images that came of it stay as they are.")],
    act: async () => {
      const { changed } = await ask(`/api/v1/worklist?${new URLSearchParams({ study_uid: step.study_uid, step_id: step.step_id })}`, { method: "DELETE" });
      toast(changed ? _("It is off the list.") : _("It was off the list already."));
    },
  })) steps.renew();
}

const text = (name, attributes = {}) => make("input", { name, autocomplete: "off", maxlength: "64", dir: "auto", ...attributes });
byId("add")?.addEventListener("click", async () => {
  const fields = [
    make("div", { class: "pair" },
      field(_("Family name"), text("family", { required: true })),
      field(_("Given name"), text("given")),
      field(_("Patient ID"), text("patient_id", { required: true })),
      field(_("Born"), make("input", { name: "birth_date", type: "date" })),
      field(_("Sex"), make("select", { name: "sex" }, [["", _("not known")], ["F", _("female")], ["M", _("male")], ["O", _("other")]].map(([value, label]) => make("option", { value }, label)))),
      field(_("Accession number"), text("accession_number", { maxlength: "16", dir: "ltr" }))),
    make("div", { class: "pair" },
      field(_("Modality"), text("modality", { required: true, maxlength: "16", dir: "ltr", pattern: "[A-Za-z0-9_]+" }), _("Such as CT, MR, US or DX.")),
      field(_("AE title of the device"), text("station_ae_title", { required: true, maxlength: "16", dir: "ltr" }), _("By which it asks for its list.")),
      field(_("Day"), make("input", { name: "date", type: "date", required: true, value: day || today })),
      field(_("Time"), make("input", { name: "time", type: "time", required: true, value: "08:00" }))),
    field(_("What for"), text("description")),
    field(_("Who sent the patient"), text("physician")),
  ];
  let flaws = "";
  const done = await decide({
    title: _("Schedule somebody"), fields, action: _("Put on the list"),
    text: _("The device gets it the next time that it asks."),
    act: async ({ family, given, modality: kind, time, ...rest }) => {
      // A caret or an equals sign would begin another part of the name (PS3.5 6.2.1).
      const part = (value) => value.trim().replace(/[\^=\\]/g, " ");
      const step = { ...rest, patient_name: given.trim() ? `${part(family)}^${part(given)}` : part(family), modality: kind.trim().toUpperCase(), time: time.slice(0, 5) };
      const said = Object.fromEntries(Object.entries(step).map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
      const [added] = await ask("/api/v1/worklist", { body: said });
      flaws = added.flaws;
    },
  });
  if (!done) return;
  if (flaws) toast(_("It is on the list, but: %(flaws)s", { flaws }), "alarm");
  else toast(_("It is on the list."));
  steps.renew();
});

// Expected patients --------------------------------------------------------------------------------------

const expected = new Paged("expected", {
  path: "/api/v1/expected",
  id: (one) => [one.patient_id, one.issuer, one.date, one.source, one.modality, one.body_part].join("\n"),
  make: (one) => make("li", {},
    make("p", { class: "who" }, one.patient_id),
    make("p", { class: "when" }, date(one.date)),
    make("p", { class: "what" }, joined(one.modality, one.body_part, one.issuer, announcer(one.source))),
    mayStore && one.source === own
      ? make("button", { type: "button", class: "button quiet small", onclick: () => takeBack(one) }, _("Take back"))
      : make("span", {})),
});

function announcer(source) {
  // A source of the worklist is told from a person, or a program, of the same name.
  const [isList, name] = source.startsWith("[worklist] ") ? [true, source.slice("[worklist] ".length)] : [false, source];
  return isList ? _("on the worklist, from %(source)s", { source: sourceName(name) }) : _("announced by %(name)s", { name: name || "?" });
}

async function takeBack(one) {
  const on = one.date.replace(/^(\d{4})(\d{2})(\d{2})$/, "$1-$2-$3");
  if (await confirm({
    title: _("Take this announcement back?"), action: _("Take back"),
    consequences: [_("Nothing more is brought for this patient."), _("What is here already stays.")],
    act: () => ask(`/api/v1/expected?${new URLSearchParams({ patient_id: one.patient_id, date: on })}`, { method: "DELETE" }),
  })) expected.renew();
}

if (byId("announce")) onSubmit(byId("announce"), async ({ patient_id, date: on }) => {
  const { changed } = await ask("/api/v1/expected", { body: [{ patient_id: patient_id.trim(), date: on }] });
  toast(changed ? _("Announced. What the cloud has comes as soon as the line allows.") : _("That was announced already."));
  byId("announce").reset();
  expected.renew();
});

// Examinations -------------------------------------------------------------------------------------------

const link = (uid, words) => make("a", { href: `/studies/${encodeURIComponent(uid)}` }, words);
const procedures = new Paged("procedures", {
  path: "/api/v1/procedures",
  id: (step) => step.sop_uid,
  make: (step) => {
    const [words, level] = STATES[step.state] ?? [step.state, "busy"];
    const name = person(step.patient_name);
    return make("li", {},
      make("p", { class: "who" }, step.study_uids.length ? link(step.study_uids[0], name) : name),
      make("p", { class: "when" }, badge(words, level)),
      make("p", { class: "what" }, modality(step.modality), joined(step.description, step.station || step.peer, step.accession_numbers.join(", "))),
      make("p", { class: "when" }, ago(step.changed)),
      make("p", { class: "what" },
        ngettext("%(n)s image", "%(n)s images", step.instances),
        step.missing ? [" · ", badge(ngettext("%(n)s is missing", "%(n)s are missing", step.missing), "warning")] : null),
      make("span", {}),
      step.told.map((one) => make("p", { class: "words span" }, one.refused
        ? _("%(peer)s refused to hear of it:", { peer: one.peer })
        : one.waiting ? _("%(peer)s is still to be told.", { peer: one.peer }) : _("%(peer)s was told.", { peer: one.peer }),
      one.refused ? make("span", { lang: "en", dir: "auto" }, ` ${one.reason}`) : null)));
  },
});

// What comes in ------------------------------------------------------------------------------------------

const arrivals = new Paged("arrivals", {
  path: "/api/v1/arrivals",
  id: (one) => one.study_uid,
  make: (one) => {
    const notes = [];
    if (one.steps) notes.push(_("%(done)s of %(all)s steps are over", { done: number(one.steps - one.in_progress), all: number(one.steps) }));
    if (one.missing) notes.push(ngettext("%(n)s is missing", "%(n)s are missing", one.missing));
    if (one.unnamed) notes.push(ngettext("%(n)s came that no step names", "%(n)s came that no step names", one.unnamed));
    return make("li", {},
      make("p", { class: "who" }, link(one.study_uid, _("Study that began at %(time)s", { time: moment(one.since) }))),
      make("p", { class: "when" }, ago(one.latest)),
      make("p", { class: "what" }, joined(ngettext("%(n)s image", "%(n)s images", one.instances), ...notes)),
      make("p", { class: "when" }, one.fresh === one.instances ? "" : ngettext("%(n)s is new", "%(n)s are new", one.fresh)));
  },
});

// Sources ------------------------------------------------------------------------------------------------

async function showSources(attended) {
  try {
    const found = await ask("/api/v1/worklist/sources", { attended });
    byId("sources-problem").hidden = true;
    byId("sources-empty").hidden = found.some((one) => one.name !== "api");
    byId("sources").replaceChildren(...found.map((one) => make("li", {},
      make("p", { class: "who" }, sourceName(one.name)),
      make("p", { class: "when" }, one.error ? badge(_("does not answer"), "warning") : badge(_("works"), "safe")),
      make("p", { class: "what" }, joined(
        ngettext("%(n)s is on the list", "%(n)s are on the list", one.steps),
        one.succeeded ? _("renewed %(when)s", { when: ago(one.succeeded) }) : one.name === "api" ? "" : _("never renewed yet"),
        one.error && one.due ? _("believed until %(time)s", { time: moment(one.due) }) : "")),
      make("p", { class: "when" }, one.failing_since ? _("since %(time)s", { time: moment(one.failing_since) }) : ""),
      one.error ? make("p", { class: "words span", lang: "en", dir: "auto" }, one.error) : null,
      one.problems.length ? make("details", { class: "span" },
        make("summary", {}, ngettext("%(n)s entry is not as it should be", "%(n)s entries are not as they should be", one.problems.length)),
        make("ul", { lang: "en", dir: "auto" }, one.problems.map((problem) => make("li", { class: "words" }, problem)))) : null)));
  } catch (error) {
    showProblem(byId("sources-problem"), error);
  }
}

// Parts --------------------------------------------------------------------------------------------------

const parts = { steps, expected, procedures, arrivals };
let shown = "";
function renew(attended) {
  if (shown === "sources") showSources(attended);
  else parts[shown]?.renew({ attended });
}
tabs(byId("tabs"), (name) => {
  shown = name;
  renew(true);
});

// Every look at patients is recorded: it is taken when something happened, and not all the time.
let due = 0;
let first = true;
follow({ arrivals: () => {
  if (first) first = false;
  else due ||= setTimeout(() => { due = 0; renew(false); }, PAUSE);
} });
