// What is left of a role: the fields for it, and how it is said. The box decides what it means.

import { make } from "./dom.js";
import { _ } from "./words.js";

/** What a role is called. */
export const roleName = (role) => ({
  viewer: _("viewer"), technologist: _("technologist"), physician: _("physician"),
  admin: _("administrator"), service: _("program"),
})[role] ?? role;

const services = () => [
  ["dicomweb", _("images (DICOMweb)")], ["changefeed", _("the feed of changes")], ["admin", _("this page and its interface")],
];
const acts = () => [
  ["read", _("search and look")], ["store", _("bring images in")], ["delete", _("delete")],
  ["decide", _("decide what waits")], ["administer", _("look after the box")],
];

const boxes = (name, title, known, chosen) => make("fieldset", { class: "field" },
  make("legend", {}, title),
  make("div", { class: "cluster" }, known.map(([value, text]) => make("label", { class: "check" },
    make("input", { type: "checkbox", name, value, checked: chosen.includes(value) }), text))));

const list = (name, title, hint, chosen) => make("label", { class: "field" },
  make("span", {}, title), make("input", { name, value: chosen.join(", "), autocomplete: "off", spellcheck: "false" }),
  make("small", {}, hint));

/** Fields for a form, filled with what holds now. */
export function narrowingFields(now = {}) {
  return [
    boxes("services", _("Only by these ways"), services(), now.services ?? []),
    boxes("acts", _("Only to do this"), acts(), now.acts ?? []),
    list("studies_from", _("Only studies that came from"), _("AE titles, with commas between them; empty: all."), now.studies_from ?? []),
    list("networks", _("Only from these addresses"), _("Such as 192.168.7.0/24, with commas between them; empty: anywhere."), now.networks ?? []),
  ];
}

const parts = (text) => String(text ?? "").split(",").map((one) => one.trim()).filter(Boolean);

/** What the fields of a form say. */
export function narrowingOf(form) {
  const said = new FormData(form);
  return {
    services: said.getAll("services"), acts: said.getAll("acts"),
    studies_from: parts(said.get("studies_from")), networks: parts(said.get("networks")),
  };
}

/** In one line; empty if nothing is taken away. */
export function narrowedText(now) {
  const named = (known, chosen) => known.filter(([value]) => chosen.includes(value)).map(([, text]) => text).join(", ");
  const said = [];
  if (now.services?.length) said.push(named(services(), now.services));
  if (now.acts?.length) said.push(named(acts(), now.acts));
  if (now.studies_from?.length) said.push(_("studies from %(names)s", { names: now.studies_from.join(", ") }));
  if (now.networks?.length) said.push(_("from %(names)s", { names: now.networks.join(", ") }));
  return said.length ? _("Only: %(what)s", { what: said.join(" · ") }) : "";
}
