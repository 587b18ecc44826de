// Tokens: making one, whose secret is shown once, seeing when each was used, and revoking; and the
// links by which studies are shown to who has no log-in.

import "./layout.js";
import { ask } from "./api.js";
import { confirm, open } from "./dialog.js";
import { byId, make, onSubmit, showProblem, toast } from "./dom.js";
import { handOver } from "./handing.js";
import { narrowedText, narrowingFields, narrowingOf, roleName } from "./narrowing.js";
import { _, ago, date, moment, ngettext, person } from "./words.js";

const problem = byId("tokens-problem");

async function show() {
  try {
    const tokens = await ask("/api/v1/tokens");
    byId("no-tokens").hidden = tokens.length > 0;
    byId("tokens").replaceChildren(...tokens.map(row));
    problem.hidden = true;
  } catch (error) {
    showProblem(problem, error);
  }
}

function row(one) {
  const soon = one.expires && one.expires - Date.now() / 1000 < 14 * 86400;
  const badge = one.ended
    ? make("span", { class: "badge", data: { level: "alarm" } }, _("ended"))
    : soon ? make("span", { class: "badge", data: { level: "warning" } }, _("ends %(when)s", { when: ago(one.expires) })) : null;
  const ends = one.expires ? _("holds until %(date)s", { date: date(one.expires) }) : _("does not end by itself");
  const used = one.used_day
    ? one.used_from ? _("last used %(date)s from %(address)s", { date: date(one.used_day.replace(/-/g, "")), address: one.used_from }) : _("last used %(date)s", { date: date(one.used_day.replace(/-/g, "")) })
    : _("not used yet");
  const stores = one.ae_title ? _("stores as %(name)s", { name: one.ae_title }) : "";
  return make("li", {},
    make("p", { class: "who" }, make("bdi", {}, one.name), make("span", { class: "badge" }, roleName(one.role)), badge),
    make("button", { type: "button", class: "button quiet small", "aria-label": _("Revoke %(name)s", { name: one.name }), onclick: () => revoke(one) }, _("Revoke")),
    make("p", { class: "what" }, [_("made %(date)s", { date: date(one.created) }), ends, used, stores, narrowedText(one)].filter(Boolean).join(" · ")));
}

const revoke = (one) => confirm({
  title: _("Revoke the token of %(name)s?", { name: one.name }), action: _("Revoke"), danger: true,
  consequences: [_("Whatever uses it gets nothing from now on, and brings nothing in."), _("It can’t be undone; another one can be made.")],
  act: () => ask(`/api/v1/tokens?token_id=${encodeURIComponent(one.token_id)}`, { method: "DELETE" }),
}).then((done) => {
  if (done) toast(_("It is worthless now."));
  show();
});

// Links ----------------------------------------------------------------------------------------------

async function showLinks() {
  try {
    const links = await ask("/api/v1/links");
    byId("links-card").hidden = links.length === 0;
    byId("links").replaceChildren(...links.map(linkRow));
  } catch (error) {
    showProblem(problem, error);
  }
}

function linkRow({ link, patient_name: patient }) {
  const name = person(patient);
  const said = [
    link.note,
    _("by %(name)s", { name: link.maker }),
    _("until %(moment)s", { moment: moment(link.until) }),
    link.opened ? ngettext("opened %(n)s time", "opened %(n)s times", link.opened) : _("not opened yet"),
    link.opened ? ago(link.last_opened) : "",
  ];
  return make("li", {},
    make("p", { class: "who" }, make("a", { href: `/studies/${encodeURIComponent(link.study_uid)}` }, make("bdi", {}, name))),
    make("button", { type: "button", class: "button quiet small", "aria-label": _("End the link to the study of %(name)s", { name }), onclick: () => end(link) }, _("End it")),
    make("p", { class: "what" }, said.filter(Boolean).flatMap((part, place) => [place ? " · " : "", make("bdi", {}, part)])));
}

const end = (link) => confirm({
  title: _("End this link?"), action: _("End it"),
  consequences: [_("It opens nothing any more, and who looks at the images now sees no more of them."), _("What was downloaded meanwhile stays where it is.")],
  act: () => ask(`/api/v1/studies/${encodeURIComponent(link.study_uid)}/links/${link.link_id}`, { method: "DELETE" }),
}).then((done) => { if (done) showLinks(); });

byId("make").addEventListener("click", () => {
  const days = [30, 90, 365];
  const form = make("form", { class: "stack" },
    make("label", { class: "field" }, make("span", {}, _("Who or what will hold it")),
      make("input", { name: "name", required: true, maxlength: "64", autocomplete: "off" })),
    make("label", { class: "field" }, make("span", {}, _("Role")),
      make("select", { name: "role" }, ["service", "viewer", "technologist", "physician", "admin"].map((role) => make("option", { value: role }, roleName(role))))),
    make("label", { class: "field" }, make("span", {}, _("It ends after")),
      make("select", { name: "days" },
        days.map((n) => make("option", { value: String(n), selected: n === 365 }, ngettext("%(n)s day", "%(n)s days", n))),
        make("option", { value: "" }, _("does not end by itself")))),
    make("details", { class: "more" },
      make("summary", {}, _("Narrow what the role may do")), narrowingFields(),
      make("label", { class: "field" }, make("span", {}, _("What it stores comes from")),
        make("input", { name: "ae_title", maxlength: "16", autocomplete: "off", spellcheck: "false" }),
        make("small", {}, _("The AE title of the device behind it; empty: none.")))),
    make("p", { class: "problem", role: "alert", hidden: true }),
    make("div", { class: "actions" }, make("button", { class: "button" }, _("Make a token"))));
  const shown = open({ title: _("Make a token"), body: form });
  onSubmit(form, async ({ name, role, days: chosen, ae_title }) => {
    const made = await ask("/api/v1/tokens", { body: {
      name: name.trim(), role, days: chosen ? Number(chosen) : null, ae_title: ae_title.trim(), ...narrowingOf(form),
    } });
    shown.close();
    handOver({
      title: _("The token of %(name)s", { name: name.trim() }), secret: made.secret,
      note: _("Put it where the program wants it now, and keep no copy."),
      facts: made.expires ? [_("It holds until %(date)s.", { date: date(made.expires) })] : [],
    });
    show();
  });
});

show();
showLinks();
