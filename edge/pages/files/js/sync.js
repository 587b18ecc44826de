// What waits for the cloud, what it refuses, and what a person decides about it.

import { follow } from "./layout.js";
import { ask } from "./api.js";
import { decide } from "./decide.js";
import { confirm } from "./dialog.js";
import { byId, icon, make, showProblem, toast } from "./dom.js";
import { Paged } from "./paged.js";
import { decisions } from "./sync-decisions.js";
import { showHistory } from "./sync-history.js";
import { lineFacts } from "./sync-line.js";
import { promises } from "./sync-told.js";
import { tabs } from "./tabs.js";
import { _, ago, bytes, date, moment, ngettext, number, person } from "./words.js";

const PAUSE = 4000;
const mayDelete = byId("sync").hasAttribute("data-deletes");

function count(name, total) {
  const shown = document.querySelector(`[data-count="${name}"]`);
  shown.textContent = number(total);
  shown.hidden = total === 0;
}

const modality = (text) => make("span", { class: "modality" }, text || "–");
const link = (study) => make("a", { href: `/studies/${encodeURIComponent(study.study_uid)}` }, person(study.patient_name));

/** A button that does one thing at once, and says if that fails. */
function quick(text, act, problem) {
  return make("button", { type: "button", class: "button quiet small", onclick: async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      await act();
    } catch (error) {
      showProblem(byId(problem), error);
    } finally {
      button.disabled = false;
    }
  } }, text);
}

// Queue ------------------------------------------------------------------------------------------------

const queue = new Paged("queue", {
  path: "/api/v1/sync/queue",
  id: ({ study }) => study.study_uid,
  make: ({ study, eta }) => {
    const done = study.instances - study.waiting;
    const isFirst = study.priority === 0;
    const said = study.description || study.patient_id || _("No description");
    return make("li", {},
      make("p", { class: "who" }, link(study)),
      make("p", { class: "when" }, eta ? _("there by %(time)s", { time: moment(eta) }) : _("waits")),
      make("p", { class: "what" }, modality(study.modalities.join(" ")), said,
        isFirst ? make("span", { class: "badge", data: { level: "busy" } }, _("goes first")) : null,
        study.priority === 1 || study.priority === 2 ? make("span", { class: "badge", data: { level: "warning" } }, _("urgent")) : null),
      make("p", { class: "when" }, bytes(study.waiting_bytes)),
      make("p", { class: "what" },
        _("%(done)s of %(all)s images", { done: number(Math.max(0, done)), all: number(study.instances) }), " · ",
        _("waits since %(time)s", { time: moment(study.since) })),
      quick(isFirst ? _("Not first any more") : _("Send first"), async () => {
        await ask("/api/v1/sync/first", { body: { study_uid: study.study_uid, first: !isFirst } });
        await queue.renew();
      }, "queue-problem"),
      make("progress", { max: "1", value: String(study.instances ? Math.max(0, done) / study.instances : 0), "aria-label": _("Upload of this study") }));
  },
  onTotal: (total) => {
    byId("queue-total").textContent = total ? ngettext("%(n)s study waits.", "%(n)s studies wait.", total) : "";
  },
});

function queueNote(status) {
  const { line } = status;
  const parts = [];
  if (status.backlog_bytes) parts.push(_("%(size)s wait in all.", { size: bytes(status.backlog_bytes) }));
  if (line.waits) parts.push(line.waits_until
    ? _("The calendar lets them go at %(time)s.", { time: moment(line.waits_until) })
    : _("The line is not used now."));
  else if (status.archives.some((one) => one.role === "primary" && !one.online)) { if (status.backlog_bytes) parts.push(_("It waits for the line.")); }
  else if (line.backlog_eta) parts.push(_("All of it is there by %(time)s.", { time: moment(line.backlog_eta) }));
  byId("queue-note").replaceChildren(parts.join(" "));
}

// What the archive does not have any more -----------------------------------------------------------------

async function decideAbsence(study, decision) {
  const { done } = await ask("/api/v1/sync/absent", { body: { decision, study_uids: [study.study_uid] } });
  toast(done ? _("It is done as soon as the archive can be asked.") : _("It was decided already."));
}

const STATES = { AGAIN: _("is sent again soon"), TRASH: _("goes to the trash soon") };
const absences = new Paged("absences", {
  path: "/api/v1/sync/absent",
  id: (study) => study.study_uid,
  make: (study) => make("li", {},
    make("p", { class: "who" }, link(study)),
    make("p", { class: "when" }, _("missed since %(time)s", { time: moment(study.since) })),
    make("p", { class: "what" }, [study.description, date(study.study_date)].filter(Boolean).join(" · ") || study.patient_id),
    make("p", { class: "when" }, _("%(here)s of %(all)s images are here", { here: number(study.here), all: number(study.instances) })),
    make("div", { class: "cluster span" },
      STATES[study.state] ? make("span", { class: "badge", data: { level: "busy" } }, STATES[study.state]) : null,
      make("button", { type: "button", class: "button quiet small", onclick: () => sendAgain(study) }, icon("up"), _("Send it again")),
      mayDelete ? make("button", { type: "button", class: "button quiet small", onclick: () => acceptDeletion(study) }, icon("trash"), _("It was meant")) : null)),
  onTotal: (total) => count("absences", total),
});

