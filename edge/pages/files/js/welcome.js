// Logging in, step by step; the box decides what is the next. Nothing that is typed is kept.

import "./layout.js";
import { ask } from "./api.js";
import { byId, inSmallLetters, onSubmit, showProblem } from "./dom.js";
import { enrolling, go } from "./enrol.js";
import { canPasskeys, use } from "./passkeys.js";
import { _ } from "./words.js";

const quiet = { welcome: false };
let typed = {};

// Where to go: a path of this box, whatever the address says.
function onward() {
  const to = new URLSearchParams(location.search).get("to") ?? "/";
  const url = new URL(to.startsWith("/") ? to : "/", location.origin);
  // Whole: a path that begins with two slashes would be another host by itself.
  location.replace(url.origin === location.origin ? url.href : "/");
}

const enrol = enrolling(onward, () => go("step-password"));
/** Somebody is in, or nearly. */
function take(who) {
  typed = {};
  enrol.take(who);
}

// Password, second step, code ------------------------------------------------------------------------

onSubmit(byId("password-form"), async ({ name, password }) => {
  const who = await ask("/login", { body: { name, password }, ...quiet });
  enrol.confirming = password;
  if (who.logged_in !== false) return take(who);
  typed = { name, password };
  go("step-second");
});

onSubmit(byId("second-form"), async ({ second }) => {
  take(await ask("/login", { body: { ...typed, second: second.trim() }, ...quiet }));
});

// Of a box that is not new, nobody is the first person.
if (byId("redeem-form").elements.name) inSmallLetters(byId("redeem-form").elements.name);
onSubmit(byId("redeem-form"), async ({ code, name = "", display_name = "", password, again }) => {
  if (password !== again) throw new Error(_("The two passwords are not the same."));
  const who = await ask("/login/redeem", { body: { code: code.trim(), password, name: name.trim().toLowerCase(), display_name: display_name.trim() }, ...quiet });
  enrol.confirming = password;
  if (who.logged_in !== false) return take(who);
  go("step-password");
  showProblem(byId("ways-problem"), new Error(_("The password is changed. Log in with it now.")));
});

// Passkeys -----------------------------------------------------------------------------------------------

byId("passkey").hidden = !canPasskeys;

byId("passkey").addEventListener("click", async () => {
  const problem = byId("ways-problem");
  problem.hidden = true;
  try {
    const credential = await use(await ask("/login/passkey/begin", { body: {}, ...quiet }));
    take(await ask("/login/passkey", { body: { credential }, ...quiet }));
  } catch (error) {
    showProblem(problem, error);
  }
});

// A code that came as a link or as a picture: the part behind # is sent to nobody.
const brought = /^#code=([A-Za-z0-9-]{8,64})$/.exec(location.hash);
if (brought && document.body.dataset.who !== "somebody") {
  history.replaceState(null, "", location.pathname + location.search);
  byId("redeem-form").elements.code.value = brought[1];
  go("step-redeem");
  byId("redeem-form").elements.password.focus();
}

// Whoever is in already goes on; whoever owes a second proof is asked for it.
if (document.body.dataset.who === "limited") go("step-enrol");
if (document.body.dataset.who === "somebody") onward();
