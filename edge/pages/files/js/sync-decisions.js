// What the archive refuses, and what exists in two versions: its words, what can be done, what follows.

import { ask } from "./api.js";
import { check, decide, field, told } from "./decide.js";
import { make } from "./dom.js";
import { Paged } from "./paged.js";
import { _, ago, bytes, moment, ngettext, person } from "./words.js";

/** Names of transfer syntaxes (PS3.6 A); they are the same in every language. */
const SYNTAXES = {
  "1.2.840.10008.1.2": "Implicit VR Little Endian",
  "1.2.840.10008.1.2.1": "Explicit VR Little Endian",
  "1.2.840.10008.1.2.1.99": "Deflated Explicit VR",
  "1.2.840.10008.1.2.2": "Explicit VR Big Endian",
  "1.2.840.10008.1.2.4.50": "JPEG Baseline",
  "1.2.840.10008.1.2.4.57": "JPEG Lossless",
  "1.2.840.10008.1.2.4.70": "JPEG Lossless SV1",
  "1.2.840.10008.1.2.4.80": "JPEG-LS Lossless",
  "1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless",
  "1.2.840.10008.1.2.4.91": "JPEG 2000",
  "1.2.840.10008.1.2.4.201": "HTJ2K Lossless",
  "1.2.840.10008.1.2.5": "RLE Lossless",
};
const syntax = (uid) => SYNTAXES[uid] ?? uid;
/** What copies can be made in, by the names that the box knows. */
const COPIES = [
  ["explicit", "Explicit VR Little Endian"], ["implicit", "Implicit VR Little Endian"], ["deflated", "Deflated Explicit VR"],
  ["rle", "RLE Lossless"], ["jpeg-lossless", "JPEG Lossless SV1"], ["jpeg-ls", "JPEG-LS Lossless"], ["jpeg-2000", "JPEG 2000 Lossless"],
];
const SUPPLIED = ["PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyDate", "StudyTime", "StudyID", "Modality"];
const english = { lang: "en", dir: "auto" };

const said = (label, value) => (value ? [make("dt", {}, label), make("dd", {}, value)] : []);
const button = (text, onclick, kind = "quiet") => make("button", { type: "button", class: `button small ${kind}`, onclick }, text);
const whole = () => check(_("The same for all images of this study"), { name: "study" });
const about = (one, fields) => (fields.study ? { study_uid: one.study_uid } : { sop_uids: [one.sop_uid] });

function head(one) {
  return make("div", {},
    make("h2", {}, make("a", { href: `/studies/${encodeURIComponent(one.study_uid)}` }, person(one.patient_name))),
    make("p", { class: "note" }, one.patient_id));
}

