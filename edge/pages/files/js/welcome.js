// Logging in, step by step; the box decides what is the next. Nothing that is typed is kept.

import "./layout.js";
import { ask } from "./api.js";
import { byId, make, onSubmit, showProblem, spaced } from "./dom.js";
import { canPasskeys, create, label, use } from "./passkeys.js";
import { _ } from "./words.js";

const quiet = { welcome: false };
let typed = {};
let confirming = "";

// Where to go: a path of this box, whatever the address says.
function onward() {
  const to = new URLSearchParams(location.search).get("to") ?? "/";
  const url = new URL(to.startsWith("/") ? to : "/", location.origin);
  // Whole: a path that begins with two slashes would be another host by itself.
  location.replace(url.origin === location.origin ? url.href : "/");
}

function go(id) {
  for (const step of document.querySelectorAll(".step")) step.hidden = step.id !== id;
  byId(id).querySelector("input, button")?.focus();
}
for (const link of document.querySelectorAll("[data-go]")) link.addEventListener("click", () => go(link.dataset.go));

/** Somebody is in, or nearly. */
function take(who) {
  typed = {};
  if (who.recovery_codes?.length) return showCodes(who.recovery_codes);
  if (who.second_factor_needed) return go("step-enrol");
  return onward();
}

// Password, second step, code ------------------------------------------------------------------------

onSubmit(byId("password-form"), async ({ name, password }) => {
  const who = await ask("/login", { body: { name, password }, ...quiet });
  confirming = password;
  if (who.logged_in !== false) return take(who);
  typed = { name, password };
  go("step-second");
});

onSubmit(byId("second-form"), async ({ second }) => {
  take(await ask("/login", { body: { ...typed, second: second.trim() }, ...quiet }));
});

onSubmit(byId("redeem-form"), async ({ code, name, display_name, password, again }) => {
  if (password !== again) throw new Error(_("The two passwords are not the same."));
  const who = await ask("/login/redeem", { body: { code: code.trim(), password, name: name.trim(), display_name: display_name.trim() }, ...quiet });
  confirming = password;
  if (who.logged_in !== false) return take(who);
  go("step-password");
  showProblem(byId("ways-problem"), new Error(_("The password is changed. Log in with it now.")));
});

// Passkeys -----------------------------------------------------------------------------------------------

byId("passkey").hidden = !canPasskeys;
byId("enrol-passkey").hidden = !canPasskeys;

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

byId("enrol-passkey").addEventListener("click", async () => {
  const problem = byId("enrol-problem");
  problem.hidden = true;
  try {
    const credential = await create(await ask("/login/passkeys/begin", { body: { password: confirming }, ...quiet }));
    take(await ask("/login/passkeys", { body: { credential, label: label() }, ...quiet }));
  } catch (error) {
    showProblem(problem, error);
  }
});

// An app that shows codes -----------------------------------------------------------------------------------

byId("enrol-app").addEventListener("click", async () => {
  const problem = byId("enrol-problem");
  problem.hidden = true;
  try {
    const made = await ask("/login/totp/begin", { body: { password: confirming }, ...quiet });
    byId("qr").src = `data:image/svg+xml;base64,${btoa(made.picture)}`;
    byId("secret").textContent = spaced(made.secret);
    go("step-app");
  } catch (error) {
    showProblem(problem, error);
  }
});

onSubmit(byId("app-form"), async ({ code }) => take(await ask("/login/totp", { body: { code: code.replace(/\s/g, "") }, ...quiet })));

byId("give-up").addEventListener("click", async () => {
  await ask("/logout", { method: "POST", ...quiet }).catch(() => {});
  go("step-password");
});

function showCodes(codes) {
  byId("codes").replaceChildren(...codes.map((code) => make("li", {}, code)));
  go("step-codes");
}
byId("print-codes").addEventListener("click", () => window.print());
byId("codes-kept").addEventListener("click", onward);

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
