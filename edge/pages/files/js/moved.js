// The box was given another name: where it is from now on, for as long as its former name is answered, too.

import { byId, make } from "./dom.js";
import { _, number } from "./words.js";

const KEPT = "edge-moved";

/** The same page by the new name. */
export function linkTo({ host }) {
  const url = `${location.protocol}//${host}${location.port ? `:${location.port}` : ""}${location.pathname}`;
  return make("a", { href: url, dir: "ltr" }, url);
}

/** Have every page of this window that has room for it say so. */
export function remember({ former, host, hours }) {
  sessionStorage.setItem(KEPT, JSON.stringify({ former, host, hours, until: Date.now() + hours * 3_600_000 }));
  showMoved();
}

/** Say it, if it is so. */
export function showMoved() {
  const element = byId("moved");
  const moved = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  if (!element || !moved || moved.until < Date.now() || moved.host === location.hostname) return;
  const at = { former: location.hostname, hours: number(Math.round(moved.hours)) };
  const isFormer = [moved.former, moved.former.replace(/\.local$/, "")].includes(location.hostname);
  element.replaceChildren(
    _("The box has another name, and with it another certificate: browsers ask once more whether they trust it. It is called now:"), " ", linkTo(moved), ". ",
    isFormer
      ? _("You can go on here: %(former)s is answered for %(hours)s hours yet. A passkey that was made here holds under this name alone: under the new one, log in with your password and a recovery code, and make another.", at)
      : _("You can go on here: the certificate that you know is shown for %(hours)s hours yet.", at));
  element.hidden = false;
}