export function decisions({ count, mayDelete }) {
  // Dead letters -------------------------------------------------------------------------------------------

  let givenUp = false;
  const renewLetters = (done) => { if (done) letters.renew(); };

  async function decideLetter(body) {
    told(await ask("/api/v1/sync/dead-letters", { body }));
  }

  const repairs = {
    "retry": (one) => decide({
      title: _("Offer it again now?"), action: _("Offer it again"),
      consequences: [_("The archive is asked at once to take it."), _("If it refuses once more, it stands here again, with its new words.")],
      fields: [one.copy ? check(_("The image itself, and no copy any more"), { name: "as_stored" }) : null, whole()].filter(Boolean),
      act: (fields) => decideLetter({ decision: "retry", as_stored: Boolean(fields.as_stored), ...about(one, fields) }),
    }),
    "transcode": (one) => decide({
      title: _("Offer a copy in another encoding?"), action: _("Offer a copy"),
      consequences: [_("The copy has the same picture, without loss."), _("The image itself stays here for good, as it came.")],
      fields: [field(_("Encoding"), make("select", { name: "transfer_syntax" }, COPIES.map(([value, text]) => make("option", { value }, text)))), whole()],
      act: (fields) => decideLetter({ decision: "transcode", transfer_syntax: fields.transfer_syntax, ...about(one, fields) }),
    }),
    "supply": (one) => decide({
      title: _("Add what it lacks?"), action: _("Offer a copy with it"),
      consequences: [_("A copy with this value goes to the archive."), _("The image itself is not changed, and stays here for good."), _("What it says already can’t be changed so.")],
      fields: [
        make("datalist", { id: "attributes" }, SUPPLIED.map((value) => make("option", { value }))),
        field(_("Attribute"), make("input", { name: "keyword", list: "attributes", required: true, autocomplete: "off", spellcheck: "false", dir: "ltr" }), _("Its name in DICOM, such as PatientID.")),
        field(_("Value"), make("input", { name: "value", required: true, autocomplete: "off", maxlength: "64", dir: "auto" })),
        whole(),
      ],
      act: (fields) => decideLetter({ decision: "supply", attribute: `${fields.keyword.trim()}=${fields.value}`, ...about(one, fields) }),
    }),
    "give-up": (one) => decide({
      title: _("Offer it no more?"), action: _("Give it up"), danger: true,
      consequences: [_("The archive never gets it, unless somebody offers it again."), _("It stays in this box, which then has the only copy."), _("It never makes room for others.")],
      fields: [field(_("Why"), make("input", { name: "reason", required: true, maxlength: "1000", dir: "auto" }), _("Others read this.")), whole()],
      act: (fields) => decideLetter({ decision: "give-up", reason: fields.reason, ...about(one, fields) }),
    }),
  };
  const repairWords = { "retry": _("Offer it again"), "transcode": _("Another encoding"), "supply": _("Add what it lacks"), "give-up": _("Give it up") };

  const letters = new Paged("letters", {
    path: "/api/v1/sync/dead-letters?given_up=false",
    id: (one) => one.sop_uid,
    make: (one) => make("li", { class: "card stack letter" }, head(one),
      make("figure", { class: "quote" },
        make("figcaption", { class: "small" }, _("The archive says")),
        make("blockquote", english, one.reason || "–")),
      make("dl", { class: "said" },
        said(_("Sent by"), one.peer),
        said(_("Came"), moment(one.received)),
        said(_("Refused"), ngettext("%(n)s time", "%(n)s times", one.tries)),
        said(_("Tried again"), one.given_up ? "" : one.next_try ? ago(one.next_try) : _("when somebody says so")),
        said(_("Size"), bytes(one.size)),
        said(_("Encoding"), syntax(one.transfer_syntax)),
        one.copy ? said(_("A copy is offered"), [one.copy.transfer_syntax && syntax(one.copy.transfer_syntax), one.copy.supplied.join(", ")].filter(Boolean).join(" · ")) : [],
        one.given_up ? said(_("Given up"), `${moment(one.given_up)} · ${one.given_up_because}`) : []),
      make("div", { class: "cluster" }, one.choices.map((choice) =>
        button(repairWords[choice], async () => renewLetters(await repairs[choice](one)))))),
    onTotal: (total) => { if (!givenUp) count("letters", total); document.getElementById("letters-all").hidden = givenUp || total === 0; },
  });

  const chips = { false: document.getElementById("letters-open"), true: document.getElementById("letters-given-up") };
  for (const [value, chip] of Object.entries(chips)) chip.addEventListener("click", () => {
    givenUp = value === "true";
    for (const [other, each] of Object.entries(chips)) each.setAttribute("aria-pressed", String(other === value));
    letters.path = `/api/v1/sync/dead-letters?given_up=${givenUp}`;
    letters.renew();
  });
  document.getElementById("letters-all").addEventListener("click", async () => renewLetters(await decide({
    title: _("Offer all of them again?"), action: _("Offer all of them again"),
    consequences: [_("The archive is asked about each, one after the other."), _("That takes the line for as long as it lasts.")],
    act: () => decideLetter({ decision: "retry", all: true }),
  })));

  // Conflicts ---------------------------------------------------------------------------------------------

  async function decideConflict(body) {
    told(await ask("/api/v1/sync/conflicts", { body }));
  }

  const digest = (one) => ({ digest: one.other.digest });
  const choices = {
    "keep-both": { text: _("Leave both as they are"), danger: false, consequences: () => [_("The archive keeps its version, and the box its own."), _("What was decided before and not done yet is taken back.")] },
    "keep-archive": { text: _("Take the archive’s"), danger: false, consequences: () => [_("Viewers here get the archive’s version."), _("Ours is put aside, and can be taken back.")] },
    "keep-ours": { text: _("Take ours"), danger: true, deletes: true, body: () => ({ confirmed: true }),
      consequences: (one) => [_("The archive deletes its version, and gets ours."), _("Its version is put aside here."), ...(one.edited.length ? [_("This undoes what was corrected there: %(names)s.", { names: one.edited.join(", ") })] : [])] },
    "keep-kept": { text: _("Keep the one that is shown"), danger: true, deletes: true, body: (one) => ({ ...digest(one), confirmed: true }), consequences: () => [_("The one that was put aside is erased."), _("Perhaps nobody else has it. It can’t be taken back.")] },
    "keep-other": { text: _("Show the other one"), danger: false, body: digest, consequences: () => [_("Viewers get the one that was put aside."), _("The one that is shown now is put aside instead.")] },
  };
  const pending = { "keep-archive": _("The archive’s is taken as soon as it can be asked."), "keep-archive-alone": _("The archive’s is taken, and ours erased, as soon as it can be asked."), "keep-ours": _("Ours is taken as soon as the archive can be asked.") };

  async function choose(one, choice) {
    const { text, danger, consequences, body = () => ({}) } = choices[choice];
    const isAside = one.kind === "quarantine";
    if (await decide({
      title: `${text}?`, action: text, danger, consequences: consequences(one), fields: isAside ? [] : [whole()],
      act: (fields) => decideConflict({ decision: choice, ...body(one), ...about(one, fields) }),
    })) conflicts.renew();
  }

  const origins = { CLOUD: _("the cloud"), DIMSE: _("a device"), DICOMWEB: _("a program"), MEDIA: _("a disk or folder") };
  function side(title, one, other) {
    if (!one) return make("section", { class: "side-of" }, make("h3", {}, title), make("p", { class: "note" }, _("Nothing is known of it any more.")));
    const row = (label, value, theirs) => [make("dt", {}, label), make("dd", value && theirs && value !== theirs ? { "data-differs": "" } : {}, value || "–")];
    return make("section", { class: "side-of" }, make("h3", {}, title), make("dl", { class: "said" },
      row(_("Sent by"), one.peer || origins[one.origin] || one.origin, other && (other.peer || origins[other.origin] || other.origin)),
      row(_("Came"), one.received ? moment(one.received) : "", other?.received ? moment(other.received) : ""),
      row(_("Size"), one.size ? bytes(one.size) : "", other?.size ? bytes(other.size) : ""),
      row(_("Encoding"), one.transfer_syntax ? syntax(one.transfer_syntax) : "", other?.transfer_syntax ? syntax(other.transfer_syntax) : ""),
      row(_("Digest"), one.digest, other?.digest),
      row(_("Here"), one.is_here ? _("yes") : _("no"), other ? (other.is_here ? _("yes") : _("no")) : "")));
  }

  const conflicts = new Paged("conflicts", {
    path: "/api/v1/sync/conflicts",
    id: (one) => `${one.kind} ${one.sop_uid} ${one.other.digest}`,
    make: (one) => {
      const isAside = one.kind === "quarantine";
      return make("li", { class: "card stack" }, head(one),
        make("p", { class: "note" }, isAside ? _("Another image came under the same UID, and was put aside.") : _("The archive has another image under the same UID.")),
        one.reason ? make("p", { class: "words", ...english }, one.reason) : null,
        one.edited.length ? make("p", { class: "note" }, _("Patient or study were corrected in the archive (%(names)s): it may have written its files anew for that.", { names: one.edited.join(", ") })) : null,
        make("div", { class: "sides" },
          side(isAside ? _("Shown now") : _("Ours"), one.kept, one.other),
          side(isAside ? _("Put aside") : _("The archive’s"), one.other, one.kept)),
        one.decision ? make("p", { class: "badge", data: { level: "busy" } }, pending[one.decision] ?? one.decision) : null,
        one.note ? make("p", { class: "problem" }, _("The last decision could not be carried out:"), " ", make("span", english, one.note)) : null,
        make("div", { class: "cluster" }, one.choices.filter((choice) => choices[choice] && (mayDelete || !choices[choice].deletes)).map((choice) =>
          button(choices[choice].text, () => choose(one, choice)))));
    },
    onTotal: (total) => count("conflicts", total),
  });

  return { letters, conflicts };
}
