// Devices: who is let in, who called and is not, what goes wrong, and whether they can be reached.

import "./layout.js";
import { ask } from "./api.js";
import { check, decide, field } from "./decide.js";
import { confirm } from "./dialog.js";
import { byId, icon, make, onSubmit, showProblem, toast, wordsOf } from "./dom.js";
import { tabs } from "./tabs.js";
import { _, ago, date, moment, ngettext, number } from "./words.js";

const EVERY = 15000;
const english = { lang: "en", dir: "auto" };
const RIGHTS = Object.fromEntries([...byId("rights").options].map((one) => [one.value, one.label]));
const joined = (...parts) => parts.filter(Boolean).join(" · ");
const badge = (text, level) => make("span", { class: "badge", data: level ? { level } : {} }, text);
const button = (text, onclick, name = "") => make("button", { type: "button", class: "button quiet small", onclick }, name ? icon(name) : null, text);
const echoes = new Map();

function count(name, total) {
  const shown = document.querySelector(`[data-count="${name}"]`);
  shown.textContent = number(total);
  shown.hidden = total === 0;
}

/** Put these in place of those that are there; what says the same stays, with the focus that is in it. */
function renew(list, items, rowOf) {
  const before = new Map([...list.children].map((row) => [row.dataset.said, row]));
  items.forEach((item, place) => {
    const said = JSON.stringify([item, echoes.get(item.ae_title) ?? null]);
    const row = before.get(said) ?? rowOf(item);
    row.dataset.said = said;
    if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
  });
  while (list.children.length > items.length) list.lastElementChild.remove();
}

// Who may call -------------------------------------------------------------------------------------------

function knownRow(peer) {
  const where = peer.host ? `${peer.host}:${peer.port}` : _("from anywhere");
  const echoed = echoes.get(peer.ae_title);
  return make("li", {},
    make("p", { class: "who" }, peer.name ? `${peer.name} (${peer.ae_title})` : peer.ae_title),
    make("p", { class: "when" }, peer.in_force ? null : badge(_("not in force"), "warning"), peer.tls ? badge(_("encrypted"), "safe") : null),
    make("p", { class: "what" }, joined(where, peer.may.map((one) => RIGHTS[one] ?? one).join(", ") || _("may do nothing"))),
    make("p", { class: "when" }, peer.approved === null ? _("from the configuration") : _("let in by %(name)s, %(day)s", { name: peer.source, day: date(peer.approved) })),
    peer.in_force ? null : make("p", { class: "what span" }, _("The configuration has a device of this AE title, and that one counts.")),
    make("div", { class: "cluster span" },
      button(_("Call it"), (event) => call(peer, event.currentTarget), "line"),
      peer.approved === null ? null : button(_("Change"), () => letIn({ ...peer, isKnown: true }), "edit"),
      peer.approved === null ? null : button(_("Forget"), () => forget(peer), "trash")),
    echoed ? make("p", { class: "echoed span", role: "status" },
      badge(echoed.works ? _("answers") : _("does not answer"), echoed.works ? "safe" : "alarm"), " ",
      make("span", english, echoed.found), echoed.hint ? make("span", { class: "words", ...english }, ` ${echoed.hint}`) : null,
      echoed.works ? ` ${number(Math.round(echoed.milliseconds))} ms` : "") : null);
}

async function call(peer, pressed) {
  pressed.disabled = true;
  try {
    echoes.set(peer.ae_title, await ask(`/api/v1/peers/${encodeURIComponent(peer.ae_title)}/echo`, { method: "POST" }));
    byId("peers-problem").hidden = true;
    await show();
    [...byId("known").children].find((row) => row.dataset.said.includes(JSON.stringify(peer.ae_title)))?.querySelector("button")?.focus();
  } catch (error) {
    showProblem(byId("peers-problem"), error);
  } finally {
    pressed.disabled = false;
  }
}

