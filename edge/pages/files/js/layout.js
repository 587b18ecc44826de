// What is on every page: navigation, language, colours, logging out, and the state in the header.
//
// `follow({arrivals: f})` is how a page hears more than the header does; there is one stream.

import { ask } from "./api.js";
import { byId } from "./dom.js";
import "./glass.js";
import { listen } from "./live.js";

const YEAR = 31536000;

function remember(name, value) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${name}=${value}; Path=/; Max-Age=${YEAR}; SameSite=Lax${secure}`;
}

// Language and colours ----------------------------------------------------------------------------

byId("language")?.addEventListener("change", (event) => {
  remember("edge-language", event.target.value);
  location.reload();
});

byId("themes")?.addEventListener("click", (event) => {
  const button = event.target.closest("[data-theme-choice]");
  if (!button) return;
  const theme = button.dataset.themeChoice;
  remember("edge-theme", theme);
  document.documentElement.dataset.theme = theme;
  document.querySelector("meta[name=color-scheme]").content = theme === "auto" ? "light dark" : theme;
  for (const other of byId("themes").children) other.setAttribute("aria-pressed", String(other === button));
});

// Navigation on a small screen ---------------------------------------------------------------------

const side = byId("side");
const menu = byId("menu-button");
function setMenu(open) {
  side.toggleAttribute("data-open", open);
  menu.setAttribute("aria-expanded", String(open));
  if (open) side.querySelector("a").focus();
}
menu?.addEventListener("click", () => setMenu(!side.hasAttribute("data-open")));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && side?.hasAttribute("data-open")) {
    setMenu(false);
    menu.focus();
  }
});
document.addEventListener("click", (event) => {
  if (side?.hasAttribute("data-open") && !side.contains(event.target) && !menu.contains(event.target)) setMenu(false);
});

byId("log-out")?.addEventListener("click", async () => {
  await ask("/logout", { method: "POST", welcome: false }).catch(() => {});
  location.assign("/welcome");
});

// The state, as it changes ---------------------------------------------------------------------------

const handlers = { state: [renew], arrivals: [] };

/** Hear of events, beside the header. */
export function follow(more) {
  for (const [kind, handler] of Object.entries(more)) (handlers[kind] ??= []).push(handler);
}

let asked = Promise.resolve();
let last = "";
/** Put the pieces of this page that show the state in anew; they come in words from the box. */
function renew(state) {
  const now = JSON.stringify(state);
  if (now === last) return;
  last = now;
  const parts = [...document.querySelectorAll("[data-part]")];
  asked = asked.then(async () => {
    try {
      const pieces = await ask(`/page/state?parts=${parts.map((part) => part.dataset.part)}`, { attended: false });
      for (const part of parts) {
        const made = pieces[part.dataset.part];
        if (made === undefined || part.dataset.made === made) continue;
        // Our own template, escaped by the box: the one place where text becomes markup.
        const fresh = new DOMParser().parseFromString(made, "text/html").body.childNodes;
        if (!part.contains(document.activeElement)) part.replaceChildren(...fresh);
        part.dataset.made = made;
      }
    } catch {
      last = ""; // The stream says whether the box is there.
    }
  });
}

const tell = (kind) => (data) => handlers[kind]?.forEach((handler) => handler(data));
if (document.body.classList.contains("framed")) {
  listen(
    { state: tell("state"), arrivals: tell("arrivals"), end: () => ask("/page/state?parts=", { attended: false }).catch(() => {}) },
    { onOnline: (online) => { byId("offline").hidden = online; } },
  );
}
