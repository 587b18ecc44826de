// A list of any length: rows are made for what is seen, and fetched a page at a time.
//
//     const list = new List(element, {
//       label: _("Studies"),
//       columns: [{key: "name", title: _("Patient"), width: "2fr", render: (row) => node or text}, …],
//       load: async (offset, limit, signal, attended) => ({rows: […], total: 12345}),
//       id: (row) => row.uid,
//       onOpen: (row) => …,               // Enter, or a click
//       rowHeight: 56,                     // pixels at the usual size of text
//     });
//     list.reload(); list.refresh(); list.update(row); list.current(); list.resize(72);
//
// It is a grid for screen readers, with the number of each row among all, and wholly usable by keys:
// arrows, Page, Home, End, Enter. 100,000 rows are some thirty elements.

import { make } from "./dom.js";

const PAGE = 100;
const KEPT = 30;
const BEYOND = 8;
const TALLEST = 8000000;

export class List {
  constructor(element, { label, columns, load, id, onOpen = () => {}, onSelect = () => {}, rowHeight = 56, empty = "" }) {
    Object.assign(this, { element, columns, load, id, onOpen, onSelect });
    this.total = 0;
    this.selected = 0;
    this.pages = new Map();
    this.rows = new Map();
    this.asked = new Map();
    element.classList.add("grid");
    element.style.setProperty("--columns", columns.map((one) => one.width ?? "1fr").join(" "));
    // Who scrolls by keys has to be in what scrolls, and that is the grid, its head in it.
    this.head = make("div", { class: "grid-head", role: "row", "aria-rowindex": "1" },
      columns.map((one) => make("span", { role: "columnheader" }, one.title)));
    this.canvas = make("div", { class: "grid-rows", role: "rowgroup" });
    this.body = make("div", { class: "grid-body", tabindex: "0", role: "grid", "aria-label": label, "aria-busy": "true" },
      make("div", { class: "grid-top", role: "rowgroup" }, this.head), this.canvas);
    this.note = make("p", { class: "empty", role: "status", hidden: true }, empty);
    element.replaceChildren(this.body, this.note);
    this.resize(rowHeight);
    this.body.addEventListener("scroll", () => this.draw(), { passive: true });
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.draw()).observe(this.body);
    this.reload();
  }

  /** Rows of another height, in pixels at the usual size of text; the first that is seen stays. */
  resize(rowHeight) {
    const top = this.height ? this.first() : 0;
    const size = parseFloat(getComputedStyle(document.documentElement).fontSize) / 17;
    this.height = Math.round(rowHeight * size);
    this.element.style.setProperty("--row", `${this.height}px`);
    if (!this.total) return;
    this.setTotal(this.total);
    this.scrollTo(top);
    this.draw();
  }

  /** Everything anew: another search, or much changed. */
  async reload() {
    for (const one of this.asked.values()) one.abort();
    this.asked.clear();
    this.pages.clear();
    this.body.scrollTop = 0;
    this.selected = 0;
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    await this.fetch(0);
  }

  /** Look again at what is seen, without moving: what did not change stays as it is. */
  async refresh() {
    const first = Math.floor(Math.min(this.first(), Math.max(0, this.total - 1)) / PAGE);
    const last = Math.floor(Math.max(0, this.first() + this.seen()) / PAGE);
    const abort = new AbortController();
    for (const one of this.asked.values()) one.abort();
    this.asked.clear();
    const fresh = new Map();
    let total = 0;
    for (let page = first; page <= Math.max(first, last); page += 1) this.asked.set(page, abort);
    try {
      for (const page of [...this.asked.keys()]) {
        const found = await this.load(page * PAGE, PAGE, abort.signal, false);
        fresh.set(page, found.rows);
        total = found.total;
      }
    } catch {
      return; // Another look begins, or the page says by itself that the box does not answer.
    } finally {
      for (const [page, one] of [...this.asked]) if (one === abort) this.asked.delete(page);
    }
    if (abort.signal.aborted) return;
    const chosen = this.current() && this.id(this.current());
    const known = new Set([...this.pages.values()].flat().map(this.id));
    const was = new Map([...this.rows.keys()].map((index) => [index, JSON.stringify(this.at(index))]));
    this.pages = fresh;
    this.setTotal(total);
    for (const [index, said] of was) if (said !== JSON.stringify(this.at(index))) this.drop(index);
    for (const [page, rows] of fresh) {
      const place = rows.findIndex((row) => this.id(row) === chosen);
      if (place >= 0) this.selected = page * PAGE + place;
    }
    this.draw();
    for (const [index, shown] of this.rows) {
      shown.setAttribute("aria-selected", String(index === this.selected));
      if (shown.dataset.id && !known.has(shown.dataset.id)) shown.classList.add("fresh");
    }
  }

  /** A row that changed, if it is among those that are known. */
  update(row) {
    for (const page of this.pages.values()) {
      const place = page.findIndex((one) => this.id(one) === this.id(row));
      if (place >= 0) page[place] = row;
    }
    for (const [index, shown] of this.rows) if (shown.dataset.id === this.id(row)) this.drop(index);
    this.draw();
  }

  /** The row that is selected; undefined while it is not known. */
  current() {
    return this.at(this.selected);
  }

  at(index) {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  async fetch(page) {
    if (this.asked.has(page)) return;
    const abort = new AbortController();
    this.asked.set(page, abort);
    try {
      const { rows, total } = await this.load(page * PAGE, PAGE, abort.signal);
      if (abort.signal.aborted) return;
      this.pages.set(page, rows);
      if (this.pages.size > KEPT) this.pages.delete(this.pages.keys().next().value);
      this.setTotal(total);
      for (const [index, shown] of this.rows) if (shown.classList.contains("waits")) this.drop(index);
    } catch (error) {
      if (error.name !== "AbortError") this.element.dispatchEvent(new CustomEvent("problem", { detail: error }));
      return;
    } finally {
      if (this.asked.get(page) === abort) this.asked.delete(page);
    }
    this.draw();
  }

  setTotal(total) {
    this.total = total;
    this.body.setAttribute("aria-rowcount", String(total + 1));
    // Browsers draw no element that is taller than some millions of pixels.
    this.scale = Math.max(1, (total * this.height) / TALLEST);
    this.canvas.style.height = `${(total * this.height) / this.scale}px`;
    this.note.hidden = total > 0;
    this.body.hidden = total === 0;
  }

  /** How many rows are seen, with a fraction. */
  seen() {
    return (this.body.clientHeight - this.head.offsetHeight) / this.height;
  }

  /** The first row that is seen, with its fraction. */
  first() {
    return (this.body.scrollTop * this.scale) / this.height;
  }

  draw() {
    if (!this.total) return;
    const seen = Math.ceil(this.seen());
    const top = Math.min(this.first(), Math.max(0, this.total - seen + 1));
    const from = Math.max(0, Math.floor(top) - BEYOND);
    const to = Math.min(this.total, Math.ceil(top) + seen + BEYOND);
    for (const index of [...this.rows.keys()]) if (index < from || index >= to) this.drop(index);
    for (let index = from; index < to; index += 1) {
      const shown = this.rows.get(index) ?? this.row(index);
      shown.style.transform = `translateY(${this.body.scrollTop + (index - this.first()) * this.height}px)`;
    }
    for (let page = Math.floor(from / PAGE); page <= Math.floor((to - 1) / PAGE); page += 1) {
      if (!this.pages.has(page)) this.fetch(page);
    }
    this.body.setAttribute("aria-busy", String(this.asked.size > 0));
  }

  row(index) {
    const row = this.at(index);
    const shown = make("div", {
      class: row ? "grid-row" : "grid-row waits", role: "row", id: `${this.element.id || "grid"}-${index}`,
      "aria-rowindex": String(index + 2), "aria-selected": String(index === this.selected),
      data: { index: String(index), id: row ? this.id(row) : "" },
    }, this.columns.map((column) => make("span", { role: "gridcell", class: column.class }, row ? column.render(row) : " ")));
    this.canvas.append(shown);
    this.rows.set(index, shown);
    return shown;
  }

  drop(index) {
    this.rows.get(index)?.remove();
    this.rows.delete(index);
  }

  select(index) {
    this.selected = Math.max(0, Math.min(this.total - 1, index));
    const seen = this.seen();
    const top = this.first();
    if (this.selected < top) this.scrollTo(this.selected);
    else if (this.selected + 1 > top + seen) this.scrollTo(this.selected + 1 - seen);
    this.draw();
    for (const [one, shown] of this.rows) shown.setAttribute("aria-selected", String(one === this.selected));
    this.body.setAttribute("aria-activedescendant", `${this.element.id || "grid"}-${this.selected}`);
    const row = this.current();
    if (row) this.onSelect(row);
  }

  scrollTo(row) {
    this.body.scrollTop = (row * this.height) / this.scale;
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.seen()) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.total, End: this.total };
    if (event.target !== this.body) return;
    if (event.key in steps) this.select(this.selected + steps[event.key]);
    else if (event.key === "Enter" && this.current()) this.onOpen(this.current());
    else return;
    event.preventDefault();
  }

  click(event) {
    if (event.target.closest("a, button, input")) return;
    const shown = event.target.closest(".grid-row");
    if (!shown) return;
    this.select(Number(shown.dataset.index));
    if (this.current()) this.onOpen(this.current());
  }
}
