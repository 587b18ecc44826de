// The first page: what comes in and what is on its way, row by row; the rest is the header's.

import { follow } from "./layout.js";
import { byId, make } from "./dom.js";
import { _, ago, bytes, moment, ngettext, number, person } from "./words.js";

const MOST = 8;
const FRESH = 20;

/** Make rows for these, and keep those that are there: what did not change does not move. */
function show(list, empty, rows, fill) {
  empty.hidden = rows.length > 0;
  const known = new Map([...list.children].map((row) => [row.dataset.uid, row]));
  const isFirst = list.dataset.shown === undefined;
  list.dataset.shown = "";
  rows.forEach((study, place) => {
    let row = known.get(study.study_uid);
    if (!row) {
      row = make("li", { data: { uid: study.study_uid } },
        make("p", { class: "who" }, make("a", { href: `/studies/${encodeURIComponent(study.study_uid)}` })),
        make("p", { class: "when" }), make("p", { class: "what" }), make("p", { class: "when" }));
      if (!isFirst) row.classList.add("fresh");
    }
    known.delete(study.study_uid);
    fill(row, study);
    if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
  });
  for (const row of known.values()) row.remove();
}

function put(element, ...content) {
  if (element.textContent !== content.map((one) => one.textContent ?? one).join("")) element.replaceChildren(...content);
}

function progress(row, share, text) {
  const bar = row.querySelector("progress") ?? row.appendChild(make("progress", { max: "1" }));
  bar.value = share;
  bar.setAttribute("aria-label", text);
}

const kind = (study) => study.modalities.join(" ") || "–";
const title = (study) => study.description || study.accession_number || study.patient_id || _("No description");

function arrived(row, study) {
  const [name, right, what, below] = row.children;
  put(name.firstChild, person(study.patient_name));
  put(right, ngettext("%(n)s image", "%(n)s images", study.instances));
  put(what, make("span", { class: "modality" }, kind(study)), title(study));
  const isComing = Date.now() / 1000 - study.last < FRESH;
  put(below, isComing ? _("just now from %(sender)s", { sender: study.sender || "?" }) : ago(study.last));
}

function going(row, study) {
  const [name, right, what, below] = row.children;
  const share = study.instances ? 1 - study.waiting / study.instances : 0;
  put(name.firstChild, person(study.patient_name));
  put(right, study.eta ? _("there by %(time)s", { time: moment(study.eta) }) : isDown ? _("waits for the line") : _("waits"));
  put(what, make("span", { class: "modality" }, kind(study)),
    _("%(done)s of %(all)s images", { done: number(study.instances - study.waiting), all: number(study.instances) }));
  put(below, bytes(study.waiting_bytes));
  progress(row, share, _("Upload of this study"));
}

let isDown = false;
let last = { arrived: [], uploads: [] };
function draw() {
  const known = new Map(last.arrived.map((study) => [study.study_uid, study]));
  const uploads = last.uploads.filter((one) => known.has(one.study_uid))
    .map((one) => ({ ...known.get(one.study_uid), eta: one.eta }));
  show(byId("arrivals"), byId("no-arrivals"), last.arrived.slice(0, MOST), arrived);
  show(byId("uploads"), byId("no-uploads"), uploads.slice(0, MOST), going);
}

follow({
  arrivals: (data) => { last = data; draw(); },
  state: (data) => { isDown = data.offline_since !== null; draw(); },
});
// How long ago something was counts on by itself, whether anything is heard or not.
setInterval(draw, 1000);
