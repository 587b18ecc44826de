// Settings: changed in place, tried by the box at once, applied together.

import "./layout.js";
import { ask } from "./api.js";
import { archiveFields, canBe, primaryOf, tryArchive } from "./archive.js";
import { authorityRow } from "./authority.js";
import { confirm, open } from "./dialog.js";
import { byId, icon, make, onSubmit, showProblem, toast, wordsOf } from "./dom.js";
import { begin, inForce } from "./force.js";
import { showMoved } from "./moved.js";
import { _, ngettext } from "./words.js";
import { problemOf, wrong as wrongOf } from "./wrong.js";

// Key, what it is called, what follows from it, and more: unit, scale (of the number that is shown).
const GROUPS = (ports) => [
  [_("The box"), [
    ["appliance.name", _("Name"), _("Stands on every page and in the audit. Your clinic’s name is a good one.")],
    ["appliance.time_zone", _("Time zone"), _("All times on the pages are told in it; empty: that of the machine."), { placeholder: "Europe/Dublin" }],
    ...pagePort(ports),
    ["page.language", _("Language"), _("Of whoever has not chosen one."), { names: { en: "English", fr: "Français", es: "Español", ar: "العربية" } }],
    ["access.idle_minutes", _("Log out who does nothing"), _("Shorter is safer where a screen stands in a corridor."), { unit: _("minutes") }],
    ["access.session_hours", _("Log out in any case after"), _("A shift is a good measure."), { unit: _("hours") }],
    ["access.link_days", _("A link to a study holds for"), _("At the most; 0: no study is shared by a link."), { unit: _("days") }],
    ["access.oidc.client_secret", _("Secret of this box at the identity provider"), _("Leave it empty, and it stays as it is."), { only: "access.oidc.issuer" }],
    ["access.oidc.proxy_password", _("Password at the proxy on the way there"), _("Leave it empty, and it stays as it is."), { only: "access.oidc.proxy_user" }],
  ]],
  [_("Devices"), [
    ["dimse.ae_title", _("AE title"), _("Devices call the box by it: who changes it enters it in every device, too.")],
    ["dimse.listen", _("Address and port"), _("Where devices reach the box; 0.0.0.0 means every network that it has.")],
    ["dimse.unknown_peers", _("Devices that nobody approved"), _("Learn: they are turned away, and wait on the page of devices to be approved."), { names: { reject: _("Turn away"), learn: _("Learn"), accept: _("Let in (laboratory only)") } }],
    ["dimse.commit_after", _("A device may delete its images"), _("The box vouches for an image once it is there."), { names: { cloud: _("Once the cloud has them"), edge: _("Once this box has them") } }],
    ["procedures.quiet_seconds", _("A study is complete after"), _("Without a new image for so long."), { unit: _("seconds") }],
  ]],
  [_("Line"), [
    ["sync.max_upload_kbps", _("Upload at most"), _("So that others on the line can work; 0: as fast as it goes."), { unit: "kbit/s" }],
    ["sync.max_download_kbps", _("Download at most"), _("The same for what comes from the cloud."), { unit: "kbit/s" }],
    ["sync.monthly_budget_mb", _("Data in a month"), _("Sync stops there until the month is over; 0: no limit."), { unit: "MB" }],
    ["sync.calendar", _("Calendar of limits"), _("One rule a line, such as mon-fri 08:00-18:00 2000 kbps; the later ones win.")],
    ["sync.verify", _("Check what was sent"), _("All: every image is read back from the cloud; safest, and twice the data."), { names: { all: _("All"), sample: _("A sample of each series") } }],
    ["sync.preview_first", _("A few images of each series first"), _("A doctor elsewhere sees something sooner; the whole takes as long.")],
  ]],
  [_("What is kept here"), [
    ["cache.reserve_bytes", _("Leave free on the disk"), _("For everything else on this machine."), { unit: "GiB", scale: 1024 ** 3 }],
    ["cache.keep_days", _("Keep what was used within"), _("Older studies make room first; they stay in the cloud."), { unit: _("days") }],
    ["cache.pin", _("Always here"), _("One rule a line, such as modality MG within 2 years.")],
    ["sync.trash_days", _("Keep what the cloud deleted"), _("It can be brought back for so long."), { unit: _("days") }],
    ["sync.absent", _("If a study vanishes from the cloud"), _("What becomes of the copy here."), { names: { trash: _("It goes to the trash"), ask: _("Somebody is asked"), "send-again": _("It is sent again") } }],
    ["sync.prefetch", _("Earlier studies that come ahead"), _("One rule a line, such as CT: 2 within 3 years of CT,MR.")],
    ["backup.archive", _("Backups go to the cloud"), _("Sealed: only the recovery key opens them.")],
  ]],
  [_("Updates"), [
    ["update.url", _("Server of updates"), _("A folder with updates; empty: they come on sticks. Whatever it gives must be signed by who made the box."), { placeholder: "https://…" }],
    ["update.proxy_password", _("Password at the proxy on the way there"), _("Leave it empty, and it stays as it is."), { only: "update.proxy_user" }],
    ["update.by_itself", _("The box does by itself"), _("What is installed is written at a quiet moment, and taken back if it does not work."), { names: { look: _("Look for updates"), download: _("Fetch them, too"), install: _("Install them, too") } }],
    ["update.hours", _("Installed by itself at"), _("One rule a line, such as sat,sun 01:00-05:00.")],
  ]],
];
const ARCHIVES = "cloud.archive";
const PORT = "http.interface";

