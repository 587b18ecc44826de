// The first boot, step by step. What is done is what the box says is done, so one may come back at any time.

import "./layout.js";
import { ask } from "./api.js";
import { archiveFields, canBe, primaryOf, tryArchive } from "./archive.js";
import { byId, icon, inSmallLetters, make, onSubmit, showProblem } from "./dom.js";
import { enrolling, go } from "./enrol.js";
import { change } from "./force.js";
import { picture } from "./handing.js";
import { showMoved } from "./moved.js";
import { aboutDiskKey, diskKey, keyPaper } from "./paper.js";
import { device, endLearning, learns, mayLearn } from "./setup-device.js";
import { walkRow } from "./walk.js";
import { _, moment } from "./words.js";
import { problemOf, wrong } from "./wrong.js";

const quiet = { welcome: false };
const ORDER = ["clinic", "network", "cloud", "recovery", "device", "image"];
const CLINIC = [["name", "appliance.name"], ["language", "page.language"], ["zone", "appliance.time_zone"]];
const IMAGE = ["store", "find", "retrieve", "delete"];
const done = {};
let isProven = false;
let since = "";
let known = new Map();

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
  const [{ settings, since: begun }, { peers }, doctor, key, { custody }, machine, sent] = await Promise.all([
    ask("/api/v1/settings"), ask("/api/v1/peers"), ask("/api/v1/peers/doctor"), ask("/api/v1/keys/recovery"), ask("/api/v1/status"), ask("/api/v1/network"), ask("/api/v1/settings/trial")]);
  known = new Map(settings.map((one) => [one.key, one]));
  since = begun;
  // What the machine's file fixes nobody can change here; that somebody looked at the rest is seen by what they set.
  const own = CLINIC.map(([, setting]) => known.get(setting).source);
  done.clinic = own.includes("box") || own.every((source) => source === "fixed");
  // That it is on no network is no reason to ask again and again, once somebody saw it.
  done.network = machine.is_set || isOnNetwork(machine) || sessionStorage.getItem("edge-network") === "yes";
  done.cloud = primaryOf(value("cloud.archive")) < value("cloud.archive").length;
  done.recovery = key.made !== null;
  done.device = peers.length > 0 && doctor.peers.some((one) => one.called !== null);
  done.image = sent.came_back !== null;
  // Of a box that works, real images went the same way: nothing is missing there, and nothing was tried here.
  isProven = done.cloud && custody.VERIFIED > 0;
  return { key };
}

function mark() {
  for (const item of byId("steps").children) item.dataset.done = done[item.dataset.step] ? "yes" : "no";
}

const TEXTS = () => ({
  clinic: known.get("appliance.name").source === "default"
    ? [_("The clinic has no name yet."), _("Give it one")]
    : [_("Nobody looked at the language and the time zone yet."), _("Look at them")],
  cloud: [_("No cloud archive is set up: images are kept in this box alone."), _("Set one up")],
  recovery: [_("There is no recovery key: a stolen or broken box can’t be made anew."), _("Make one")],
  device: [_("No device has called yet."), _("Connect one")],
  image: [_("No test image was in the cloud yet."), _("Send one")],
});

// Going from step to step ----------------------------------------------------------------------------------