async function sendAgain(study) {
  if (await confirm({
    title: _("Send this study again?"), action: _("Send it again"),
    consequences: [_("What is here of it goes to the archive once more."), _("Whoever deleted it there on purpose will find it again.")],
    act: () => decideAbsence(study, "send-again"),
  })) absences.renew();
}

async function acceptDeletion(study) {
  if (await confirm({
    title: _("Was it deleted on purpose?"), action: _("Yes, put it in the trash"), danger: true,
    consequences: [_("Nobody sees it here any more."), _("It can be taken back out of the trash until its days are over; then it is erased, and nobody has it.")],
    act: () => decideAbsence(study, "accept-deletions"),
  })) absences.renew();
}

// Trash ----------------------------------------------------------------------------------------------------

const trash = new Paged("trash", {
  path: "/api/v1/trash/studies",
  id: (study) => study.study_uid,
  make: (study) => make("li", {},
    make("p", { class: "who" }, person(study.patient_name)),
    make("p", { class: "when" }, study.until ? _("erased %(when)s", { when: ago(study.until) }) : _("erased soon")),
    make("p", { class: "what" }, study.patient_id, " · ", _("deleted in %(archive)s", { archive: study.archive || "?" })),
    make("p", { class: "when" }, ngettext("%(n)s image", "%(n)s images", study.images), " · ", bytes(study.size)),
    study.reason ? make("p", { class: "words span", lang: "en", dir: "auto" }, study.reason) : null,
    make("div", { class: "cluster span" },
      make("button", { type: "button", class: "button quiet small", onclick: () => restore(study) }, icon("back"), _("Take it back")),
      mayDelete ? make("button", { type: "button", class: "button quiet small", onclick: () => erase(study) }, icon("trash"), _("Erase it now")) : null)),
  onTotal: (total) => count("trash", total),
});

async function ofTrash(study, decision, more = {}) {
  const { done } = await ask("/api/v1/trash", { body: { decision, study_uid: study.study_uid, ...more } });
  toast(ngettext("Decided for %(n)s image.", "Decided for %(n)s images.", done));
}

async function restore(study) {
  if (await confirm({
    title: _("Take this study back out of the trash?"), action: _("Take it back"),
    consequences: [_("It is found and opened again."), _("The archive, which deleted it, gets it once more.")],
    act: () => ofTrash(study, "restore"),
  })) trash.renew();
}

async function erase(study) {
  if (await decide({
    title: _("Erase this study now?"), action: _("Erase it"), danger: true,
    consequences: [_("The archive has deleted it: after this, nobody has it."), _("It can’t be taken back by anybody.")],
    act: () => ofTrash(study, "empty", { confirmed: true }),
  })) trash.renew();
}

// Parts ------------------------------------------------------------------------------------------------------

const { letters, conflicts } = decisions({ count, mayDelete });
const { commitments, outbox } = promises();

async function renewStatus(attended) {
  const status = await ask("/api/v1/status", { attended });
  queueNote(status);
  lineFacts(status);
  count("letters", (status.custody.REFUSED ?? 0) - status.given_up);
  count("conflicts", status.in_conflict);
  count("absences", status.absent);
  count("trash", status.trashed_studies);
  count("told", status.commitments.given_up + status.procedures.refused);
}

const parts = { queue: [queue], letters: [letters], conflicts: [conflicts], absences: [absences], trash: [trash], told: [commitments, outbox] };
let shown = "";

function renew({ attended }) {
  for (const list of parts[shown] ?? []) list.renew({ attended });
  if (shown === "history") showHistory({ attended });
}

tabs(byId("tabs"), (name) => {
  shown = name;
  renew({ attended: true });
});

// What changes shows within some seconds; no more often, for every look at patients is recorded.
let due = 0;
function changed() {
  due ||= setTimeout(() => {
    due = 0;
    renewStatus(false).catch(() => {}); // Whether the box is there, the stream says.
    renew({ attended: false });
  }, PAUSE);
}
renewStatus(true).catch((error) => showProblem(byId("queue-problem"), error));
let last = "";
follow({ state: (data) => {
  const now = JSON.stringify(data);
  if (last && now !== last) changed();
  last = now;
} });
