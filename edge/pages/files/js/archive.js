// The cloud archive: a form of what is needed to reach it, and the walk there before it is set up.

import { authorityFields } from "./authority.js";
import { make, wordsOf } from "./dom.js";
import { walk } from "./walk.js";
import { _ } from "./words.js";
import { problemOf, wrong } from "./wrong.js";

const KINDS = () => ({ dicomweb: _("Any archive with DICOMweb"), orthanc: "Orthanc", azure: "Azure DICOM", google: "Google Cloud Healthcare", aws: "AWS HealthImaging", edge: _("Another of these boxes") });
const WAYS = () => ({ basic: _("Name and password"), bearer: _("A token"), oauth2: _("OAuth 2 (client and secret)"), aws: _("AWS access key"), none: _("Nothing") });
const PROOFS = () => ({
  basic: [["user", _("Name")], ["password", _("Password"), true]],
  bearer: [["token", _("Token"), true]],
  oauth2: [["token_url", _("Address that gives tokens")], ["client_id", _("Client")], ["client_secret", _("Secret"), true], ["scope", _("Scope (may be empty)")]],
  aws: [["region", _("Region")], ["access_key_id", _("Access key")], ["secret_access_key", _("Secret"), true]],
  none: [],
});

const choice = (name, options, chosen) =>
  make("select", { name }, Object.entries(options).map(([value, text]) => make("option", { value, selected: value === chosen }, text)));
const field = (text, control, note = "") =>
  make("label", { class: "field" }, make("span", {}, text), control, note ? make("small", {}, note) : null);

/** Say at a field what is wrong there, until something else is typed; nothing: that all is well. */
function say(input, words) {
  const label = input.closest("label");
  if (label.nextElementSibling?.matches(".at-field")) label.nextElementSibling.remove();
  input.setAttribute("aria-invalid", String(Boolean(words)));
  input.removeAttribute("aria-describedby");
  if (!words) return;
  const id = `wrong-${input.name}`;
  label.after(make("p", { class: "problem at-field", role: "alert", id }, words));
  input.setAttribute("aria-describedby", id);
  const more = input.closest("details");
  if (more) more.open = true;
}

// A secret that stays is `true` for the one that the box has, or what was typed and waits to be applied.
const secretField = (text, name, kept) => field(text, make("input", { name, type: "password", autocomplete: "new-password" }), kept ? _("Leave it empty, and it stays as it is.") : "");