/** By which network port page and API are reached: shown where there is more than one, or one was chosen. */
function pagePort(ports) {
  const now = known.get(PORT).value;
  if (ports.length < 2 && !(now && ports.length)) return [];
  const names = { "": _("every network port") };
  for (const one of ports) names[one.name] = one.is_yours ? _("%(port)s, by which you came", { port: one.name }) : one.name;
  if (now) names[now] ??= _("%(port)s, which is not there", { port: now });
  return [[PORT, _("The page is reached by"), _("One network port alone, or every one; the same holds for programs (API, DICOMweb), and devices come by each. Only the one by which you came can be chosen here, so that you are not kept out; any can be at the screen of the box."), { names, among: Object.keys(names) }]];
}

let known = new Map();
let changes = {};
const rows = new Map();

/** A number as it is typed: no more than three digits behind the point, for bytes that are no round number of them. */
const plain = (value) => String(Math.round(value * 1000) / 1000);

const isSecret = (one) => one.kind === "text" && typeof one.value === "boolean";

function shown(one, value, { scale = 1, names = {} } = {}) {
  if (typeof value === "boolean") return value ? _("yes") : _("no");
  if (Array.isArray(value)) return value.map((each) => (typeof each === "object" ? each.name : each)).join("; ") || _("none");
  if (typeof value === "number") return plain(value / scale);
  return names[value] ?? (value === "" ? _("none") : String(value));
}

function control(one, more, change) {
  const { scale = 1, names = {}, among = one.choices } = more;
  const common = { id: one.key, disabled: one.source === "fixed" || !one.is_remote, "aria-describedby": `${one.key}-effect ${one.key}-problem` };
  if (one.kind === "switch") return make("input", { ...common, type: "checkbox", checked: one.value, onchange: (event) => change(event.target.checked) });
  if (one.kind === "choice" || more.among) {
    return make("select", { ...common, onchange: (event) => change(event.target.value) },
      among.map((value) => make("option", { value, selected: value === one.value }, names[value] ?? value)));
  }
  if (one.kind === "texts") {
    const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);
    return make("textarea", { ...common, rows: Math.max(2, one.value.length + 1), dir: "ltr", spellcheck: "false", oninput: (event) => change(lines(event.target.value)) }, one.value.join("\n"));
  }
  // Of a secret, the box tells whether there is one.
  if (isSecret(one)) return make("input", { ...common, type: "password", autocomplete: "new-password", oninput: (event) => change(event.target.value || one.value) });
  if (one.kind === "text") return make("input", { ...common, value: one.value, placeholder: more.placeholder, spellcheck: "false", dir: "auto", oninput: (event) => change(event.target.value.trim()) });
  const read = (text) => {
    const typed = Number(text.replace(",", "."));
    if (text.trim() === "" || Number.isNaN(typed)) return text;
    return one.kind === "count" ? Math.round(typed * scale) : typed;
  };
  return make("input", { ...common, inputmode: "decimal", value: plain(one.value / scale), size: "10", oninput: (event) => change(read(event.target.value)) });
}

function settingRow(key, label, effect, more = {}) {
  const one = known.get(key);
  if (!one || (more.only && !known.get(more.only)?.value)) return null;
  const problem = make("p", { class: "problem", id: `${key}-problem`, role: "alert", hidden: true });
  const made = make("div", { class: "setting" },
    make("label", { for: key }, label),
    make("div", { class: "control" }, control(one, more, (value) => propose(key, value)), more.unit ? make("span", { class: "note" }, more.unit) : null,
      one.source === "fixed" ? make("span", { class: "badge" }, icon("pin"), _("fixed by %(place)s", { place: one.where })) : null),
    make("p", { class: "note", id: `${key}-effect` }, effect), problem);
  rows.set(key, { made, problem, label, more });
  return made;
}

