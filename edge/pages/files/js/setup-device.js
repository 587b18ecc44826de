// The first device: what is entered in it, who called and may not, and what goes wrong with it.
//
// Callers that nobody knows are listed only while the box learns: the guide has it learn, says so,
// and ends that with itself (`endLearning`).

import { ask } from "./api.js";
import { byId, icon, make, showProblem } from "./dom.js";
import { change } from "./force.js";
import { _ } from "./words.js";

const EVERY = 1500;
const LEARNS = "edge-guide-learns";
// As the doctor calls it; letting the device in mends everything that is the box's, and not this.
const CALLED = "rejected: called AE title";
const english = { lang: "en", dir: "auto" };
let timer = 0;
let last = "";
let known = new Map();
let hear = () => {};
const granted = new Set();
const value = (key) => known.get(key)?.value;
const ours = () => value("dimse.ae_title").trim();

/** Whether the box would list callers if the guide asked for it. */
export const mayLearn = (settings) => {
  const { value: now, source } = settings.get("dimse.unknown_peers");
  return now === "reject" && source !== "fixed";
};

/** The guide has it learn: it is to end that, too, also if another day comes between. */
export const learns = () => localStorage.setItem(LEARNS, "yes");

/** Have it learn no more, if the guide had it learn; what the settings are then, or null. */
export async function endLearning(settings) {
  if (localStorage.getItem(LEARNS) !== "yes") return null;
  const { value: now, source } = settings.get("dimse.unknown_peers");
  const after = now === "learn" && source !== "fixed" ? await change({ "dimse.unknown_peers": "reject" }) : null;
  localStorage.removeItem(LEARNS);
  return after?.settings ?? null;
}

