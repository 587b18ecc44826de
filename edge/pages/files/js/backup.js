// The recovery key: made, shown once, printed, typed back; only then does the box seal for it.

import "./layout.js";
import { ask } from "./api.js";
import { confirm, open } from "./dialog.js";
import { byId, icon, make, onSubmit, showProblem, toast } from "./dom.js";
import { picture } from "./handing.js";
import { aboutDiskKey, diskKey, diskPaper, keyPaper } from "./paper.js";
import { _, date } from "./words.js";

const problem = byId("key-problem");
let hasDiskKey = false;

async function show() {
  try {
    const { made, trouble, disk } = await ask("/api/v1/keys/recovery");
    hasDiskKey = disk;
    byId("disk-key").hidden = !disk;
    const badge = (level, text) => make("span", { class: "badge", data: { level } }, text);
    if (trouble) byId("key-state").replaceChildren(badge("alarm", _("damaged")), " ", make("span", { lang: "en", dir: "auto" }, trouble));
    else if (made) byId("key-state").replaceChildren(badge("safe", _("there is one")), " ", _("made %(date)s; it can’t be shown again.", { date: date(made) }));
    else byId("key-state").replaceChildren(badge("alarm", _("there is none")), " ", _("A box that is lost today could not be made anew."));
    byId("make-key").hidden = Boolean(made);
    byId("renew-key").hidden = !made;
    byId("download").hidden = !made;
    problem.hidden = true;
  } catch (error) {
    byId("key-state").textContent = "";
    showProblem(problem, error);
  }
}

async function begin(renew) {
  problem.hidden = true;
  try {
    const disk = await diskKey(hasDiskKey);
    write({ ...await ask("/api/v1/keys/recovery", { body: { renew } }), disk });
  } catch (error) {
    showProblem(problem, error);
  }
}

const inGroups = (name, groups) => make("ol", { class: "key-groups", "aria-label": name }, groups.map((one) => make("li", {}, one)));

async function showDiskKey() {
  problem.hidden = true;
  try {
    const name = byId("key").dataset.box;
    const groups = await diskKey(true);
    const sheet = diskPaper({ name, groups });
    open({ title: _("Recovery key of the disk"), body: [
      make("p", { class: "note" }, aboutDiskKey()), inGroups(_("Recovery key of the disk"), groups),
      make("div", { class: "actions" }, make("button", { type: "button", class: "button", onclick: () => window.print() }, icon("print"), _("Print"))),
    ] }).addEventListener("close", () => sheet.remove());
  } catch (error) {
    showProblem(problem, error);
  }
}

/** Show it; `shown` again, for whoever comes back from typing it. */
function write(shown) {
  const name = byId("key").dataset.box;
  const sheet = keyPaper({ name, groups: shown.groups, svg: shown.picture, disk: shown.disk });
  const paper = open({ title: _("Recovery key of %(name)s", { name }), body: [
    make("p", { class: "note" }, _("Print it, or write it down, and lock it away in another building. Who has it can read every backup of this box. It is shown this once.")),
    inGroups(_("Recovery key"), shown.groups), picture(shown.picture, _("The same as a code to be scanned")),
    ...shown.disk.length ? [make("h3", {}, _("Recovery key of the disk")), make("p", { class: "note" }, aboutDiskKey()), inGroups(_("Recovery key of the disk"), shown.disk)] : [],
    make("p", { class: "note" }, _("Made %(date)s. O and 0 are the same, as are I, L and 1.", { date: date(Date.now() / 1000) })),
    make("div", { class: "actions" },
      make("button", { type: "button", class: "button quiet", onclick: () => window.print() }, icon("print"), _("Print")),
      make("button", { type: "button", class: "button", onclick: () => { paper.close(); typeBack(name, shown); } }, _("I have it on paper"))),
  ] });
  paper.addEventListener("close", () => sheet.remove());
}

function typeBack(name, written) {
  const field = make("textarea", { name: "key", rows: "4", required: true, maxlength: "400", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", class: "digits", dir: "ltr" });
  const form = make("form", { class: "stack" },
    make("label", { class: "field" }, make("span", {}, _("Type it from the paper")), field,
      make("small", {}, _("All nine groups; blanks and lines as you like."))),
    make("p", { class: "problem", role: "alert", hidden: true }),
    make("div", { class: "actions" },
      make("button", { type: "button", class: "button quiet", onclick: () => { shown.close(); write(written); } }, _("Back to the key")),
      make("button", { class: "button" }, _("That is it"))));
  const shown = open({ title: _("Recovery key of %(name)s", { name }), body: [
    make("p", { class: "note" }, _("It holds once it was typed back: so nobody keeps a paper that can’t be read. Until then nothing changed.")), form,
  ] });
  onSubmit(form, async ({ key }) => {
    await ask("/api/v1/keys/recovery/typed", { body: { key } });
    shown.close();
    toast(_("The recovery key holds: backups are made for it from now on."));
    show();
  });
  field.focus();
}

byId("make-key").addEventListener("click", () => begin(false));
byId("renew-key").addEventListener("click", async () => {
  const sure = await confirm({
    title: _("Make another recovery key?"), action: _("Make another"),
    consequences: [
      _("Only if the paper is lost, or somebody saw it who should not."),
      _("Backups from now on open with the new one alone; older ones with the old one alone: keep both papers."),
    ],
  });
  if (sure) begin(true);
});
byId("show-disk-key").addEventListener("click", showDiskKey);
byId("print").addEventListener("click", () => window.print());
show();
