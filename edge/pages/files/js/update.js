// Updates: how far the next version has come, told anew every few seconds; wishes, each confirmed.

import "./layout.js";
import { ask } from "./api.js";
import { confirm } from "./dialog.js";
import { byId, make, sentence, showProblem } from "./dom.js";
import { _, bytes, instant, moment, percent } from "./words.js";

const PAUSE = 3000;
const problem = byId("problem"); // of the last press; what the box itself is in trouble with has its own
const BUTTONS = ["cancel", "install", "download", "look"].map(byId);
let known = null;
let count = -1;
let lost = false;
let wishes = 0; // that were answered: what was asked before the last of them says what is so no more

const TITLES = {
  none: () => _("Version %(running)s runs, and no newer one is known", known),
  offered: () => known.here
    ? _("Version %(version)s can be had; %(here)s is here", known)
    : _("Version %(version)s can be had", known),
  fetching: () => known.will_install
    ? _("Version %(version)s is on its way, and will be installed", known)
    : _("Version %(version)s is on its way", known),
  ready: () => _("Version %(version)s is here", known),
  waiting: () => _("Version %(version)s waits for a quiet moment", known),
  writing: () => _("Version %(version)s is being written", known),
  trial: () => _("Version %(version)s has to prove itself", known),
};
const NOTES = {
  none: () => "",
  offered: () => _("Version %(running)s runs.", known),
  fetching: () => _("It comes as fast as the calendar lets it, and goes on by itself after an interruption."),
  ready: () => _("It is whole, and signed by who made this box. Version %(running)s runs.", known),
  waiting: () => _("As soon as no device has sent anything for a while, it is written. Nothing is interrupted."),
  writing: () => _("The box starts anew once that is done and nothing comes in. That takes some minutes, in which devices have to wait."),
  trial: () => _("Once the box has started anew with it, it takes a test image and gives it back, and looks for the archives. If that fails, version %(running)s comes back.", known),
};
const DEEDS = {
  fetched: _("fetched"),
  brought: _("brought on a stick"),
  unusable: _("can’t be used"),
  refused: _("not taken"),
  ordered: _("to be written"),
  cancelled: _("cancelled"),
  written: _("written"),
  "not written": _("not written"),
  good: _("has proven itself"),
  bad: _("has not proven itself"),
  "went back": _("went back to the version from before"),
  "index taken back": _("the list of images from before was taken back"),
};
const LEVELS = {
  fetched: "safe", brought: "safe", written: "safe", good: "safe", "index taken back": "safe",
  bad: "alarm", "went back": "warning", unusable: "warning", refused: "warning", "not written": "warning",
};

function show(now) {
  known = now;
  const { phase, found, failure, unlooked } = now;
  const held = document.activeElement;
  byId("state-title").textContent = TITLES[phase]();
  byId("state-note").textContent = now.is_image ? NOTES[phase]() : _("This machine was not made from the disk image: whoever installed it brings newer versions, too.");
  const has = (...phases) => now.is_image && phases.includes(phase);
  byId("install").hidden = !has("offered", "fetching", "ready") || now.will_install;
  byId("install-text").textContent = now.needs_again ? _("Try it again") : _("Install it");
  byId("download").hidden = !has("offered");
  byId("cancel").hidden = !has("fetching", "waiting", "writing");
  byId("look").hidden = !now.server || has("waiting", "writing", "trial");
  byId("stick").hidden = !now.is_image;
  const bar = byId("progress");
  bar.hidden = phase !== "fetching" && phase !== "writing";
  if (phase === "writing" || phase === "trial") byId("state-note").append(" ", _("Leave the power on."));
  if (phase === "writing") {
    bar.max = 1;
    bar.value = now.written_share;
    byId("state-note").append(" ", _("%(part)s of it are written.", { part: percent(now.written_share) }));
  }
  if (phase === "fetching" && found) {
    bar.max = found.bytes;
    bar.value = now.fetched_bytes;
    byId("state-note").append(" ", _("%(part)s of %(all)s are here.", { part: percent(now.fetched_bytes / found.bytes), all: bytes(found.bytes) }));
  }
  byId("looked").textContent = now.server
    ? now.looked ? _("The server of updates was asked %(when)s.", { when: moment(now.looked) }) : _("The server of updates was not asked yet.")
    : now.is_image ? _("No server of updates is set up: they come on sticks. The settings can name one.") : "";
  tell(byId("trouble"), now.trouble, now.hint, now.next_try ? _("Next try: %(when)s.", { when: moment(now.next_try) }) : "");
  tell(byId("unlooked"), unlooked?.why, unlooked?.hint, now.is_image ? _("The server is asked again within six hours.") : "");
  newer(now.newer);
  news(found);
  warn(failure);
  if (BUTTONS.includes(held)) land(held);
}

