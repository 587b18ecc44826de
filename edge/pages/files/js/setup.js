// The first boot, step by step. What is done is what the box says is done, so one may come back at any time.

import "./layout.js";
import { ask } from "./api.js";
import { archiveFields, primaryOf, tryArchive } from "./archive.js";
import { byId, icon, inSmallLetters, make, onSubmit, showProblem } from "./dom.js";
import { enrolling, go } from "./enrol.js";
import { change } from "./force.js";
import { picture } from "./handing.js";
import { keyPaper } from "./paper.js";
import { walkRow } from "./walk.js";
import { _, moment } from "./words.js";

const quiet = { welcome: false };
const ORDER = ["clinic", "network", "cloud", "recovery", "device", "image"];
const IMAGE = ["store", "find", "retrieve", "delete"];
const done = {};
let known = new Map();
let timer = 0;

// The code from the console ------------------------------------------------------------------------------

const codes = byId("code-form");
if (codes) {
  const again = () => location.assign("/setup");
  const enrol = enrolling(again, again);
  inSmallLetters(codes.elements.name);
  onSubmit(codes, async ({ code, name, display_name, password, again: repeated }) => {
    if (password !== repeated) throw new Error(_("The two passwords are not the same."));
    const who = await ask("/login/redeem", { body: { code: code.trim(), password, name: name.trim().toLowerCase(), display_name: display_name.trim() }, ...quiet });
    enrol.confirming = password;
    enrol.take(who);
  });
  if (document.body.dataset.who === "limited") go("step-enrol");
}

// What is done --------------------------------------------------------------------------------------------

const value = (key) => known.get(key)?.value;
async function look() {
  const [{ settings }, { peers }, doctor, key, { custody }] = await Promise.all([
    ask("/api/v1/settings"), ask("/api/v1/peers"), ask("/api/v1/peers/doctor"), ask("/api/v1/keys/recovery"), ask("/api/v1/status")]);
  known = new Map(settings.map((one) => [one.key, one]));
  done.clinic = known.get("appliance.name").source !== "default";
  done.cloud = primaryOf(value("cloud.archive")) < value("cloud.archive").length;
  done.recovery = key.made !== null;
  done.device = peers.length > 0 && doctor.peers.some((one) => one.called !== null);
  // Of a box that works, real images went the same way.
  done.image = done.cloud && (sessionStorage.getItem("edge-image") === "yes" || custody.VERIFIED > 0);
  return { key };
}

function mark() {
  for (const item of byId("steps").children) item.dataset.done = done[item.dataset.step] ? "yes" : "no";
}

const TEXTS = () => ({
  clinic: [_("The clinic has no name yet."), _("Give it one")],
  cloud: [_("No cloud archive is set up: images are kept in this box alone."), _("Set one up")],
  recovery: [_("There is no recovery key: a stolen or broken box can’t be made anew."), _("Make one")],
  device: [_("No device has called yet."), _("Connect one")],
  image: [_("No test image was in the cloud yet."), _("Send one")],
});

// Going from step to step ----------------------------------------------------------------------------------

async function to(name) {
  byId("paper")?.remove();
  clearTimeout(timer);
  byId("problem").hidden = true;
  let facts = {};
  try {
    facts = await look();
  } catch (error) {
    return showProblem(byId("problem"), error);
  }
  mark();
  for (const stage of document.querySelectorAll(".stage")) stage.hidden = stage.id !== `stage-${name}`;
  for (const item of byId("steps").children) {
    if (item.dataset.step === name) item.firstElementChild.setAttribute("aria-current", "step");
    else item.firstElementChild.removeAttribute("aria-current");
  }
  if (location.hash !== `#${name}`) history.replaceState(null, "", `#${name}`);
  byId(`stage-${name}`).querySelector("h1").focus();
  await STAGES[name]?.(facts);
}
const after = (name) => to(ORDER[ORDER.indexOf(name) + 1] ?? "done");
const here = () => (document.querySelector(".stage:not([hidden])")?.id ?? "").replace("stage-", "");

