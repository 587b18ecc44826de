// What a printer gets in place of the page, for as long as it is shown: the recovery key, an invitation.

import { ask } from "./api.js";
import { byId, icon, make } from "./dom.js";
import { picture } from "./handing.js";
import { _, date } from "./words.js";

/** What has a box of the disk image take another one's place, see `edge/provision/file.py`. */
const setupFile = ["[setup.restore]", 'key = "RECOVERY KEY"', "[[cloud.archive]]", 'name = "archive"', 'url = "URL"',
  'auth = { kind = "basic", user = "USER", password = "PASSWORD" }'];

const command = (text) => make("code", { dir: "ltr" }, text);

/** The recovery key of the disk, in groups, where there is one. */
export async function diskKey(hasOne) {
  return hasOne ? (await ask("/api/v1/keys/disk", { body: {} })).groups : [];
}

/** What is done with it. */
export const aboutDiskKey = () => _("When the box says on its screen that its data can’t be opened, this key is typed there: after an update of the machine’s firmware, a TPM that was cleared, or with its disk in another machine.");

/** Have it printed whatever is on the screen; `remove()` it with the key. */
export function diskPaper({ name, groups }) {
  return put(name, make("h1", {}, _("Recovery key of the disk")), diskPart(groups),
    make("p", { class: "small" }, _("Lock it away in another building. Who has it and the disk can open that.")));
}

const diskPart = (groups) => [make("p", {}, aboutDiskKey()),
  make("div", { class: "paper-key" }, make("ol", { dir: "ltr" }, groups.map((one) => make("li", {}, one))))];

/** Have it printed, and the disk's where there is one; `remove()` it with the key. */
export function keyPaper({ name, groups, svg, disk }) {
  return put(name,
    make("h1", {}, _("Recovery key")),
    make("p", {}, _("Lock it away in another building. Who has it can read every backup of this box.")),
    make("div", { class: "paper-key" },
      make("ol", { dir: "ltr" }, groups.map((one) => make("li", {}, one))), picture(svg, "")),
    make("p", { class: "small" }, _("Made %(date)s. O and 0 are the same, as are I, L and 1.", { date: date(Date.now() / 1000) })),
    disk.length ? [make("h2", {}, _("Recovery key of the disk")), ...diskPart(disk)] : [],
    make("h2", {}, _("When a new box has to become this one")),
    make("ol", { class: "paper-steps" },
      make("li", {}, _("Have at hand: the paper with the recovery key, and the address and log-in of the archive, or a backup file.")),
      make("li", {}, _("The new box is as on its first day: do not set it up, and send no images to it yet.")),
      make("li", {}, _("Installed from the disk image: put a stick with the file EDGE-SETUP/edge.toml in while the screen says that the box is new. The file says:"), setupFile.map((line) => make("div", {}, command(line))),
        make("div", {}, _("Or, in the place of the archive, with a backup file beside it:"), " ", command('file = "backup.edge"'))),
      make("li", {}, _("Installed otherwise: in a shell, with the service stopped and its data folder empty; start it afterwards:"), " ", command("edge restore --from-archive URL --auth SIGNING-IN.toml"), " ", _("Or from a file:"), " ", command("edge restore --from FILE"))),
    [_("Address of the archive"), _("Where its log-in is kept"), _("Where this paper is kept")].map((one) => make("p", { class: "paper-blank" }, one)));
}

/** An invitation, which speaks to whom it is handed to; `remove()` it with the code. */
export function invitationPaper({ box, name, role, code, link, picture: svg, until }) {
  const address = link ? new URL(link).origin : location.origin;
  return put(box,
    make("h1", {}, _("Your log-in")),
    make("p", {}, link
      ? _("Scan this, or open %(address)s, choose that you were given a code, and type it. Then set a password of your own.", { address })
      : _("Open %(address)s, choose that you were given a code, and scan or type it. Then set a password of your own.", { address })),
    make("div", { class: "paper-key" },
      make("dl", { class: "paper-said" }, [[_("Address"), address], [_("Name to log in with"), name], [_("Role"), role], [_("Code"), code]].flatMap(([what, said]) =>
        [make("dt", {}, what), make("dd", {}, make("bdi", { class: said === code ? "mono" : null }, said))])), picture(svg, "")),
    make("p", { class: "small" }, _("It holds until %(time)s, and once.", { time: until }), " ", _("Nobody will ask you for it. Destroy this paper once you are in.")));
}

function put(box, ...content) {
  byId("paper")?.remove();
  const mark = icon("mark");
  mark.setAttribute("viewBox", "0 0 32 32");
  const sheet = make("section", { class: "paper-only", id: "paper", "aria-hidden": "true" },
    make("p", { class: "paper-brand" }, mark, make("bdi", {}, box)), content.flat());
  document.body.append(sheet);
  return sheet;
}
