// One study: what it is, where it is, what can be done with it, and what else its patient has.

import { follow } from "./layout.js";
import { ask } from "./api.js";
import { confirm, open } from "./dialog.js";
import { byId, icon, make, showProblem, toast, wordsOf } from "./dom.js";
import { reasonOf } from "./study-reasons.js";
import { address, images, kind, picture, presence, vouched } from "./picturing.js";
import { _, ago, bytes, date, moment, ngettext, number, person } from "./words.js";

const uid = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const own = `/api/v1/studies/${encodeURIComponent(uid)}`;
const imagesOf = `/dicom-web/studies/${encodeURIComponent(uid)}`;
const SOON = 500;
const LATER = 5000;
let shown = null;
let lineIsUp = null;

// What it is ------------------------------------------------------------------------------------

function clock(time) {
  const found = /^(\d{2})(\d{2})/.exec(time ?? "");
  return found ? `${found[1]}:${found[2]}` : "";
}

const SEXES = { F: _("female"), M: _("male"), O: _("other") };

function fact(label, value, note = "") {
  return make("div", { class: "fact" }, make("dt", {}, label), make("dd", { class: "value" }, make("bdi", {}, value || "–")),
    note ? make("dd", { class: "fact-note" }, note) : null);
}

const ADVICE = {
  lost: _("Images of it were here and are gone, and the cloud does not have them: they must be sent again by the device that made them."),
  trouble: _("The cloud refuses images of it, or has others under the same number. Somebody has to decide; nothing is lost meanwhile."),
  "only-here": _("Images of it are on this box alone. They go to the cloud by themselves as soon as the line allows."),
  absent: _("The cloud does not list it any more. It is kept here until somebody decides."),
  unproven: _("The cloud said that it stored it. The box looks whether it really has every image."),
};

function draw() {
  const { study, series, priors, pinned, patient_pinned: patientPinned } = shown;
  byId("name").replaceChildren(make("bdi", {}, person(study.patient_name)));
  byId("who").replaceChildren(...[
    study.patient_id && make("bdi", {}, study.patient_id),
    study.birth_date && _("born %(date)s", { date: date(study.birth_date) }),
    SEXES[study.sex],
  ].filter(Boolean).flatMap((one, place) => (place ? [" · ", one] : [one])));
  byId("vouched").replaceChildren(vouched(study));
  byId("facts").replaceChildren(
    fact(_("Examination"), study.description || _("No description"), study.modalities.join(" ")),
    fact(_("Date"), date(study.study_date), clock(study.study_time)),
    fact(_("Accession number"), study.accession_number),
    fact(_("Images"), number(study.instances), ngettext("in %(n)s series", "in %(n)s series", study.series)),
    fact(_("On this box"), study.here ? bytes(study.bytes) : _("nothing"), presence(study)),
    fact(_("Arrived"), ago(study.arrived), moment(study.arrived)),
  );
  const advice = byId("advice");
  advice.hidden = !(study.custody in ADVICE);
  advice.textContent = ADVICE[study.custody] ?? "";
  advice.dataset.level = ["lost", "trouble"].includes(study.custody) ? "alarm" : study.custody === "unproven" ? "busy" : "warning";
  byId("open").href = `/viewer/open?study=${encodeURIComponent(uid)}`;
  byId("fetch").hidden = study.here >= study.instances;
  toggle(byId("pin"), pinned, pinned ? _("Pinned") : _("Pin"));
  const first = byId("first");
  if (first) first.hidden = !study.waiting && !study.is_first;
  toggle(first, study.is_first, study.is_first ? _("Goes first") : _("Upload first"));
  if (byId("pin")) byId("pin").title = patientPinned ? _("All studies of this patient are pinned.") : "";
  put(byId("series"), series, (one) => one.series_uid, seriesRow);
  byId("no-priors").hidden = priors.length > 0;
  put(byId("priors"), priors, (one) => one.study_uid, priorRow);
}

function toggle(button, on, text) {
  if (!button) return;
  button.setAttribute("aria-pressed", String(on));
  button.querySelector("span").textContent = text;
}

/** Rows anew where something changed; the others, and their pictures, stay. */
function put(list, rows, name, makeRow) {
  const known = new Map([...list.children].map((row) => [row.dataset.said, row]));
  list.replaceChildren(...rows.map((row) => {
    const said = JSON.stringify(row);
    const made = known.get(said) ?? makeRow(row);
    made.dataset.said = said;
    return made;
  }));
}