const STAGES = { clinic, network, cloud, recovery, device, image, done: finish };

// Clinic ----------------------------------------------------------------------------------------------------

function clinic() {
  const form = byId("clinic-form");
  for (const [field, key] of [["name", "appliance.name"], ["language", "page.language"], ["zone", "appliance.time_zone"]]) {
    form.elements[field].value = value(key);
    form.elements[field].disabled = known.get(key).source === "fixed";
  }
  if (!done.clinic) form.elements.name.value = "";
  if (known.get("page.language").source === "default") form.elements.language.value = document.documentElement.lang;
  form.elements.zone.value ||= Intl.DateTimeFormat().resolvedOptions().timeZone;
  byId("zones").replaceChildren(...(Intl.supportedValuesOf?.("timeZone") ?? []).map((zone) => make("option", { value: zone })));
}

async function saveClinic({ name, language, zone }) {
  const wanted = { "appliance.name": name?.trim(), "page.language": language, "appliance.time_zone": zone?.trim() };
  // Devices that nobody knows are to be seen while one is set up; they are turned away all the same.
  if (value("dimse.unknown_peers") === "reject") wanted["dimse.unknown_peers"] = "learn";
  const changes = Object.fromEntries(Object.entries(wanted).filter(([key, said]) => said !== undefined && known.get(key).source !== "fixed" && (said !== value(key) || known.get(key).source === "default")));
  byId("clinic-wait").hidden = false;
  try {
    if (Object.keys(changes).length) await change(changes);
  } finally {
    byId("clinic-wait").hidden = true;
  }
  if (wanted["appliance.name"]) document.querySelector(".door-brand p").textContent = wanted["appliance.name"];
  await after("clinic");
}

// Network ---------------------------------------------------------------------------------------------------

async function network() {
  const problem = byId("network-problem");
  problem.hidden = true;
  const names = { address: _("An address"), router: _("A way out of the building"), names: _("A name server"), clock: _("The clock") };
  try {
    const { looks } = await ask("/api/v1/network");
    byId("looks").replaceChildren(...looks.map((one) => walkRow(names[one.what], { verdict: one.is_fine ? "passed" : "noted", found: one.found, hint: one.hint })));
    done.network = looks.every((one) => one.is_fine);
    mark();
  } catch (error) {
    showProblem(problem, error);
  }
}

// Cloud -----------------------------------------------------------------------------------------------------

let fields = null;
function cloud() {
  const one = known.get("cloud.archive");
  const fixed = one.source === "fixed";
  byId("cloud-form").hidden = fixed;
  byId("cloud-fixed").hidden = byId("cloud-fixed-next").hidden = !fixed;
  byId("cloud-fixed").textContent = _("It is set up already, by %(place)s.", { place: one.where });
  fields = archiveFields(one.value[primaryOf(one.value)]);
  byId("cloud-fields").replaceChildren(fields.node);
  byId("cloud-steps").replaceChildren();
}

async function saveCloud() {
  const archives = structuredClone(value("cloud.archive"));
  const primary = fields.value();
  archives[primaryOf(archives)] = primary;
  const works = await tryArchive(byId("cloud-steps"), primary.name, archives);
  if (!works) throw new Error(_("The way to the archive does not work yet: the last step above says what to do."));
  byId("cloud-wait").hidden = false;
  try {
    await change({ "cloud.archive": archives });
  } finally {
    byId("cloud-wait").hidden = true;
  }
  sessionStorage.setItem("edge-image", "no");
  await after("cloud");
}

// Recovery key ------------------------------------------------------------------------------------------------

