// A second proof beside the password: a passkey or an app, then the codes for when that is gone.

import { ask } from "./api.js";
import { byId, make, onSubmit, showProblem, spaced } from "./dom.js";
import { canPasskeys, create, label } from "./passkeys.js";

const quiet = { welcome: false };

/** Show one step of those on the page. */
export function go(id) {
  for (const step of document.querySelectorAll(".step")) step.hidden = step.id !== id;
  byId(id).querySelector("input, button")?.focus();
}
for (const link of document.querySelectorAll("[data-go]")) link.addEventListener("click", () => go(link.dataset.go));

/**
 * Lead whoever is in, or nearly, through what the box still wants of them, by `take(who)`.
 *
 * onward: where to then. out: after they would rather log out. `confirming`: what they typed just now.
 */
export function enrolling(onward, out) {
  const enrol = {
    confirming: "",
    take(who) {
      if (who.recovery_codes?.length) return showCodes(who.recovery_codes);
      if (who.second_factor_needed) return go("step-enrol");
      return onward();
    },
  };
  const tried = (id, act) => byId(id).addEventListener("click", async () => {
    const problem = byId("enrol-problem");
    problem.hidden = true;
    try {
      await act();
    } catch (error) {
      showProblem(problem, error);
    }
  });

  byId("enrol-passkey").hidden = !canPasskeys;
  byId("enrol-app").classList.toggle("quiet", canPasskeys);
  tried("enrol-passkey", async () => {
    const credential = await create(await ask("/login/passkeys/begin", { body: { password: enrol.confirming }, ...quiet }));
    enrol.take(await ask("/login/passkeys", { body: { credential, label: label() }, ...quiet }));
  });
  tried("enrol-app", async () => {
    const made = await ask("/login/totp/begin", { body: { password: enrol.confirming }, ...quiet });
    byId("qr").src = `data:image/svg+xml;base64,${btoa(made.picture)}`;
    byId("secret").textContent = spaced(made.secret);
    go("step-app");
  });
  onSubmit(byId("app-form"), async ({ code }) => enrol.take(await ask("/login/totp", { body: { code: code.replace(/\s/g, "") }, ...quiet })));
  byId("give-up").addEventListener("click", async () => {
    await ask("/logout", { method: "POST", ...quiet }).catch(() => {});
    out();
  });

  function showCodes(codes) {
    byId("codes").replaceChildren(...codes.map((code) => make("li", {}, code)));
    go("step-codes");
  }
  byId("print-codes").addEventListener("click", () => window.print());
  byId("codes-kept").addEventListener("click", onward);
  return enrol;
}