function seriesRow(one) {
  const path = `/studies/${encodeURIComponent(uid)}/series/${encodeURIComponent(one.series_uid)}`;
  const title = one.description || one.body_part || _("No description");
  return make("li", {}, picture(path, [one.modality].filter(Boolean), one),
    make("div", { class: "two" },
      make("strong", {}, make("bdi", {}, one.number === null ? title : `${one.number} · ${title}`)),
      make("small", {}, [one.modality, images(one.instances), presence(one)].filter(Boolean).flatMap((part, place) => [place ? " · " : "", make("bdi", {}, part)])),
      vouched(one)));
}

function priorRow(one) {
  return make("li", {},
    make("p", { class: "who" }, make("a", { href: address(one.study_uid) }, kind(one.modalities), make("bdi", {}, one.description || _("No description")))),
    make("p", { class: "when" }, date(one.study_date)),
    make("p", { class: "what" }, [images(one.instances), presence(one)].join(" · ")),
    make("p", { class: "when" }, vouched(one)));
}

const turns = { look: 0, sendings: 0, links: 0 };
/** Ask; undefined if it was asked again meanwhile: an answer that is late says what is so no more. */
async function latest(what, path, attended) {
  const turn = (turns[what] += 1);
  try {
    const found = await ask(path, { attended });
    return turn === turns[what] ? found : undefined;
  } catch (error) {
    if (turn !== turns[what]) return undefined;
    throw error;
  }
}

async function look(attended = true) {
  try {
    const found = await latest("look", own, attended);
    if (!found) return;
    shown = found;
    draw();
    byId("problem").hidden = true;
    byId("study").hidden = false;
    byId("study").removeAttribute("aria-busy");
  } catch (error) {
    if (error.status) byId("study").hidden = true;
    showProblem(byId("problem"), error);
  }
}

// What can be done --------------------------------------------------------------------------------

byId("fetch").addEventListener("click", async () => {
  const { study } = shown;
  const missing = study.instances - study.here;
  await confirm({
    title: _("Fetch this study now?"),
    consequences: [
      ngettext("%(n)s image comes from the cloud to this box.", "%(n)s images come from the cloud to this box.", missing),
      lineIsUp === false ? _("The line is down at the moment: nothing comes until it is up, and then you have to ask again.") : _("It takes a part of the line while it lasts."),
      _("What was not used for long may leave the box to make room; the cloud keeps it."),
    ],
    action: _("Fetch now"),
    act: async () => {
      const { coming } = await ask(`${own}/fetch`, { method: "POST" });
      toast(coming ? ngettext("%(n)s image was asked for.", "%(n)s images were asked for.", coming) : _("All of it is here already."));
    },
  });
});

byId("download").addEventListener("click", async () => {
  const { study } = shown;
  await confirm({
    title: _("Download this study?"),
    consequences: [
      ngettext("One ZIP file with %(n)s image and a DICOMDIR, as for a CD or a stick.", "One ZIP file with %(n)s images and a DICOMDIR, as for a CD or a stick.", study.instances),
      _("It is not encrypted, and it names the patient: whoever has the file can open it."),
      ...(study.here < study.instances ? [_("What is in the cloud only is fetched on the way, which takes longer.")] : []),
      _("The download is written into the audit."),
    ],
    action: _("Download"),
    act: async () => make("a", { href: `${imagesOf}?accept=application/zip`, download: "" }).click(),
  });
});

byId("pin")?.addEventListener("click", async () => {
  const on = !shown.pinned;
  await confirm({
    title: on ? _("Keep this study here?") : _("Unpin this study?"),
    consequences: on
      ? [_("It stays on this box, and opens without the line."), _("What of it is in the cloud only is fetched."), _("It takes room that other studies can’t have.")]
      : [_("It may leave this box when room is needed and the cloud has it."), _("Nothing is erased now.")],
    action: on ? _("Pin") : _("Unpin"),
    act: () => (on
      ? ask("/api/v1/pins", { body: { kind: "study", value: uid } })
      : ask(`/api/v1/pins?${new URLSearchParams({ kind: "study", value: uid })}`, { method: "DELETE" })),
  });
  await look();
});

byId("first")?.addEventListener("click", async () => {
  const on = !shown.study.is_first;
  await confirm({
    title: on ? _("Upload this study first?") : _("Upload this study in its turn?"),
    consequences: on
      ? [_("It goes to the cloud before all others that wait, and so does what still comes of it."), _("The others go behind it.")]
      : [_("It goes when its turn comes, also what a device had called urgent.")],
    action: on ? _("Upload first") : _("In its turn"),
    act: () => ask("/api/v1/sync/first", { body: { study_uid: uid, first: on } }),
  });
  await look();
});

