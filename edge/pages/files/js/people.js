// People: inviting, changing, resetting, narrowing, and looking at emergencies.

import { follow } from "./layout.js";
import { ask } from "./api.js";
import { confirm, open } from "./dialog.js";
import { byId, icon, inSmallLetters, make, onSubmit, showProblem, toast } from "./dom.js";
import { handOver } from "./handing.js";
import { invitationPaper } from "./paper.js";
import { narrowedText, narrowingFields, narrowingOf, roleName } from "./narrowing.js";
import { _, ago, moment } from "./words.js";

const at = (name, ...rest) => ["/api/v1/users", encodeURIComponent(name), ...rest].join("/");
const problem = byId("people-problem");

/** Do something and show everybody anew; a problem is said at the head of the page. */
async function done(act) {
  problem.hidden = true;
  try {
    await act();
  } catch (error) {
    showProblem(problem, error);
  }
  await show();
}

async function show() {
  try {
    const [{ users }, { identities }, { emergencies }] = await Promise.all(
      ["users", "identities", "emergencies"].map((what) => ask(`/api/v1/${what}`)));
    byId("no-users").hidden = users.length > 0;
    byId("users").replaceChildren(...users.map(userRow));
    byId("identities-card").hidden = identities.length === 0;
    byId("identities").replaceChildren(...identities.map(identityRow));
    byId("emergencies-card").hidden = emergencies.length === 0;
    byId("emergencies").replaceChildren(...emergencies.map(emergencyRow));
  } catch (error) {
    showProblem(problem, error);
  }
}

const button = (text, act, kind = "quiet") => make("button", { type: "button", class: `button ${kind} small`, onclick: act }, text);
const shownName = (one) => one.display_name || one.name;

function stateBadge(one) {
  if (one.state === "disabled") return make("span", { class: "badge", data: { level: "warning" } }, _("kept out"));
  if (one.state === "invited") return make("span", { class: "badge", data: { level: "busy" } }, _("invited"));
  return null;
}

// Users of this box ---------------------------------------------------------------------------------

function userRow(one) {
  const seen = one.last_seen ? _("last here %(when)s", { when: ago(one.last_seen) }) : _("not here yet");
  const second = one.second_factors.length ? _("with a second proof") : _("without a second proof");
  const code = one.code_until ? _("the code holds until %(time)s", { time: moment(one.code_until) }) : "";
  return make("li", { "data-name": one.name },
    make("p", { class: "who" }, make("bdi", {}, shownName(one)), make("span", { class: "badge" }, roleName(one.role)), stateBadge(one)),
    make("button", { type: "button", class: "button quiet small", "aria-label": _("Change %(name)s", { name: shownName(one) }), onclick: () => openUser(one) }, _("Change")),
    make("p", { class: "what" }, [one.name, seen, one.state === "invited" ? "" : second, code, narrowedText(one.narrowed)].filter(Boolean).join(" · ")));
}

const roles = (chosen, onchange = null) => make("label", { class: "field" }, make("span", {}, _("Role")),
  make("select", { name: "role", onchange }, ["viewer", "technologist", "physician", "admin"].map((role) =>
    make("option", { value: role, selected: role === chosen }, roleName(role)))),
  make("small", {}, _("Viewers look; technologists and physicians bring images in and decide, too; administrators do everything.")));

const text = (name, title, value = "", more = {}, hint = "") => make("label", { class: "field" }, make("span", {}, title),
  make("input", { name, value, maxlength: "64", autocomplete: "off", ...more }), hint ? make("small", {}, hint) : null);

const wrong = () => make("p", { class: "problem", role: "alert", hidden: true });
const actions = (...buttons) => make("div", { class: "actions" }, buttons);

byId("invite").addEventListener("click", () => {
  const form = make("form", { class: "stack" },
    text("display_name", _("Name, as others know it")),
    text("name", _("Name to log in with"), "", { required: true, autocapitalize: "none", spellcheck: "false" },
      _("Small letters from a to z, digits and . _ - @: no spaces, no accents.")),
    roles("technologist"), wrong(), actions(make("button", { class: "button" }, _("Make a code for them"))));
  inSmallLetters(form.elements.name);
  const shown = open({ title: _("Invite somebody"), body: form });
  onSubmit(form, async ({ name, role, display_name }) => {
    const handed = await ask("/api/v1/users", { body: { name: name.trim().toLowerCase(), role, display_name: display_name.trim() } });
    shown.close();
    showCode(handed, role);
    show();
  });
});