function recovery({ key }) {
  byId("recovery-shown").hidden = byId("recovery-form").hidden = true;
  byId("recovery-begin").hidden = false;
  byId("recovery-made").hidden = key.made === null;
  if (key.made !== null) byId("recovery-made").textContent = _("One was made at %(time)s. Another is needed only if that is lost; older backups open with the older one alone.", { time: moment(key.made) });
  byId("recovery-form").reset();
  byId("recovery-problem").hidden = !key.trouble;
  if (key.trouble) showProblem(byId("recovery-problem"), new Error(key.trouble));
}

async function showKey() {
  byId("recovery-problem").hidden = true;
  try {
    const { groups, picture: svg } = await ask("/api/v1/keys/recovery", { body: { renew: done.recovery } });
    byId("groups").replaceChildren(...groups.map((group) => make("li", {}, group)));
    byId("scan").replaceChildren(picture(svg, _("The same as a code to be scanned")));
    keyPaper({ name: value("appliance.name"), groups, svg });
    byId("recovery-begin").hidden = true;
    byId("recovery-shown").hidden = false;
    byId("written").focus();
  } catch (error) {
    showProblem(byId("recovery-problem"), error);
  }
}

// First device --------------------------------------------------------------------------------------------------

async function device() {
  byId("ae-title").textContent = value("dimse.ae_title");
  const [, listens = "", port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(value("dimse.listen").trim()) ?? [];
  const isLoopback = /^(127\..*|::1|localhost)$/.test(listens);
  byId("port").textContent = port;
  byId("loopback").hidden = !isLoopback;
  // Where it listens; if that is everywhere, an address by which this browser came, or else the box's own: many devices take no names.
  const isAnywhere = ["", "0.0.0.0", "::"].includes(listens);
  byId("address").textContent = isAnywhere ? location.hostname : listens;
  if (isAnywhere && (!/^[\d.]+$|:/.test(location.hostname) || /^127\.|^\[?::1/.test(location.hostname))) {
    const { looks } = await ask("/api/v1/network").catch(() => ({ looks: [] }));
    const own = looks.find((one) => one.what === "address");
    if (own?.is_fine) [byId("address").textContent] = own.found.split(", ");
  }
  await watch();
}

async function watch() {
  clearTimeout(timer);
  if (here() !== "device") return;
  try {
    const [{ strangers }, doctor] = await Promise.all([
      ask("/api/v1/peers", { attended: false }), ask("/api/v1/peers/doctor", { attended: false })]);
    showNews(strangers, doctor);
    byId("device-problem").hidden = true;
  } catch (error) {
    showProblem(byId("device-problem"), error);
  }
  timer = setTimeout(watch, 1500);
}

let last = "";
function showNews(strangers, doctor) {
  const now = JSON.stringify([strangers, doctor]);
  if (now === last) return;
  last = now;
  const fine = doctor.peers.filter((one) => one.called !== null);
  const news = fine.map((one) => make("p", { class: "cluster" }, icon("check", _("done")), _("%(device)s called, and all went well.", { device: one.name || one.ae_title })));
  for (const one of strangers) {
    news.push(make("div", { class: "alarm", data: { level: "warning" } }, icon("peers"),
      make("div", {}, make("h2", {}, _("%(device)s called from %(address)s.", { device: one.ae_title, address: one.host })),
        make("p", { class: "words", lang: "en", dir: "auto" }, one.why)),
      make("button", { type: "button", class: "button small", data: { device: one.ae_title }, onclick: () => approve(one) }, _("Let it in"))));
  }
  for (const one of doctor.troubles.filter((trouble) => trouble.fine_since === null && trouble.changes.length && trouble.direction === "in" && !strangers.some((other) => other.ae_title === trouble.ae_title)).slice(0, 3)) {
    news.push(make("div", { class: "alarm", data: { level: "alarm" } }, icon("alarm"),
      make("div", {}, make("h2", {}, _("%(device)s called, and something is wrong.", { device: one.ae_title || one.host })),
        make("p", { class: "words", lang: "en", dir: "auto" }, one.what),
        make("ul", {}, one.changes.map((each) => make("li", { lang: "en", dir: "auto" }, each.what))))));
  }
  if (!fine.length) news.push(make("p", { class: "note waiting" }, _("Waiting for the device to call …")));
  const held = document.activeElement?.dataset.device;
  byId("device-news").replaceChildren(...news);
  if (held) byId("device-news").querySelector(`[data-device="${CSS.escape(held)}"]`)?.focus();
  done.device = fine.length > 0;
  byId("device-next").hidden = !done.device;
  mark();
}

async function approve(one) {
  try {
    await ask("/api/v1/peers", { body: { ae_title: one.ae_title, host: one.host, may: ["store", "commit", "worklist"] } });
    last = "";
    await watch();
    byId("device-news").prepend(make("p", {}, _("%(device)s may send images now. Have it test the connection once more.", { device: one.ae_title })));
  } catch (error) {
    showProblem(byId("device-problem"), error);
  }
}

// Test image ------------------------------------------------------------------------------------------------------

function image() {
  byId("image-steps").replaceChildren();
  byId("image-next").hidden = true;
  byId("send-image").hidden = !done.cloud;
  byId("image-problem").hidden = done.cloud;
  if (!done.cloud) showProblem(byId("image-problem"), new Error(_("There is no cloud archive yet: that step comes first.")));
}

async function sendImage() {
  const problem = byId("image-problem");
  problem.hidden = true;
  byId("send-image").disabled = true;
  try {
    const archives = value("cloud.archive");
    const works = await tryArchive(byId("image-steps"), archives[primaryOf(archives)].name, null, IMAGE);
    sessionStorage.setItem("edge-image", works ? "yes" : "no");
    done.image = works;
    byId("image-next").hidden = !works;
    mark();
  } catch (error) {
    showProblem(problem, error);
  } finally {
    byId("send-image").disabled = false;
  }
  if (done.image) byId("image-next").focus();
}

// What is missing ---------------------------------------------------------------------------------------------------

function finish() {
  const texts = TEXTS();
  const missing = ORDER.filter((name) => !done[name] && texts[name]);
  byId("done-title").textContent = missing.length ? _("Nearly done") : _("The box is ready.");
  byId("done-note").textContent = missing.length ? _("The box works as it is. Come back for the rest at any time: it stands among the settings.") : _("Send a study from the device, and it shows on the first page within a second.");
  byId("missing").replaceChildren(...missing.map((name) => make("li", {}, make("p", { class: "who" }, texts[name][0]),
    make("a", { class: "button quiet small", href: `#${name}` }, texts[name][1]))));
}

if (byId("steps")) {
  onSubmit(byId("clinic-form"), saveClinic);
  onSubmit(byId("cloud-form"), saveCloud);
  onSubmit(byId("recovery-form"), async ({ key }) => {
    await ask("/api/v1/keys/recovery/typed", { body: { key } });
    await after("recovery");
  });
  byId("look-again").addEventListener("click", network);
  byId("show-key").addEventListener("click", showKey);
  byId("print").addEventListener("click", () => window.print());
  byId("written").addEventListener("click", () => {
    byId("paper")?.remove();
    byId("groups").replaceChildren();
    byId("scan").replaceChildren();
    byId("recovery-shown").hidden = true;
    byId("recovery-form").hidden = false;
    byId("recovery-form").elements.key.focus();
  });
  byId("send-image").addEventListener("click", sendImage);
  for (const button of document.querySelectorAll("[data-next], [data-skip]")) button.addEventListener("click", () => after(here()));
  window.addEventListener("hashchange", () => to(STAGES[location.hash.slice(1)] ? location.hash.slice(1) : "clinic"));
  const named = location.hash.slice(1);
  if (STAGES[named]) await to(named);
  else {
    try {
      await look();
      await to(ORDER.find((name) => !done[name] && name !== "network") ?? "done");
    } catch (error) {
      showProblem(byId("problem"), error);
    }
  }
}