async function forget(peer) {
  if (await confirm({
    title: _("Forget %(name)s?", { name: peer.name || peer.ae_title }), action: _("Forget it"), danger: true,
    consequences: [_("It is turned away from now on, also in the middle of its work."), _("Images that it sent stay here.")],
    act: async () => {
      const { configured } = await ask(`/api/v1/peers?${new URLSearchParams({ ae_title: peer.ae_title })}`, { method: "DELETE" });
      if (configured) toast(_("It is forgotten, but the configuration lets it in."), "alarm");
      else toast(_("It is forgotten."));
    },
  })) show();
}

/** Let one in: a stranger with what is known of it, or one that did not call yet. */
async function letIn(one = {}) {
  const text = (name, value, attributes = {}) => make("input", { name, value: value ?? "", autocomplete: "off", dir: "ltr", ...attributes });
  const may = one.may ?? ["store"];
  const done = await decide({
    title: one.isKnown ? _("Change %(name)s", { name: one.ae_title }) : one.ae_title ? _("Let %(name)s in?", { name: one.ae_title }) : _("Let a device in"),
    consequences: [_("It may call at once, and do what is ticked here."), _("Without encryption, whoever uses its AE title and address is taken for it.")],
    fields: [
      make("div", { class: "pair" },
        field(_("AE title"), text("ae_title", one.ae_title, { required: true, maxlength: "16", readonly: Boolean(one.ae_title) }), _("By which it calls.")),
        field(_("Name"), text("name", one.name, { maxlength: "64", dir: "auto" }), _("For people.")),
        field(_("Address"), text("host", one.host, { maxlength: "253" }), _("Empty: from anywhere.")),
        field(_("Port"), make("input", { name: "port", type: "number", min: "1", max: "65535", required: true, value: String(one.port ?? 104) }), _("Where the box reaches it."))),
      make("fieldset", { class: "rights" }, make("legend", {}, _("What it may do")),
        Object.entries(RIGHTS).map(([name, words]) => check(words, { name: `may-${name}`, checked: may.includes(name) }))),
      check(_("Let it in over TLS alone"), { name: "tls", checked: Boolean(one.tls) }),
    ],
    action: one.isKnown ? _("Change it") : _("Let it in"),
    act: async ({ ae_title, name, host, port, tls, ...ticked }) => {
      const rights = Object.keys(RIGHTS).filter((right) => ticked[`may-${right}`]);
      await ask("/api/v1/peers", { body: {
        ae_title: ae_title.trim(), may: rights, host: host.trim(), port: Number(port), name: name.trim(), tls: Boolean(tls),
        certificate: one.certificate ?? "", max_associations: one.max_associations ?? 0,
      } });
    },
  });
  if (!done) return;
  toast(one.isKnown ? _("It is changed.") : _("It is let in."));
  show();
}
byId("add").addEventListener("click", () => letIn());

// Who called and may not ---------------------------------------------------------------------------------

function strangerRow(one) {
  return make("li", {},
    make("p", { class: "who" }, one.ae_title),
    make("p", { class: "when" }, ago(one.last_seen)),
    make("p", { class: "what" }, joined(_("from %(host)s", { host: one.host }), _("called %(title)s", { title: one.called || "–" }), ngettext("%(n)s call", "%(n)s calls", one.calls), _("the first %(when)s", { when: moment(one.first_seen) }))),
    make("p", { class: "when" }, one.certificate ? badge(_("showed a certificate"), "safe") : null),
    one.services ? make("p", { class: "what span" }, _("It wanted:"), " ", make("span", english, one.services)) : null,
    one.why ? make("p", { class: "words span", ...english }, one.why) : null,
    make("div", { class: "cluster span" },
      // What it showed is what it shall be held to: its name alone anybody could have.
      button(_("Let it in"), () => letIn({ ae_title: one.ae_title, host: one.host, certificate: one.certificate, tls: Boolean(one.certificate) }), "check"),
      button(_("Forget"), () => forgetStranger(one), "trash")));
}

async function forgetStranger(one) {
  if (await confirm({
    title: _("Forget %(name)s?", { name: one.ae_title }), action: _("Forget it"),
    consequences: [_("It stands here again if it calls again.")],
    act: () => ask(`/api/v1/peers?${new URLSearchParams({ ae_title: one.ae_title })}`, { method: "DELETE" }),
  })) show();
}