function showCode(handed, role) {
  const box = byId("users").dataset.box;
  const sheet = invitationPaper({ box, ...handed, role: roleName(role), until: moment(handed.until) });
  const shown = handOver({
    title: _("A code for %(name)s", { name: handed.name }), secret: handed.code, svg: handed.picture,
    note: _("They scan it, or choose that they were given a code where one logs in, and set a password."),
    facts: [_("It holds until %(time)s, and once.", { time: moment(handed.until) })],
  });
  shown.addEventListener("close", () => sheet.remove());
}

function openUser(one) {
  // Nobody is narrowed who could widen themselves.
  const narrowing = make("details", { class: "more", open: Boolean(narrowedText(one.narrowed)), hidden: one.role === "admin" },
    make("summary", {}, _("Narrow what the role may do")), narrowingFields(one.narrowed));
  const form = make("form", { class: "stack" },
    text("display_name", _("Name, as others know it"), one.display_name),
    roles(one.role, (event) => { narrowing.hidden = event.target.value === "admin"; }), narrowing,
    wrong(), actions(make("button", { class: "button" }, _("Save"))));
  const sessions = make("ul", { class: "rows" });
  const shown = open({ title: shownName(one), body: [
    form,
    make("h3", {}, _("Where they are logged in")), sessions,
    make("h3", {}, _("Their log-in")),
    make("div", { class: "cluster" },
      button(_("New code"), () => { shown.close(); reset(one); }),
      one.state === "disabled"
        ? button(_("Let in again"), () => { shown.close(); done(() => ask(at(one.name), { body: { disabled: false } })); })
        : button(_("Keep out"), () => { shown.close(); keepOut(one); }),
      button(_("Remove"), () => { shown.close(); remove(one); }, "danger")),
  ] });
  onSubmit(form, async ({ display_name, role }) => {
    await ask(at(one.name), { body: { display_name: display_name.trim(), role, narrowed: role === "admin" ? {} : narrowingOf(form) } });
    shown.close();
    toast(_("Saved. It holds from now on."));
    show();
  });
  showSessions(one, sessions);
}

async function showSessions(one, list) {
  try {
    const { sessions } = await ask(at(one.name, "sessions"));
    list.replaceChildren(...sessions.map((each) => make("li", {},
      make("p", { class: "who" }, each.agent || _("A browser")),
      button(_("Log out there"), async () => {
        await ask(`${at(one.name, "sessions")}?session_id=${encodeURIComponent(each.session_id)}`, { method: "DELETE" }).catch((error) => toast(error.message, "alarm"));
        showSessions(one, list);
      }),
      make("p", { class: "what" }, _("from %(address)s, used %(when)s", { address: each.address, when: ago(each.used) })))));
    if (!sessions.length) list.replaceChildren(make("li", {}, make("p", { class: "what" }, _("Nowhere."))));
  } catch (error) {
    list.replaceChildren(make("li", {}, make("p", { class: "what" }, error.message)));
  }
}

async function reset(one) {
  const lost = make("input", { type: "checkbox" });
  const form = make("form", { class: "stack" },
    make("ul", {}, [_("Their password opens nothing any more."), _("They are logged out everywhere."), _("With the new code they set another password.")].map((each) => make("li", {}, each))),
    make("label", { class: "check" }, lost, _("They lost their passkey or app, too: forget it")),
    wrong(), actions(make("button", { class: "button" }, _("Make a code for them"))));
  const shown = open({ title: _("A new code for %(name)s?", { name: shownName(one) }), body: form });
  onSubmit(form, async () => {
    const handed = await ask(at(one.name, "reset"), { body: { forget_factors: lost.checked } });
    shown.close();
    showCode(handed, one.role);
    show();
  });
}

const keepOut = (one) => confirm({
  title: _("Keep %(name)s out?", { name: shownName(one) }), action: _("Keep out"), danger: true,
  consequences: [_("They are logged out at once, everywhere."), _("Whatever they prove, it opens nothing, until you let them in again.")],
  act: () => ask(at(one.name), { body: { disabled: true } }),
}).then(show);

