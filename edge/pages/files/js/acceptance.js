// The acceptance protocol: the devices come by the API; the rest stands in the page.

import "./layout.js";
import { ask } from "./api.js";
import { byId, make, showProblem } from "./dom.js";

// A port is told where somebody said one: 104 is what is taken if nobody does.
const USUAL = 104;
const where = (one) => one.host && one.port !== USUAL ? `${one.host}:${one.port}` : one.host;

const row = (one) => make("tr", {},
  make("td", {}, make("bdi", {}, one.name || one.ae_title), one.name ? make("div", { class: "small" }, one.ae_title) : null),
  make("td", { dir: "ltr" }, where(one)),
  make("td", {}, make("span", { class: "tick", "aria-hidden": "true" })));

async function show() {
  try {
    const { peers } = await ask("/api/v1/peers");
    const known = peers.filter((one) => one.in_force);
    byId("devices").replaceChildren(...known.map(row));
    byId("devices-table").hidden = known.length === 0;
    byId("no-devices").hidden = known.length > 0;
  } catch (error) {
    showProblem(byId("acceptance-problem"), error);
  }
}

byId("print").addEventListener("click", () => window.print());
show();