/** What the box is in trouble with, for as long as it is; said anew only if it is something else. */
function tell(element, message, hint, more) {
  const said = message ? [message, hint, more].join("\n") : "";
  if (element.dataset.said === said) return;
  element.dataset.said = said;
  element.hidden = !message;
  if (!message) return;
  showProblem(element, { message, hint });
  if (more) element.append(" ", make("span", { class: "hint" }, more));
}

/** Whoever stood on a button that is gone stands on what took its place. */
function land(left) {
  if (left.hidden) (BUTTONS.find((button) => !button.hidden) ?? byId("state-title")).focus();
}

const weakness = (found) => (found.security ? make("span", { class: "badge", data: { level: "warning" } }, _("mends a weakness")) : "");

function newer(found) {
  byId("newer").hidden = !found;
  if (found) byId("newer").replaceChildren(_("Version %(version)s can be had, too.", found), " ", weakness(found));
}

function news(found) {
  byId("news").hidden = !found;
  if (!found) return;
  const language = document.documentElement.lang;
  const text = found.notes[language];
  byId("about").replaceChildren(_("%(size)s, made %(when)s.", { size: bytes(found.bytes), when: moment(found.made) }), " ", weakness(found));
  const notes = byId("notes");
  notes.textContent = text ?? found.notes.en ?? "";
  notes.lang = text ? language : "en";
  notes.dir = "auto";
}

function warn(failure) {
  const banner = byId("failure");
  banner.hidden = !failure;
  if (!failure) return;
  const said = { version: failure.version, when: moment(failure.at) };
  banner.replaceChildren(make("span", {},
    failure.went_back
      ? _("Version %(version)s did not work here (%(when)s): the version from before runs again, with all images.", said)
      : _("Version %(version)s could not be taken (%(when)s). Nothing was changed.", said),
    " ", make("span", { lang: "en", dir: "auto" }, sentence(failure.why)),
    ...(failure.is_final ? [" ", _("It is not tried again by itself.")] : [])));
}

async function history() {
  const { entries, total } = await ask("/api/v1/update/history?limit=50", { attended: false });
  if (total === count) return;
  count = total;
  byId("no-history").hidden = total > 0;
  byId("history").replaceChildren(...entries.map((one) => make("li", {},
    make("p", { class: "who" }, one.version || _("A stick")),
    make("span", { class: "badge", data: LEVELS[one.deed] ? { level: LEVELS[one.deed] } : {} }, DEEDS[one.deed] ?? one.deed),
    make("p", { class: "what span" }, [instant(one.at), one.by].filter(Boolean).join(" · ")),
    one.why ? make("p", { class: "what span", lang: "en", dir: "auto" }, sentence(one.why)) : null)));
}

async function refresh({ attended = false } = {}) {
  const before = wishes;
  try {
    const now = await ask("/api/v1/update", { attended });
    if (before === wishes) show(now);
    if (lost) problem.hidden = true;
    lost = false;
    await history();
  } catch (error) {
    if (!attended) return;
    lost = true;
    showProblem(problem, error);
  }
}

/** Ask for something of the box, and show how it is then. */
async function order(what, body = {}) {
  const now = await ask(`/api/v1/update/${what}`, { body });
  wishes += 1;
  show(now);
}

async function wish(what, body = {}) {
  problem.hidden = true;
  try {
    await order(what, body);
    await history();
  } catch (error) {
    await refresh();
    if (known?.unlooked?.why !== error.message) showProblem(problem, error); // or it stands there already
  }
}

byId("look").addEventListener("click", async (event) => {
  event.currentTarget.setAttribute("aria-busy", "true");
  await wish("look");
  byId("look").removeAttribute("aria-busy");
});
byId("download").addEventListener("click", () => wish("download", { version: known.version, again: known.needs_again }));
byId("cancel").addEventListener("click", () => wish("cancel"));
byId("install").addEventListener("click", async () => {
  problem.hidden = true;
  const again = known.needs_again;
  const done = await confirm({
    title: _("Install version %(version)s?", known),
    consequences: [
      _("It is written once no device sends anything, and the box starts anew at the next quiet moment: for some minutes nobody gets images, and devices try again."),
      _("All images stay. What was acknowledged is never lost, whichever version runs."),
      _("If it does not work here, version %(running)s comes back by itself.", known),
      ...(again ? [_("It has failed here before.")] : []),
    ],
    action: _("Install it"),
    act: () => order("install", { version: known.version, again }),
  });
  land(byId("install"));
  if (done) await history();
});

async function goOn() {
  if (!document.hidden) await refresh();
  setTimeout(goOn, PAUSE);
}
refresh({ attended: true }).then(() => setTimeout(goOn, PAUSE));
