// A list of the API in a page: some of it first, more on demand, and anew where things change.
//
// The elements are those of `parts/list.html`. An entry that did not change stays as it is, so that
// nobody loses what they are just about to press.

import { ask } from "./api.js";
import { byId, showProblem } from "./dom.js";

const STEP = 50;
const MOST = 1000;

export class Paged {
  /** path: of the API. id(item), make(item) -> li. onTotal(total, found). */
  constructor(name, { path, id, make, onTotal = () => {} }) {
    Object.assign(this, { path, id, make, onTotal });
    this.list = byId(name);
    this.problem = byId(`${name}-problem`);
    this.empty = byId(`${name}-empty`);
    this.more = byId(`${name}-more`);
    this.wanted = STEP;
    this.known = new Map();
    this.asked = 0;
    this.more.addEventListener("click", () => {
      this.wanted = Math.min(MOST, this.wanted + STEP);
      this.renew();
    });
  }

  /** Ask again for as much as is shown; attended: a person wanted that. */
  async renew({ attended = true } = {}) {
    const turn = (this.asked += 1);
    this.list.setAttribute("aria-busy", "true");
    try {
      const found = await ask(`${this.path}${this.path.includes("?") ? "&" : "?"}limit=${this.wanted}&offset=0`, { attended });
      if (turn === this.asked) this.show(found);
    } catch (error) {
      if (turn === this.asked) showProblem(this.problem, error);
    } finally {
      if (turn === this.asked) this.list.removeAttribute("aria-busy");
    }
  }

  show(found) {
    const items = Array.isArray(found) ? found : found.items;
    const total = Array.isArray(found) ? found.length : found.total;
    this.problem.hidden = true;
    const known = new Map();
    const shown = items.map((item) => {
      const key = this.id(item);
      const said = JSON.stringify(item);
      const before = this.known.get(key);
      const node = before?.said === said ? before.node : this.make(item);
      known.set(key, { said, node });
      return node;
    });
    this.known = known;
    shown.forEach((node, place) => {
      if (this.list.children[place] !== node) this.list.insertBefore(node, this.list.children[place] ?? null);
    });
    while (this.list.children.length > shown.length) this.list.lastElementChild.remove();
    this.empty.hidden = total > 0;
    this.more.hidden = items.length >= total || this.wanted >= MOST;
    this.onTotal(total, found);
  }
}