let waiting = 0;
function propose(key, value) {
  if (JSON.stringify(value) === JSON.stringify(known.get(key).value)) delete changes[key];
  else changes[key] = value;
  showBar();
  clearTimeout(waiting);
  waiting = setTimeout(check, 300);
}

let asked = 0;
async function check() {
  const mine = ++asked;
  let problem = null;
  if (Object.keys(changes).length) {
    try {
      problem = await problemOf(changes);
    } catch (error) {
      return showProblem(byId("problem"), error);
    }
  }
  if (mine !== asked) return;
  byId("problem").hidden = true;
  const wrong = problem && [...rows.keys()].find((key) => problem.key === key || problem.key.startsWith(`${key}.`));
  for (const [key, row] of rows) {
    row.problem.hidden = key !== wrong;
    byId(key)?.setAttribute("aria-invalid", String(key === wrong));
    if (key === wrong) row.problem.replaceChildren(...wordsOf(wrongOf(problem, changes)));
  }
  byId("apply").disabled = Boolean(problem);
  byId("wrong").hidden = !wrong;
  if (!wrong) return problem && showProblem(byId("problem"), wrongOf(problem, changes));
  byId("wrong").textContent = _("Look at “%(name)s”", { name: rows.get(wrong).label });
  byId("wrong").href = `#${wrong}`;
}

function showBar() {
  const count = Object.keys(changes).length;
  byId("bar").hidden = count === 0;
  byId("count").textContent = ngettext("%(n)s change", "%(n)s changes", count);
  for (const [key, row] of rows) row.made.dataset.changed = key in changes ? "yes" : "no";
}

async function apply() {
  let begun = null;
  const sentences = Object.entries(changes).map(([key, value]) => {
    const { label = key, more = {} } = rows.get(key) ?? {};
    const one = known.get(key);
    if (isSecret(one)) return _("%(name)s: it is said anew.", { name: label });
    return _("%(name)s: %(before)s becomes %(after)s.", { name: label, before: shown(one, one.value, more), after: shown(one, value, more) });
  });
  const done = await confirm({
    title: _("Apply the changes?"),
    consequences: [...sentences, _("The service begins anew within seconds once no transfer is under way; those that run are finished. If they never pause, new ones are asked after a minute to come again."),
      _("If it can’t start so, everything is as before.")],
    action: _("Apply"),
    act: async () => { begun = await begin(changes); },
  });
  if (done) await settle(begun);
}

async function settle(begun) {
  byId("pending").hidden = false;
  let now;
  try {
    now = await inForce(begun);
  } catch (error) {
    return showProblem(byId("problem"), error);
  } finally {
    byId("pending").hidden = true;
  }
  changes = {};
  take(now);
  if (!now.setback) toast(_("The changes are in force."));
}

function archivesCard() {
  const one = known.get(ARCHIVES);
  const fixed = one.source === "fixed";
  const list = changes[ARCHIVES] ?? one.value;
  const primary = primaryOf(list);
  const order = [...list.keys()].sort((a, b) => (b === primary) - (a === primary));
  const problem = make("p", { class: "problem", id: `${ARCHIVES}-problem`, role: "alert", hidden: true });
  const card = make("section", { class: "card stack setting-group", "aria-labelledby": "archives-title" },
    make("div", { class: "cluster" }, make("h2", { id: "archives-title" }, _("Cloud archives")),
      fixed ? make("span", { class: "badge" }, _("fixed by %(place)s", { place: one.where })) : null),
    make("p", { class: "note" }, _("Everything goes to the first one; images that only this box has wait until it has them.")),
    list.length ? null : make("p", { class: "empty" }, _("No archive is set up: images are kept in this box alone.")),
    make("ul", { class: "rows" }, order.map((at) => [at, list[at]]).map(([at, archive]) => make("li", {},
      make("div", {}, make("p", { class: "who" }, archive.name), make("p", { class: "what" }, make("bdi", { dir: "ltr" }, archive.url))),
      make("div", { class: "cluster" },
        make("button", { type: "button", class: "button quiet small", "aria-label": _("Test %(name)s", { name: archive.name }), onclick: () => test(archive.name) }, _("Test")),
        fixed ? null : make("button", { type: "button", class: "button quiet small", "aria-label": _("Change %(name)s", { name: archive.name }), onclick: () => edit(at) }, _("Change")),
        fixed ? null : make("button", { type: "button", class: "button quiet small", "aria-label": _("Remove %(name)s", { name: archive.name }), onclick: () => remove(at) }, _("Remove")))))),
    problem,
    fixed ? null : make("div", {}, make("button", { type: "button", class: "button quiet", onclick: () => edit(list.length) }, icon("plus"), _("Add an archive"))));
  rows.set(ARCHIVES, { made: card, problem, label: _("Cloud archives"), more: {} });
  return card;
}

