// The cloud archive: a form of what is needed to reach it, and the walk there before it is set up.

import { make } from "./dom.js";
import { walk } from "./walk.js";
import { _ } from "./words.js";

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

/** Fields for an archive; `value()` is what the box is told. What the form does not know stays as it was. */
export function archiveFields(before = {}) {
  const auth = before.auth ?? {};
  const proofs = make("div", { class: "stack" });
  // What is said on the machine alone, such as a key file, can't be typed here; it stays.
  const other = auth.kind && !(auth.kind in WAYS()) ? { [auth.kind]: _("As on the machine") } : {};
  const way = choice("way", { ...WAYS(), ...other }, auth.kind ?? (before.name ? "none" : "basic"));
  const show = () => {
    proofs.replaceChildren(...(PROOFS()[way.value] ?? []).map(([name, text, secret]) => {
      const kept = secret && auth.kind === way.value && auth[name] === true;
      return field(text, make("input", {
        name, type: secret ? "password" : "text", autocomplete: secret ? "new-password" : "off", autocapitalize: "none", spellcheck: "false",
        value: secret ? "" : (auth.kind === way.value ? auth[name] ?? "" : ""), data: { kept: kept ? "yes" : "" },
      }), kept ? _("Leave it empty, and it stays as it is.") : "");
    }));
  };
  way.addEventListener("change", show);
  show();
  const name = make("input", { name: "name", required: true, value: before.name ?? "cloud", maxlength: "64", spellcheck: "false" });
  const url = make("input", { name: "url", type: "url", required: true, value: before.url ?? "", placeholder: "https://archive.example/dicom-web", spellcheck: "false", dir: "ltr" });
  const kind = choice("kind", KINDS(), before.kind ?? "dicomweb");
  const node = make("div", { class: "stack" }, field(_("Address"), url, _("As whoever runs the archive gives it; it begins with https.")),
    field(_("What it is"), kind), field(_("What proves who we are"), way), proofs, field(_("What it is called here"), name));
  const value = () => {
    const made = { ...before, name: name.value.trim(), url: url.value.trim(), kind: kind.value };
    delete made.auth;
    if (way.value === "none") return made;
    const same = auth.kind === way.value;
    made.auth = { ...(same ? auth : {}), kind: way.value };
    for (const input of proofs.querySelectorAll("input")) {
      if (input.value !== "") made.auth[input.name] = input.type === "password" ? input.value : input.value.trim();
      else if (input.dataset.kept) made.auth[input.name] = true;
      else delete made.auth[input.name];
    }
    return made;
  };
  return { node, value };
}

/** Where in the list the one stands to which everything goes; behind its end, if there is none. */
export function primaryOf(archives) {
  const at = archives.findIndex(({ role = "primary" }) => role === "primary");
  return at < 0 ? archives.length : at;
}

/** Walk to the archive of that name, as `archives` would have it. */
export const tryArchive = (list, name, archives, only) => walk(list, "/api/v1/settings/trial", { name, archives }, only);