/** Show the step, and watch who calls for as long as it is shown. onState: hears whether one called. */
export async function device(settings, onState) {
  known = settings;
  hear = onState;
  byId("ae-title").textContent = ours();
  const [, listens = "", port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(value("dimse.listen").trim()) ?? [];
  byId("port").textContent = port;
  byId("loopback").hidden = !/^(127\..*|::1|localhost)$/.test(listens);
  showLearning();
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

function showLearning() {
  const now = value("dimse.unknown_peers");
  byId("device-learns").hidden = now !== "learn";
  byId("device-rejects").hidden = now !== "reject";
  byId("learn").hidden = !mayLearn(known);
}

async function learn() {
  const button = byId("learn");
  button.disabled = true;
  byId("device-wait").hidden = false;
  byId("device-problem").hidden = true;
  try {
    learns();
    known = new Map((await change({ "dimse.unknown_peers": "learn" })).settings.map((one) => [one.key, one]));
    byId("device-problem").hidden = true;
    showLearning();
  } catch (error) {
    showProblem(byId("device-problem"), error);
  } finally {
    byId("device-wait").hidden = true;
    button.disabled = false;
  }
}

async function watch() {
  clearTimeout(timer);
  if (byId("stage-device").hidden) return;
  try {
    const [{ peers, strangers }, doctor] = await Promise.all([
      ask("/api/v1/peers", { attended: false }), ask("/api/v1/peers/doctor", { attended: false })]);
    showNews(peers, strangers, doctor);
    byId("device-problem").hidden = true;
  } catch (error) {
    // While it begins anew it does not answer, which is said already.
    if (byId("device-wait").hidden) showProblem(byId("device-problem"), error);
  }
  timer = setTimeout(watch, EVERY);
}

const alarm = (level, mark, title, words, button = null) => make("div", { class: "alarm", data: { level } }, icon(mark),
  make("div", {}, make("h2", {}, title), words), button);

/** What it has to enter that called another AE title: in the language of who sets it up. */
const wrongTitle = (called) => make("p", {}, _("It called the AE title %(called)s. Enter %(title)s there as the AE title of this box (called, remote or server AE).", { called: called || "–", title: ours() }));

function strangerNews(one, peers) {
  const calledWrong = one.called !== ours();
  const isKnown = peers.some((peer) => peer.in_force && peer.ae_title === one.ae_title);
  return alarm("warning", "peers", _("%(device)s called from %(address)s.", { device: one.ae_title, address: one.host }),
    calledWrong ? wrongTitle(one.called) : make("p", { class: "words", ...english }, one.why),
    // Once it is let in, letting it in again changes nothing of what it calls.
    calledWrong && isKnown ? null : make("button", { type: "button", class: "button small", data: { device: one.ae_title }, onclick: () => approve(one) }, _("Let it in")));
}

/** It is let in, and calls by a title that is not ours: what is to be done is said once. */
const grantedNews = (title, called) => (called === undefined
  ? make("p", {}, _("%(device)s may send images now, and nothing else: the page of devices gives it more. Have it test the connection once more.", { device: title }))
  : alarm("warning", "peers", _("%(device)s is let in, and has one thing to change.", { device: title }), [
    wrongTitle(called), make("p", {}, _("Then have it test the connection once more: it may send images, and nothing else; the page of devices gives it more."))]));

const troubleNews = (one) => alarm("alarm", "alarm", _("%(device)s called, and something is wrong.", { device: one.ae_title || one.host }),
  one.kind === CALLED ? wrongTitle(one.called)
    : [make("p", { class: "words", ...english }, one.what), make("ul", {}, one.changes.map((each) => make("li", english, each.what)))]);

function showNews(peers, strangers, doctor) {
  const now = JSON.stringify([peers, strangers, doctor, [...granted]]);
  if (now === last) return;
  last = now;
  const fine = doctor.peers.filter((one) => one.called !== null);
  const news = fine.map((one) => make("p", { class: "cluster" }, icon("check", _("done")), _("%(device)s called, and all went well.", { device: one.name || one.ae_title })));
  const letIn = [...granted].filter((title) => !fine.some((one) => one.ae_title === title));
  const approved = new Map(peers.map((one) => [one.ae_title, one.approved ?? 0]));
  const called = doctor.troubles.filter((one) => one.fine_since === null && one.direction === "in");
  // What went wrong before it was let in is what that mended; who called us by another title is over
  // with it once another thing went wrong.
  const isOver = (one) => (one.kind === CALLED
    ? called.some((other) => other.ae_title === one.ae_title && other.kind !== CALLED && other.last_seen > one.last_seen)
    : one.last_seen <= (approved.get(one.ae_title) ?? 0));
  const lasting = called.filter((one) => one.changes.length && !isOver(one));
  // Of who was let in here, one thing is said: that it may send, what it has to call, or what else is wrong.
  const wrongly = (one) => letIn.includes(one.ae_title) && (one.kind === CALLED || (one.kind === undefined && one.called !== ours()));
  for (const title of letIn) {
    const its = [...strangers, ...lasting].filter((one) => one.ae_title === title);
    const other = its.find(wrongly);
    if (other || !its.length) news.push(grantedNews(title, other?.called));
  }
  news.push(...strangers.filter((one) => !wrongly(one)).map((one) => strangerNews(one, peers)));
  const troubles = lasting.filter((one) => !wrongly(one) && !strangers.some((other) => other.ae_title === one.ae_title));
  news.push(...troubles.slice(0, 3).map(troubleNews));
  if (!fine.length) news.push(make("p", { class: "note waiting" }, _("Waiting for the device to call …")));
  const held = document.activeElement?.dataset.device;
  byId("device-news").replaceChildren(...news);
  if (held) byId("device-news").querySelector(`[data-device="${CSS.escape(held)}"]`)?.focus();
  byId("device-next").hidden = fine.length === 0;
  hear(fine.length > 0);
}

async function approve(one) {
  try {
    await ask("/api/v1/peers", { body: { ae_title: one.ae_title, host: one.host, may: ["store"] } });
    granted.add(one.ae_title);
    await watch();
  } catch (error) {
    showProblem(byId("device-problem"), error);
  }
}

byId("learn")?.addEventListener("click", learn);