/** The clinic's own authorities, which came with the file that set the box up; none: no card. */
function trustedCard(trusted) {
  if (!trusted.length) return [];
  return [make("section", { class: "card stack setting-group", "aria-labelledby": "trusted-title" },
    make("h2", { id: "trusted-title" }, _("Authorities of the clinic’s own")),
    make("p", { class: "note" }, _("They came with the file that set the box up, and are trusted on every way out. They stay as they are; a newer one is given to the box at the archive.")),
    make("ul", { class: "rows authorities", "aria-labelledby": "trusted-title" }, trusted.map(authorityRow)))];
}

const archives = () => structuredClone(changes[ARCHIVES] ?? known.get(ARCHIVES).value);

function changed(list) {
  propose(ARCHIVES, list);
  rows.get(ARCHIVES).made.replaceWith(archivesCard());
  showBar();
}

function edit(at) {
  const list = archives();
  const fields = archiveFields(list[at] ?? (list.length ? { role: "copy", name: "" } : {}));
  const walked = make("ul", { class: "walk", "aria-live": "polite" });
  const problem = make("p", { class: "problem", role: "alert", hidden: true });
  const form = make("form", { class: "stack" }, fields.node, problem, walked,
    make("div", { class: "actions" }, make("button", { type: "button", class: "button quiet", onclick: () => tryIt() }, _("Test it")), make("button", { class: "button" }, _("Use it"))));
  const all = () => { const made = archives(); made[at] = fields.value(); return made; };
  const tryIt = async () => {
    problem.hidden = true;
    try {
      if (await canBe(fields, at, all(), changes)) await tryArchive(walked, fields.value().name, all());
    } catch (error) {
      showProblem(problem, error);
    }
  };
  const dialog = open({ title: list[at] ? _("Change an archive") : _("Add an archive"), body: form });
  onSubmit(form, async () => {
    const made = all();
    if (!await canBe(fields, at, made, changes)) return;
    dialog.close();
    changed(made);
  });
}

async function remove(at) {
  const list = archives();
  const [gone] = list.splice(at, 1);
  await confirm({
    title: _("Remove %(name)s?", { name: gone.name }),
    consequences: [_("Nothing goes there any more once the change is applied. What is there stays there."), _("What only this box has is then safe nowhere else.")],
    action: _("Remove"), danger: true, act: async () => changed(list),
  });
}

function test(name) {
  const walked = make("ul", { class: "walk", "aria-live": "polite" });
  const problem = make("p", { class: "problem", role: "alert", hidden: true });
  open({ title: _("The way to %(name)s", { name }), body: [walked, problem] });
  tryArchive(walked, name, changes[ARCHIVES] ?? null).catch((error) => showProblem(problem, error));
}

function take(now) {
  known = new Map(now.settings.map((one) => [one.key, one]));
  rows.clear();
  byId("setback").hidden = !now.setback;
  if (now.setback) byId("setback").replaceChildren(_("The last changes could not be used, and were taken back:"), " ", make("span", { lang: "en", dir: "auto" }, now.setback));
  const groups = GROUPS(now.page_ports).map(([title, items], at) => make("section", { class: "card", "aria-labelledby": `group-${at}` },
    make("h2", { id: `group-${at}` }, title), items.map((item) => settingRow(...item))));
  byId("settings").replaceChildren(groups[0], archivesCard(), ...trustedCard(now.trusted), ...groups.slice(1));
  byId("rest").replaceChildren(...now.settings.filter((one) => !rows.has(one.key)).map((one) => make("tr", {},
    make("td", {}, make("code", { dir: "ltr" }, one.key)), make("td", { dir: "auto" }, one.kind === "tables" || one.kind === "other" ? JSON.stringify(one.value) : shown(one, one.value)),
    make("td", {}, one.source === "fixed" ? one.where : one.source === "box" ? _("this box") : _("by default")))));
  showBar();
}

byId("wrong").addEventListener("click", (event) => {
  event.preventDefault();
  const wrong = byId(event.currentTarget.hash.slice(1)) ?? rows.get(ARCHIVES).made;
  wrong.scrollIntoView({ block: "center" });
  wrong.focus();
});
byId("settings").addEventListener("submit", (event) => event.preventDefault());
byId("discard").addEventListener("click", () => {
  changes = {};
  byId("wrong").hidden = true;
  byId("apply").disabled = false;
  load();
});
byId("apply").addEventListener("click", apply);

async function load() {
  try {
    take(await ask("/api/v1/settings"));
  } catch (error) {
    showProblem(byId("problem"), error);
  }
}
showMoved();
await load();