// Sending: where to, and then how far it is, for as long as something is on its way.

const EVERY = 1000;
const STATES = {
  waiting: _("waits for its turn"),
  sending: _("on its way"),
  done: _("all of it was taken"),
  failed: _("not all of it was taken"),
  nothing: _("nothing was taken"),
  stopped: _("stopped"),
};
const LEVELS = { waiting: "busy", sending: "busy", done: "safe", failed: "alarm", nothing: "alarm", stopped: "warning" };

/** Begin to send it there; it goes on by itself. */
const send = (peer) => ask(`${own}/sending`, { body: { ae_title: peer } });

function sentRow(one) {
  const state = one.state === "failed" && one.sent === 0 ? "nothing" : one.state;
  const act = async ({ target }, doing) => {
    target.disabled = true;
    try {
      await doing();
    } catch (error) {
      target.disabled = false;
      showProblem(byId("problem"), error);
    }
    await lookAtSendings();
  };
  const repeat = (event) => act(event, () => send(one.peer));
  const stop = (event) => act(event, () => ask(`${own}/sending/stop`, { body: { number: one.number } }));
  const share = one.instances ? (one.sent + one.failed) / one.instances : 0;
  return make("li", {},
    make("p", { class: "who" }, make("bdi", {}, one.peer)),
    make("p", { class: "when" }, make("span", { class: "badge", data: { level: LEVELS[state] } }, STATES[state])),
    make("p", { class: "what" }, _("%(done)s of %(all)s images", { done: number(one.sent), all: number(one.instances) }),
      one.reason ? [" · ", reasonOf(one.reason)] : null),
    make("p", { class: "when" }, one.ended ? ago(one.ended) : null, one.again ? make("button", { type: "button", class: "button quiet small", onclick: repeat }, _("Send it again")) : null, one.ended ? null : make("button", { type: "button", class: "button quiet small", onclick: stop }, _("Stop"))),
    one.ended ? null : make("progress", { max: "1", value: String(share), "aria-label": _("Sent to %(peer)s", { peer: one.peer }) }));
}

let again = 0;
let isSending = true; // as long as that is not known
/** What was sent, and where to; looked at again while something is on its way, also after the line failed. */
async function sendings(attended = true) {
  clearTimeout(again);
  const turn = (turns.sendings += 1);
  let found;
  try {
    found = await ask(`${own}/sending`, { attended });
  } catch (error) {
    if (turn === turns.sendings && isSending && !(error.status < 500)) again = setTimeout(lookAtSendings, LATER, false);
    throw error;
  }
  const { destinations, sent } = found;
  if (turn !== turns.sendings) return destinations;
  byId("sent-card").hidden = sent.length === 0;
  // What did not get there whole is sent once more by a button, unless that was done already.
  const isNewest = (one) => sent.find((other) => other.peer === one.peer) === one;
  const rows = sent.map((one) => ({ ...one, again: Boolean(one.ended) && one.state !== "done" && isNewest(one) && destinations.some((other) => other.ae_title === one.peer) }));
  put(byId("sent"), rows, (one) => one.number, sentRow);
  isSending = sent.some((one) => !one.ended);
  if (isSending) again = setTimeout(lookAtSendings, EVERY, false);
  return destinations;
}
/** The same for its own sake: if it fails, what was there stays. */
const lookAtSendings = (attended) => sendings(attended).catch(() => {});

byId("send")?.addEventListener("click", async () => {
  let destinations;
  try {
    destinations = await sendings();
  } catch (error) {
    showProblem(byId("problem"), error);
    return;
  }
  if (!destinations.length) {
    open({ title: _("Send to a device"), body: make("p", {}, _("No device is known that can be called. Whoever looks after the box adds it with its address and port, under Devices.")) });
    return;
  }
  const { study } = shown;
  const problem = make("p", { class: "problem", role: "alert", hidden: true });
  const select = make("select", { name: "to", required: true },
    destinations.map((one) => make("option", { value: one.ae_title }, one.name ? `${one.name} (${one.ae_title})` : one.ae_title)));
  const lines = [
    ngettext("%(n)s image goes there by DICOM, with the name of the patient.", "%(n)s images go there by DICOM, with the name of the patient.", study.instances),
    ...(study.here < study.instances ? [_("What is in the cloud only is fetched on the way, which takes longer.")] : []),
    _("It goes on by itself if you leave this page. It is not taken back if you stop it: what arrived stays there."),
    _("It is written into the audit with your name."),
  ];
  const go = make("button", { class: "button" }, _("Send"));
  const form = make("form", { class: "stack" },
    make("label", { class: "field" }, make("span", {}, _("Device")), select),
    make("ul", {}, lines.map((one) => make("li", {}, one))), problem,
    make("div", { class: "actions" }, make("button", { type: "button", class: "button quiet", onclick: () => dialog.close() }, _("Cancel")), go));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (go.disabled) return;
    go.disabled = true;
    try {
      await send(select.value);
      dialog.close();
      await lookAtSendings();
    } catch (error) {
      problem.replaceChildren(...wordsOf(error));
      problem.hidden = false;
      go.disabled = false;
    }
  });
  const dialog = open({ title: _("Send this study to a device"), body: form });
});

