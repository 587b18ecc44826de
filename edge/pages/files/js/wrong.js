// What is wrong with a setting, in the words of who looks at the page; what is not known here, in the box's.

import { Said } from "./dom.js";
import { ask } from "./api.js";
import { _ } from "./words.js";

/** What was typed at a key, which may be in a table of an array. */
function typedAt(changes, key) {
  const own = Object.keys(changes).find((one) => key === one || key.startsWith(`${one}.`));
  if (!own) return "";
  return key.slice(own.length + 1).split(".").filter(Boolean).reduce((node, part) => node?.[part], changes[own]) ?? "";
}

/** An error of what `/settings/check` found in these changes. */
export function wrong(problem, changes) {
  const said = String(typedAt(changes, problem.key));
  if (problem.key === "appliance.time_zone") {
    const zones = problem.near.map((zone) => `\u2066${zone}\u2069`).join(", ");
    return new Said(zones
      ? _("The box knows no time zone “%(zone)s”. Did you mean %(zones)s?", { zone: said, zones })
      : _("The box knows no time zone “%(zone)s”. It is called by a large city in it, such as Europe/Dublin.", { zone: said }));
  }
  if (problem.key === "http.interface" && problem.near.length) {
    return new Said(_("You came by %(yours)s, and could not reach the box any more. Open this page by %(port)s and choose it there, or choose it at the screen of the box.", { yours: problem.near[0], port: said }));
  }
  if (problem.key.endsWith(".url") && /^http:/i.test(said)) {
    return new Said(_("The address must begin with https: images and passwords would travel in the clear otherwise."));
  }
  if (/\.auth\.\w+$/.test(problem.key) && said.startsWith("/")) {
    return new Said(_("This archive knows the box by a file of the machine, which can’t be given anew on this page. So its name, address, proxy and authority can’t be changed here, either: that is done on the machine, by edge config set cloud.archive. Or choose another proof of who we are."));
  }
  return Object.assign(new Error(problem.message), { hint: problem.hint });
}

/** What would be wrong with these changes; null if nothing is. */
export async function problemOf(changes) {
  return (await ask("/api/v1/settings/check", { body: { changes } })).problem;
}
