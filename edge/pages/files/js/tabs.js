// Parts of a page of which one is shown: arrow keys go through them, and the address names the one.

import { byId } from "./dom.js";

/** Set up a tablist of `tab-NAME` and `part-NAME`; `onShow(name)` hears which is shown, now and later. */
export function tabs(list, onShow) {
  const all = [...list.querySelectorAll("[role=tab]")];
  const nameOf = (tab) => tab.id.slice("tab-".length);
  function show(tab, { focus = false, note = true } = {}) {
    for (const one of all) {
      const isShown = one === tab;
      one.setAttribute("aria-selected", String(isShown));
      one.tabIndex = isShown ? 0 : -1;
      byId(one.getAttribute("aria-controls")).hidden = !isShown;
    }
    if (focus) tab.focus();
    if (note) history.replaceState(null, "", `#${nameOf(tab)}`);
    onShow(nameOf(tab));
  }
  const named = () => all.find((tab) => `#${nameOf(tab)}` === location.hash);
  list.addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) show(tab);
  });
  list.addEventListener("keydown", (event) => {
    const at = all.indexOf(document.activeElement);
    const way = document.documentElement.dir === "rtl" ? -1 : 1;
    const to = { ArrowRight: at + way, ArrowLeft: at - way, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    show(all[(to + all.length) % all.length], { focus: true });
  });
  window.addEventListener("hashchange", () => { if (named()) show(named(), { note: false }); });
  show(named() ?? all.find((tab) => tab.getAttribute("aria-selected") === "true") ?? all[0], { note: false });
}
