// Somebody's own log-in: password, second proofs, and where they are logged in.

import "./layout.js";
import { Refusal, ask } from "./api.js";
import { confirm, open } from "./dialog.js";
import { byId, icon, make, onSubmit, showProblem, spaced, toast } from "./dom.js";
import { canPasskeys, create, label } from "./passkeys.js";
import { _, ago, moment } from "./words.js";

/** Do what wants the password once more if the log-in is not of just now: `act` gets it, or "". */
async function confirmed(act) {
  const problem = byId("factors-problem");
  problem.hidden = true;
  try {
    await act("");
  } catch (error) {
    if (!(error instanceof Refusal && error.status === 403)) return showProblem(problem, error);
    const field = make("input", { type: "password", autocomplete: "current-password", required: true });
    const wrong = make("p", { class: "problem", role: "alert", hidden: true });
    const form = make("form", { class: "stack" },
      make("label", { class: "field" }, make("span", {}, _("Your password, once more")), field), wrong,
      make("div", { class: "actions" }, make("button", { class: "button" }, _("Go on"))));
    const shown = open({ title: _("Is it you?"), body: form });
    onSubmit(form, async () => {
      await act(field.value);
      shown.close();
    });
    field.focus();
  }
}

const offer = (id, does = true) => { byId(id).hidden = !does; };

const form = byId("password-form");
if (form) {
  onSubmit(form, async ({ password, new_password, again }) => {
    if (new_password !== again) throw new Error(_("The two passwords are not the same."));
    await ask("/login/password", { body: { password, new_password } });
    form.reset();
    toast(_("The password is changed. You are logged out everywhere else."));
    showSessions();
  });
  byId("add-passkey").hidden = !canPasskeys;
  byId("add-passkey").addEventListener("click", () => confirmed(async (password) => {
    const credential = await create(await ask("/login/passkeys/begin", { body: { password } }));
    const who = await ask("/login/passkeys", { body: { credential, label: label() } });
    offer("new-codes");
    if (who.recovery_codes?.length) showCodes(who.recovery_codes);
    showPasskeys();
  }));
  byId("add-app").addEventListener("click", () => confirmed(async (password) => {
    showApp(await ask("/login/totp/begin", { body: { password } }));
  }));
  byId("remove-app").addEventListener("click", () => confirmed(async (password) => {
    const { removed } = await ask("/login/totp/remove", { body: { password } });
    offer("remove-app", false);
    toast(removed ? _("The app is removed.") : _("There was no app."));
  }));
  byId("new-codes").addEventListener("click", () => confirmed(async (password) => {
    showCodes((await ask("/login/recovery-codes", { body: { password } })).recovery_codes);
  }));
  showPasskeys();
  showSessions();
}

function showApp(made) {
  const code = make("input", { name: "code", class: "digits", inputmode: "numeric", autocomplete: "one-time-code", required: true });
  const steps = make("form", { class: "stack" },
    make("img", { class: "qr", alt: _("A QR code for the app"), width: "224", height: "224", src: `data:image/svg+xml;base64,${btoa(made.picture)}` }),
    make("p", { class: "secret" }, spaced(made.secret)),
    make("label", { class: "field" }, make("span", {}, _("The six digits that it shows")), code),
    make("p", { class: "problem", role: "alert", hidden: true }),
    make("div", { class: "actions" }, make("button", { class: "button" }, _("Go on"))));
  const shown = open({ title: _("Scan this with your app"), body: steps });
  onSubmit(steps, async (said) => {
    const who = await ask("/login/totp", { body: { code: said.code.replace(/\s/g, "") } });
    shown.close();
    toast(_("The app is set up."));
    offer("remove-app");
    offer("new-codes");
    if (who.recovery_codes?.length) showCodes(who.recovery_codes);
  });
}

function showCodes(codes) {
  open({ title: _("Keep these recovery codes"), body: [
    make("p", { class: "note" }, _("Each opens the box once if your passkey or app is gone. They are not shown again.")),
    make("ol", { class: "codes" }, codes.map((code) => make("li", {}, code))),
    make("div", { class: "actions" }, make("button", { class: "button quiet", onclick: () => window.print() }, icon("print"), _("Print"))),
  ] });
}

async function showPasskeys() {
  const { passkeys } = await ask("/login/passkeys");
  byId("passkeys").replaceChildren(...passkeys.map((one) => make("li", {},
    make("p", { class: "who" }, one.label || _("Passkey")),
    make("button", { type: "button", class: "button quiet small", onclick: () => removePasskey(one) }, _("Remove")),
    make("p", { class: "what" }, one.last_used ? _("used %(when)s", { when: ago(one.last_used) }) : _("not used yet")))));
}

async function removePasskey(one) {
  const sure = await confirm({
    title: _("Remove this passkey?"), action: _("Remove"), danger: true,
    consequences: [_("It opens this box no more."), _("The device that keeps it still has it, and may offer it.")],
  });
  if (sure) confirmed(async (password) => {
    await ask("/login/passkeys/remove", { body: { id: one.id, password } });
    showPasskeys();
  });
}

async function showSessions() {
  const { this: own, sessions } = await ask("/login/sessions");
  byId("sessions").replaceChildren(...sessions.map((one) => make("li", {},
    make("p", { class: "who" }, one.session_id === own ? _("This browser") : one.agent || _("Another browser")),
    one.session_id === own
      ? make("p", { class: "when" }, _("until %(time)s", { time: moment(one.until) }))
      : make("button", { type: "button", class: "button quiet small", onclick: () => end(one) }, _("Log out there")),
    make("p", { class: "what" }, _("from %(address)s, used %(when)s", { address: one.address, when: ago(one.used) })))));
}

async function end(one) {
  await ask(`/login/sessions/${encodeURIComponent(one.session_id)}`, { method: "DELETE" }).catch((error) => toast(error.message, "alarm"));
  showSessions();
}
