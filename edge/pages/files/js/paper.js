// The recovery key on paper: what a printer gets in place of the page, for as long as it is shown.

import { byId, icon, make } from "./dom.js";
import { picture } from "./handing.js";
import { _, date } from "./words.js";

const command = (text) => make("code", { dir: "ltr" }, text);

/** Have it printed whatever is on the screen; `remove()` it with the key. */
export function keyPaper({ name, groups, svg }) {
  byId("paper")?.remove();
  const mark = icon("mark");
  mark.setAttribute("viewBox", "0 0 32 32");
  const sheet = make("section", { class: "paper-only", id: "paper", "aria-hidden": "true" },
    make("p", { class: "paper-brand" }, mark, make("bdi", {}, name)),
    make("h1", {}, _("Recovery key")),
    make("p", {}, _("Lock it away in another building. Who has it can read every backup of this box.")),
    make("div", { class: "paper-key" },
      make("ol", { dir: "ltr" }, groups.map((one) => make("li", {}, one))), picture(svg, "")),
    make("p", { class: "small" }, _("Made %(date)s. O and 0 are the same, as are I, L and 1.", { date: date(Date.now() / 1000) })),
    make("h2", {}, _("When a new box has to become this one")),
    make("ol", { class: "paper-steps" },
      make("li", {}, _("Have at hand: the paper with the recovery key, and the address and log-in of the archive, or a backup file.")),
      make("li", {}, _("Set up the new box as far as its console. Do not send images to it yet.")),
      make("li", {}, _("From the archive:"), " ", command("edge restore --from-archive URL --auth SIGNING-IN.toml"), " ", _("It asks for the key, finds the newest backup and opens it.")),
      make("li", {}, _("Or from a file:"), " ", command("edge restore --from FILE")),
      make("li", {}, _("Start it. What the archive has comes back as it is asked for; images that no archive had are named, so that they can be sent again."))),
    [_("Address of the archive"), _("Where its log-in is kept"), _("Where this paper is kept")].map((one) => make("p", { class: "paper-blank" }, one)));
  document.body.append(sheet);
  return sheet;
}