const remove = (one) => confirm({
  title: _("Remove %(name)s?", { name: shownName(one) }), action: _("Remove"), danger: true, typed: one.name,
  consequences: [_("They are logged out at once, and their log-in is gone."), _("What they did stays in the record.")],
  act: () => ask(at(one.name), { method: "DELETE" }),
}).then(show);

// People of the identity provider -----------------------------------------------------------------------

const of = (one) => `/api/v1/identities/${encodeURIComponent(one.name)}`;

function identityRow(one) {
  const vouched = one.vouched ? _("vouched for %(when)s", { when: ago(one.vouched) }) : _("the provider knows them no more");
  return make("li", {},
    make("p", { class: "who" }, make("bdi", {}, shownName(one)), make("span", { class: "badge" }, roleName(one.role)), stateBadge(one)),
    make("button", { type: "button", class: "button quiet small", "aria-label": _("Change %(name)s", { name: shownName(one) }), onclick: () => openIdentity(one) }, _("Change")),
    make("p", { class: "what" }, [vouched, narrowedText(one.narrowed)].filter(Boolean).join(" · ")));
}

function openIdentity(one) {
  const form = make("form", { class: "stack" }, narrowingFields(one.narrowed), wrong(), actions(make("button", { class: "button" }, _("Save"))));
  const out = one.state === "disabled";
  const shown = open({ title: shownName(one), body: [
    make("p", { class: "what", dir: "auto" }, one.issuer), form,
    make("div", { class: "cluster" },
      button(out ? _("Let in again") : _("Keep out"), () => { shown.close(); out ? done(() => ask(of(one), { body: { disabled: false } })) : keepIdentityOut(one); }),
      button(_("Forget"), () => { shown.close(); forget(one); }, "danger")),
  ] });
  onSubmit(form, async () => {
    await ask(of(one), { body: { narrowed: narrowingOf(form) } });
    shown.close();
    toast(_("Saved. It holds from now on."));
    show();
  });
}

const keepIdentityOut = (one) => confirm({
  title: _("Keep %(name)s out?", { name: shownName(one) }), action: _("Keep out"), danger: true,
  consequences: [_("They are logged out at once, everywhere."), _("Whatever they prove, it opens nothing, until you let them in again.")],
  act: () => ask(of(one), { body: { disabled: true } }),
}).then(show);

const forget = (one) => confirm({
  title: _("Forget %(name)s?", { name: shownName(one) }), action: _("Forget"), danger: true,
  consequences: [_("They are logged out at once."), _("If the provider lets them, they may log in again, and then nothing narrows them.")],
  act: () => ask(of(one), { method: "DELETE" }),
}).then(show);

// Emergencies --------------------------------------------------------------------------------------------

function emergencyRow(one) {
  const ended = one.ended ? _("ended %(time)s", { time: moment(one.ended) }) : _("open until %(time)s", { time: moment(one.until) });
  const seen = one.seen ? _("looked at by %(name)s, %(when)s", { name: one.seen_by, when: ago(one.seen) }) : "";
  return make("li", {},
    make("p", { class: "who" }, make("bdi", {}, one.name)),
    one.seen ? make("p", { class: "when" }, moment(one.began)) : make("span", { class: "badge", data: { level: "alarm" } }, _("not looked at")),
    make("p", { class: "what" }, [roleName(one.role), _("began %(time)s", { time: moment(one.began) }), ended, one.address, seen].filter(Boolean).join(" · ")),
    make("p", { class: "reason", dir: "auto" }, one.reason),
    make("div", { class: "cluster" },
      make("a", { class: "button quiet small", href: `/audit?emergency=${encodeURIComponent(one.emergency_id)}` }, icon("audit"), _("What was done")),
      one.seen ? null : button(_("I looked at it"), () => look(one))));
}

const look = (one) => confirm({
  title: _("Did you look at it?"), action: _("I looked at it"),
  consequences: [_("It is no alarm any more."), _("Your name stands beside it, for good.")],
  act: () => ask(`/api/v1/emergencies/${encodeURIComponent(one.emergency_id)}`, { body: { looked: true } }),
}).then(show);

let known = "";
follow({ state: (state) => {
  const now = JSON.stringify(state.emergencies ?? null);
  if (known && now !== known) show();
  known = now;
} });
show();