// Sharing: a link for somebody who has no log-in, for as long as is said; and those that hold.

const HOURS = [
  [1, _("one hour")],
  [24, _("one day")],
  [72, _("three days")],
  [168, _("one week")],
  [720, _("30 days")],
];

function linkRow(one) {
  const end = () => confirm({
    title: _("End this link?"),
    consequences: [_("It opens nothing any more, and who looks at the images now sees no more of them."), _("What was downloaded meanwhile stays where it is.")],
    action: _("End it"),
    act: async () => {
      await ask(`${own}/links/${one.link_id}`, { method: "DELETE" });
      await links();
    },
  });
  return make("li", {},
    make("p", { class: "who" }, make("bdi", {}, one.note || _("Without a name"))),
    make("p", { class: "when" }, _("until %(moment)s", { moment: moment(one.until) })),
    make("p", { class: "what" }, [
      _("by %(name)s", { name: one.maker }),
      one.opened ? ngettext("opened %(n)s time", "opened %(n)s times", one.opened) : _("not opened yet"),
      one.opened ? ago(one.last_opened) : "",
    ].filter(Boolean).flatMap((part, place) => [place ? " · " : "", make("bdi", {}, part)])),
    make("p", { class: "when" }, make("button", { type: "button", class: "button quiet small", onclick: end }, _("End it"))));
}

async function links(attended = true) {
  const found = await latest("links", `${own}/links`, attended);
  if (!found) return;
  byId("links-card").hidden = found.length === 0;
  put(byId("links"), found, (one) => one.link_id, linkRow);
}

function showLink(path, until) {
  const address = location.origin + path;
  const shown = make("input", { readonly: true, value: address, dir: "ltr", onfocus: (event) => event.target.select() });
  const copy = make("button", { type: "button", class: "button" }, icon("copy"), _("Copy"));
  copy.addEventListener("click", async () => {
    shown.focus();
    try {
      await navigator.clipboard.writeText(address);
      toast(_("Copied."));
    } catch {
      // Without TLS, browsers give a page no clipboard: it is selected, at least.
      toast(_("Copy it by hand, please: this browser does not let the page do it."), "warning");
    }
  });
  const dialog = open({
    title: _("The link"),
    body: [
      make("label", { class: "field" }, make("span", {}, _("Address")), shown),
      make("p", { class: "note" }, _("It opens the images until %(moment)s. It is not shown again: send it now.", { moment: moment(until) })),
      make("div", { class: "actions" }, make("button", { type: "button", class: "button quiet", onclick: () => dialog.close() }, _("Close")), copy),
    ],
  });
  shown.focus();
}

byId("share")?.addEventListener("click", () => {
  const most = Number(byId("share").dataset.days) * 24;
  const choices = HOURS.filter(([hours]) => hours <= most);
  if (!choices.length) choices.push([most, _("as long as is allowed")]);
  const problem = make("p", { class: "problem", role: "alert", hidden: true });
  const hours = make("select", { name: "hours" }, choices.map(([value, text]) => make("option", { value: String(value), selected: value === 24 }, text)));
  const note = make("input", { name: "note", maxlength: "100", autocomplete: "off" });
  const lines = [
    _("Whoever has the link sees the images of this study, and can download them, without a log-in."),
    _("It shows this study alone, and nothing else of this box."),
    _("The box must be reachable for them: on the clinic’s network, or as whoever looks after it has arranged."),
    _("Who made it, and each time it is opened, is written into the audit."),
  ];
  const go = make("button", { class: "button" }, _("Make the link"));
  const form = make("form", { class: "stack" },
    make("label", { class: "field" }, make("span", {}, _("For how long")), hours),
    make("label", { class: "field" }, make("span", {}, _("For whom")), note, make("small", {}, _("For your colleagues and the audit; whoever opens it does not see it."))),
    make("ul", {}, lines.map((one) => make("li", {}, one))), problem,
    make("div", { class: "actions" }, make("button", { type: "button", class: "button quiet", onclick: () => dialog.close() }, _("Cancel")), go));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (go.disabled) return;
    go.disabled = true;
    try {
      const made = await ask(`${own}/links`, { body: { hours: Number(hours.value), note: note.value.trim() } });
      dialog.close();
      showLink(made.path, made.until);
      await links();
    } catch (error) {
      problem.replaceChildren(...wordsOf(error));
      problem.hidden = false;
      go.disabled = false;
    }
  });
  const dialog = open({ title: _("Share this study by a link"), body: form });
});