function proxyFields(before) {
  const address = make("input", { name: "proxy", value: before.proxy ?? "", placeholder: "http://proxy.example:3128", inputmode: "url", autocomplete: "off", autocapitalize: "none", spellcheck: "false", dir: "ltr" });
  const user = make("input", { name: "proxy_user", value: before.proxy_user ?? "", autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const password = secretField(_("Password there"), "proxy_password", Boolean(before.proxy_password));
  const node = make("fieldset", { class: "stack" }, make("legend", {}, _("A proxy on the way")),
    make("p", { class: "note" }, _("Only if the clinic’s network lets nothing out but through one.")),
    field(_("Proxy"), address, _("As whoever runs the network gives it.")), field(_("Name there"), user, _("Empty: it asks nobody who they are.")), password);
  const value = () => {
    const typed = address.value.trim();
    const name = user.value.trim();
    // What was typed is sent, also where something lacks: the box says what.
    const kept = typed && name ? before.proxy_password : undefined;
    return {
      proxy: !typed || /^[a-z]+:\/\//i.test(typed) ? typed || undefined : `http://${typed}`,
      proxy_user: name || undefined,
      proxy_password: password.querySelector("input").value || kept || undefined,
    };
  };
  return { node, value };
}

/**
 * Fields for an archive; `value()` is what the box is told, `tell` says at its field what the box
 * found wrong, and whether there is one. What the form does not know stays as it was.
 */
export function archiveFields(before = {}) {
  const auth = before.auth ?? {};
  const proofs = make("div", { class: "stack" });
  // What is said on the machine alone, such as a key file, can't be typed here; it stays.
  const other = auth.kind && !(auth.kind in WAYS()) ? { [auth.kind]: _("As on the machine") } : {};
  const way = choice("way", { ...WAYS(), ...other }, auth.kind ?? (before.name ? "none" : "basic"));
  const show = () => {
    proofs.replaceChildren(...(PROOFS()[way.value] ?? []).map(([name, text, secret]) => {
      const kept = secret && auth.kind === way.value && Boolean(auth[name]);
      return field(text, make("input", {
        name, type: secret ? "password" : "text", autocomplete: secret ? "new-password" : "off", autocapitalize: "none", spellcheck: "false",
        value: secret ? "" : (auth.kind === way.value ? auth[name] ?? "" : ""),
      }), kept ? _("Leave it empty, and it stays as it is.") : "");
    }));
  };
  way.addEventListener("change", show);
  show();
  const name = make("input", { name: "name", required: true, value: before.name ?? "cloud", maxlength: "64", spellcheck: "false" });
  const url = make("input", { name: "url", type: "url", required: true, value: before.url ?? "", placeholder: "https://archive.example/dicom-web", spellcheck: "false", dir: "ltr" });
  const kind = choice("kind", KINDS(), before.kind ?? "dicomweb");
  const authority = authorityFields(before.authority ?? "", say);
  const proxy = proxyFields(before);
  const node = make("div", { class: "stack" }, field(_("Address"), url, _("As whoever runs the archive gives it; it begins with https.")),
    field(_("What it is"), kind), field(_("What proves who we are"), way), proofs, field(_("What it is called here"), name),
    make("details", { class: "more", open: Boolean(before.authority || before.proxy) },
      make("summary", {}, _("More: an authority of the clinic’s own, a proxy")), make("div", { class: "stack" }, authority.node, proxy.node)));
  node.addEventListener("input", (event) => say(event.target, null));
  const proof = () => {
    if (way.value === "none") return undefined;
    const known = auth.kind === way.value ? auth : {};
    const said = { ...known, kind: way.value };
    for (const input of proofs.querySelectorAll("input")) {
      if (input.value !== "") said[input.name] = input.type === "password" ? input.value : input.value.trim();
      else if (input.type !== "password" || !known[input.name]) delete said[input.name];
    }
    return said;
  };
  const value = () => {
    const made = { ...before, name: name.value.trim(), url: url.value.trim(), kind: kind.value, auth: proof(), authority: authority.value() || undefined, ...proxy.value() };
    // What is not said is left out, as the box leaves it out.
    return Object.fromEntries(Object.entries(made).filter(([, said]) => said !== undefined));
  };
  const tell = (key, error) => {
    const part = key === "auth.kind" ? "way" : key.replace(/^auth\./, "");
    const named = [...node.querySelectorAll("[name]")].find((one) => one.name === part);
    const input = named ?? (key.startsWith("auth.") ? way : null);
    if (!input) return false;
    say(input, wordsOf(error));
    input.focus();
    return true;
  };
  return { node, value, tell };
}

/**
 * Have the box look at what was typed, with all else that would be changed; true if it can be so.
 * What is wrong is told at its field; if it has none here, this fails with it.
 */
export async function canBe(fields, at, archives, changes = {}) {
  const all = { ...changes, "cloud.archive": archives };
  const problem = await problemOf(all);
  if (!problem) return true;
  const mine = `cloud.archive.${at}.`;
  const error = wrong(problem, all);
  if (problem.key.startsWith(mine) && fields.tell(problem.key.slice(mine.length), error)) return false;
  throw error;
}

/** Where in the list the one stands to which everything goes; behind its end, if there is none. */
export function primaryOf(archives) {
  const at = archives.findIndex(({ role = "primary" }) => role === "primary");
  return at < 0 ? archives.length : at;
}

/** Walk to the archive of that name, as `archives` would have it. */
export const tryArchive = (list, name, archives, only) => walk(list, "/api/v1/settings/trial", { name, archives }, only);