async function to(name) {
  byId("paper")?.remove();
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

const STAGES = { clinic, network, cloud, recovery, device: () => device(known, (isDone) => { done.device = isDone; mark(); }), image, done: finish };

// Clinic ----------------------------------------------------------------------------------------------------

function clinic() {
  const form = byId("clinic-form");
  for (const [field, key] of CLINIC) {
    const { source, where } = known.get(key);
    const control = form.elements[field];
    control.value = value(key);
    control.disabled = source === "fixed";
    control.parentElement.querySelector(".badge")?.remove();
    if (control.disabled) control.after(make("span", { class: "badge" }, icon("pin"), _("fixed by %(place)s", { place: where })));
  }
  if (known.get("appliance.name").source === "default") form.elements.name.value = "";
  byId("clinic-learns").hidden = !willLearn();
  if (known.get("page.language").source === "default") form.elements.language.value = document.documentElement.lang;
  form.elements.zone.value ||= Intl.DateTimeFormat().resolvedOptions().timeZone;
  byId("zones").replaceChildren(...(Intl.supportedValuesOf?.("timeZone") ?? []).map((zone) => make("option", { value: zone })));
}

/** Stop at what can't be so, at its field. `controls`: of each key. */
async function check(changes, controls) {
  for (const control of Object.values(controls)) control.removeAttribute("aria-invalid");
  const problem = await problemOf(changes);
  if (!problem) return;
  controls[problem.key]?.setAttribute("aria-invalid", "true");
  controls[problem.key]?.focus();
  throw wrong(problem, changes);
}

const willLearn = () => !done.device && mayLearn(known);

async function saveClinic({ name, language, zone }) {
  const wanted = { "appliance.name": name?.trim(), "page.language": language, "appliance.time_zone": zone?.trim() };
  // Devices that nobody knows are to be seen while one is set up; they are turned away all the same.
  if (willLearn()) {
    wanted["dimse.unknown_peers"] = "learn";
    learns();
  }
  const changes = Object.fromEntries(Object.entries(wanted).filter(([key, said]) => said !== undefined && known.get(key).source !== "fixed" && (said !== value(key) || known.get(key).source === "default")));
  if (Object.keys(changes).length) await check(changes, Object.fromEntries(CLINIC.map(([field, key]) => [key, byId("clinic-form").elements[field]])));
  byId("clinic-wait").hidden = false;
  try {
    if (Object.keys(changes).length) await change(changes);
    if (wanted["appliance.name"]) document.querySelector(".door-brand p").textContent = wanted["appliance.name"];
    await after("clinic"); // which takes a while, too, on a box that begins anew
  } finally {
    byId("clinic-wait").hidden = true;
  }
}

// Network ---------------------------------------------------------------------------------------------------

// That the clock follows a time server takes a while.
const isOnNetwork = ({ looks }) => looks.every((one) => one.is_fine || one.what === "clock");

async function network() {
  const problem = byId("network-problem");
  problem.hidden = true;
  const names = { address: _("An address"), router: _("A way out of the building"), names: _("A name server"), clock: _("The clock") };
  try {
    const machine = await ask("/api/v1/network");
    byId("looks").replaceChildren(...machine.looks.map((one) => walkRow(names[one.what], { verdict: one.is_fine ? "passed" : "noted", found: one.found, hint: one.hint })));
    done.network ||= machine.is_set || isOnNetwork(machine);
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
  offerNext(false);
}

/** The test of what is set up already changes nothing: its result stays until somebody goes on. */
function offerNext(isTested) {
  byId("cloud-next").hidden = !isTested;
  byId("cloud-test").classList.toggle("quiet", isTested);
}

async function saveCloud() {
  const archives = structuredClone(value("cloud.archive"));
  const primary = fields.value();
  const at = primaryOf(archives);
  archives[at] = primary;
  byId("cloud-steps").replaceChildren();
  offerNext(false);
  if (!await canBe(fields, at, archives)) return;
  // Where it does not work, the last of the steps says so.
  if (!await tryArchive(byId("cloud-steps"), primary.name, archives)) return;
  byId("cloud-wait").hidden = false;
  try {
    const now = await change({ "cloud.archive": archives });
    if (now.since === since) {
      offerNext(true);
      byId("cloud-next").focus();
      return;
    }
    await after("cloud");
  } finally {
    byId("cloud-wait").hidden = true;
  }
}

// Recovery key ------------------------------------------------------------------------------------------------

let shownKey = null;
let hasDiskKey = false;
function recovery({ key }) {
  shownKey = null;
  hasDiskKey = key.disk;
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
    const disk = await diskKey(hasDiskKey);
    shownKey = { ...await ask("/api/v1/keys/recovery", { body: { renew: done.recovery } }), disk };
    showGroups();
  } catch (error) {
    showProblem(byId("recovery-problem"), error);
  }
}

function showGroups() {
  const { groups, picture: svg, disk } = shownKey;
  const written = (each) => each.map((group) => make("li", {}, group));
  byId("groups").replaceChildren(...written(groups));
  byId("disk-shown").hidden = !disk.length;
  byId("disk-about").textContent = aboutDiskKey();
  byId("disk-groups").replaceChildren(...written(disk));
  byId("scan").replaceChildren(picture(svg, _("The same as a code to be scanned")));
  keyPaper({ name: value("appliance.name"), groups, svg, disk });
  byId("recovery-begin").hidden = byId("recovery-form").hidden = true;
  byId("recovery-shown").hidden = false;
  byId("written").focus();
}

function typeBack() {
  byId("paper")?.remove();
  byId("groups").replaceChildren();
  byId("disk-groups").replaceChildren();
  byId("scan").replaceChildren();
  byId("recovery-shown").hidden = true;
  byId("recovery-form").hidden = false;
  byId("recovery-form").elements.key.focus();
}

// Test image ------------------------------------------------------------------------------------------------------

function image() {
  byId("image-steps").replaceChildren();
  byId("send-image").hidden = !done.cloud;
  offerImage();
  byId("image-problem").hidden = done.cloud;
  if (!done.cloud) showProblem(byId("image-problem"), new Error(_("There is no cloud archive yet: that step comes first.")));
}

/** One button is the next step: to send it, or to finish once it came back. */
function offerImage() {
  byId("image-next").hidden = !done.image;
  byId("image-later").hidden = done.image;
  byId("send-image").textContent = done.image ? _("Send it again") : _("Send it");
  byId("send-image").classList.toggle("quiet", done.image);
}

async function sendImage() {
  const problem = byId("image-problem");
  problem.hidden = true;
  byId("send-image").disabled = true;
  try {
    const archives = value("cloud.archive");
    const works = await tryArchive(byId("image-steps"), archives[primaryOf(archives)].name, null, IMAGE);
    done.image = works;
    offerImage();
    mark();
  } catch (error) {
    showProblem(problem, error);
  } finally {
    byId("send-image").disabled = false;
  }
  if (done.image) byId("image-next").focus();
}

// What is missing ---------------------------------------------------------------------------------------------------

async function finish() {
  for (const id of ["done-actions", "missing", "done-note"]) byId(id).hidden = true;
  byId("done-title").textContent = _("One moment: the box is made ready for everyday use.");
  try {
    const after = await endLearning(known);
    if (after) known = new Map(after.map((one) => [one.key, one]));
  } catch (error) {
    showProblem(byId("problem"), error);
  }
  for (const id of ["done-actions", "missing", "done-note"]) byId(id).hidden = false;
  const texts = TEXTS();
  const missing = ORDER.filter((name) => !done[name] && texts[name] && !(name === "image" && isProven));
  byId("done-title").textContent = missing.length ? _("Nearly done") : _("The box is ready.");
  byId("done-note").textContent = missing.length ? _("The box works as it is. Come back for the rest at any time: it stands among the settings.") : _("Send a study from the device, and it shows on the first page within a second.");
  byId("missing").replaceChildren(...missing.map((name) => make("li", {}, make("p", { class: "who" }, texts[name][0]),
    make("a", { class: "button quiet small", href: `#${name}` }, texts[name][1]))));
  if (value("dimse.unknown_peers") !== "reject") {
    byId("missing").append(make("li", {}, make("p", { class: "who" }, value("dimse.unknown_peers") === "learn"
      ? _("Devices that nobody let in are listed. Before the box is handed over, set that they are turned away.")
      : _("Every device may send images, whoever it is. That is for laboratories.")),
    make("a", { class: "button quiet small", href: "/settings" }, _("Settings"))));
  }
}

if (byId("steps")) {
  showMoved();
  onSubmit(byId("clinic-form"), saveClinic);
  onSubmit(byId("cloud-form"), saveCloud);
  onSubmit(byId("recovery-form"), async ({ key }) => {
    await ask("/api/v1/keys/recovery/typed", { body: { key } });
    await after("recovery");
  });
  byId("look-again").addEventListener("click", network);
  byId("show-key").addEventListener("click", showKey);
  byId("print").addEventListener("click", () => window.print());
  byId("written").addEventListener("click", typeBack);
  byId("key-again").addEventListener("click", showGroups);
  byId("send-image").addEventListener("click", sendImage);
  for (const button of document.querySelectorAll("[data-next], [data-skip]")) {
    button.addEventListener("click", () => {
      if (here() === "network") sessionStorage.setItem("edge-network", "yes");
      return after(here());
    });
  }
  window.addEventListener("hashchange", () => to(STAGES[location.hash.slice(1)] ? location.hash.slice(1) : "clinic"));
  const named = location.hash.slice(1);
  if (STAGES[named]) await to(named);
  else {
    try {
      await look();
      // Whoever has an archive has a network.
      await to(ORDER.find((name) => !done[name] && (name !== "network" || !done.cloud) && (name !== "image" || !isProven)) ?? "done");
    } catch (error) {
      showProblem(byId("problem"), error);
    }
  }
}