// Erasing: two questions at once, where from, and whether that is understood.
byId("erase")?.addEventListener("click", () => {
  const { study } = shown;
  const unsafe = study.custody !== "safe";
  const word = _("erase");
  const problem = make("p", { class: "problem", role: "alert", hidden: true });
  const consequences = make("ul", {});
  const typed = make("input", { autocomplete: "off", spellcheck: "false", autocapitalize: "none" });
  const go = make("button", { class: "button danger", disabled: true }, _("Erase"));
  const choice = (value, text, checked) => make("label", { class: "check" }, make("input", { type: "radio", name: "where", value, checked }), text);
  const where = make("fieldset", { class: "field" }, make("legend", {}, _("Where?")),
    choice("here", _("On this box"), true), choice("both", _("On this box and in the cloud"), false));
  const form = make("form", { class: "stack" }, where, consequences,
    make("label", { class: "field" }, make("span", {}, _("Type %(word)s to go on", { word })), typed), problem,
    make("div", { class: "actions" }, make("button", { type: "button", class: "button quiet", onclick: () => dialog.close() }, _("Cancel")), go));
  const isBoth = () => form.elements.where.value === "both";
  function say() {
    const lines = [ngettext("%(n)s image of this study is erased from this box, with its key.", "%(n)s images of this study are erased from this box, with their keys.", study.instances)];
    if (unsafe) lines.push(_("The cloud is not known to have all of it: what is only here is gone for ever."));
    if (isBoth()) lines.push(_("The cloud is told to erase it as well, as soon as the line allows. Then nobody has it any more."));
    else lines.push(_("What the cloud has stays there. This box shows the study no more, and does not fetch it again."));
    lines.push(_("This can’t be undone, and it is written into the audit with your name."));
    consequences.replaceChildren(...lines.map((one) => make("li", {}, one)));
  }
  where.addEventListener("change", say);
  typed.addEventListener("input", () => { go.disabled = typed.value.trim().toLowerCase() !== word.toLowerCase(); });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (go.disabled) return;
    go.disabled = true;
    try {
      const query = new URLSearchParams({ "only-copy": String(unsafe), archive: String(isBoth()) });
      await ask(`${imagesOf}?${query}`, { method: "DELETE" });
      location.assign("/studies");
    } catch (error) {
      problem.replaceChildren(...wordsOf(error));
      problem.hidden = false;
      go.disabled = false;
    }
  });
  say();
  const dialog = open({ title: _("Erase this study?"), body: form });
});

// What happens --------------------------------------------------------------------------------------

let timer = 0;
let due = Infinity;
function soon(milliseconds) {
  if (document.hidden || Date.now() + milliseconds >= due) return;
  due = Date.now() + milliseconds;
  clearTimeout(timer);
  timer = setTimeout(() => {
    due = Infinity;
    look(false);
  }, milliseconds);
}
/** Whether anything of it is on its way, here or to the cloud. */
const isMoving = () => shown && (shown.study.here < shown.study.instances || shown.study.custody !== "safe");

let before = "";
let arrivedBefore = "";
follow({
  arrivals: ({ arrived }) => {
    const now = JSON.stringify(arrived.find((one) => one.study_uid === uid) ?? null);
    if (arrivedBefore && arrivedBefore !== now) soon(SOON);
    arrivedBefore = now;
  },
  state: ({ archives, ...state }) => {
    lineIsUp = Object.values(archives).some(Boolean);
    const now = JSON.stringify([state.studies, state.instances, state.custody, state.sealed_bytes]);
    if (before && before !== now && isMoving()) soon(LATER);
    before = now;
  },
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(false); });
await look();
if (byId("send") && shown) await Promise.allSettled([lookAtSendings(), links()]);
