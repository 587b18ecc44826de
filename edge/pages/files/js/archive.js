// The cloud archive: a form of what is needed to reach it, and the walk there, step by step.

import { Refusal, Unreachable } from "./api.js";
import { icon, make } from "./dom.js";
import { _ } from "./words.js";

const NAMES = () => ({
  name: _("The name is found"), connect: _("A connection"), proxy: _("Through the proxy"), tls: _("Encryption"), clock: _("The clocks agree"),
  login: _("The archive lets us in"), search: _("It can be searched"), store: _("A test image goes there"), find: _("It is found there"),
  retrieve: _("It comes back unchanged"), delete: _("It is deleted there again"),
});
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
  const way = choice("way", WAYS(), auth.kind ?? (before.name ? "none" : "basic"));
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

const MARKS = { passed: ["check", "safe"], noted: ["warning", "warning"], failed: ["close", "alarm"] };

/** Walk to an archive, and tell each step in a list; whether it works. `archives`: as they would be. */
export async function walk(list, name, archives = null, only = null) {
  list.replaceChildren();
  list.setAttribute("aria-busy", "true");
  try {
    let answer;
    try {
      answer = await fetch("/api/v1/settings/trial", {
        method: "POST", credentials: "same-origin",
        headers: { Accept: "text/event-stream", "Content-Type": "application/json" },
        body: JSON.stringify({ name, archives }),
      });
    } catch (error) {
      throw new Unreachable(error.message);
    }
    if (!answer.ok) throw new Refusal(answer.status, await answer.json().catch(() => ({})));
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new Unreachable("");
      text += value;
      const events = text.split("\n\n");
      text = events.pop();
      for (const event of events) {
        const [kind, data] = event.split("\n").map((line) => line.replace(/^\w+: /, ""));
        const said = JSON.parse(data);
        if (kind === "end") {
          if (said.why) throw new Refusal(409, { detail: said.why, hint: said.hint });
          return said.works;
        }
        if (!only || only.includes(said.step) || said.verdict === "failed") list.append(row(said));
      }
    }
  } finally {
    list.removeAttribute("aria-busy");
  }
}

function row({ step, verdict, found, hint }) {
  const [mark, level] = MARKS[verdict];
  const words = { passed: _("done"), noted: _("worth knowing"), failed: _("failed") }[verdict];
  return make("li", { class: "walked", data: { level } }, icon(mark, words),
    make("div", {}, make("p", { class: "who" }, NAMES()[step] ?? step), make("p", { class: "words", lang: "en", dir: "auto" }, found),
      hint ? make("p", { class: "hint", lang: "en", dir: "auto" }, hint) : null));
}