async function show(attended = true) {
  const { peers, strangers } = await ask("/api/v1/peers", { attended });
  byId("known-empty").hidden = peers.length > 0;
  byId("strangers-empty").hidden = strangers.length > 0;
  count("known", peers.length);
  count("strangers", strangers.length);
  renew(byId("known"), peers, knownRow);
  renew(byId("strangers"), strangers, strangerRow);
}

// The doctor ---------------------------------------------------------------------------------------------

const SIDES = { device: _("On the device"), box: _("On the box"), network: _("On the network") };
const changes = (list) => (list.length
  ? make("ul", { class: "changes" }, list.map((one) => make("li", {}, badge(SIDES[one.side] ?? one.side), make("span", english, one.what))))
  : make("p", { class: "note" }, _("Nothing has to be done.")));

function troubleCard(one) {
  const isOver = one.fine_since !== null;
  return make("li", { class: "card stack" },
    make("div", { class: "cluster" },
      make("h2", {}, one.ae_title || one.host || "?"),
      isOver ? badge(_("went well since"), "safe") : one.changes.length ? badge(_("goes on"), "alarm") : null,
      one.is_known || !one.ae_title ? null : badge(_("not let in"), "warning")),
    make("p", english, one.what),
    make("p", { class: "note" }, joined(
      one.direction === "in" ? _("it called") : _("the box called it"), one.host,
      ngettext("%(n)s time", "%(n)s times", one.times), _("last %(when)s", { when: ago(one.last_seen) }),
      isOver ? _("without trouble at %(time)s", { time: moment(one.fine_since) }) : "")),
    changes(one.changes),
    one.contexts.length ? make("details", {}, make("summary", {}, _("What was refused")),
      make("ul", { class: "small" }, one.contexts.map((each) => make("li", english, joined(each.sop_class, each.why, each.offered.join(", ")))))) : null);
}

function stateRow(one) {
  return make("li", {},
    make("p", { class: "who" }, one.name ? `${one.name} (${one.ae_title})` : one.ae_title),
    make("p", { class: "when" }, one.called || one.was_called ? badge(_("heard"), "safe") : badge(_("never heard"), "warning")),
    make("p", { class: "what" }, joined(
      one.called ? _("it called %(when)s", { when: ago(one.called) }) : "",
      one.was_called ? _("the box reached it %(when)s", { when: ago(one.was_called) }) : "", one.host)),
    make("span", {}),
    one.missing ? make("div", { class: "span stack" }, make("p", { class: "words", ...english }, one.missing.what), changes(one.missing.changes)) : null);
}

let whom = "";
async function examine(attended = true, peer = whom) {
  const found = await ask(`/api/v1/peers/doctor?${new URLSearchParams({ peer })}`, { attended });
  const troubles = found.troubles.filter((one) => one.kind !== "fine");
  if (!found.is_known) throw new Error(_("There is no such device, and nobody called so."));
  whom = peer;
  byId("doctor-empty").hidden = troubles.length > 0;
  byId("states-card").hidden = found.peers.length === 0;
  if (!whom) count("doctor", troubles.filter((one) => one.fine_since === null && one.changes.length).length);
  renew(byId("troubles"), troubles, troubleCard);
  renew(byId("states"), found.peers, stateRow);
}
onSubmit(byId("doctor-form"), async ({ peer }) => {
  await examine(true, peer.trim());
});

// Parts --------------------------------------------------------------------------------------------------

async function all(attended) {
  try {
    await Promise.all([show(attended), examine(attended)]);
    byId("peers-problem").hidden = true;
  } catch (error) {
    byId("peers-problem").replaceChildren(...wordsOf(error));
    byId("peers-problem").hidden = false;
  }
}
tabs(byId("tabs"), () => {});
all(true);
// Nothing tells of a device that was turned away; whoever waits for one to call sees it soon.
setInterval(() => {
  if (document.visibilityState === "visible" && !document.querySelector("dialog[open]")) all(false);
}, EVERY);
