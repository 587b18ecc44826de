// The clinic's own authority: its certificate, from a file or as text, and what the box reads in it.

import { ask } from "./api.js";
import { make, wordsOf } from "./dom.js";
import { _, date } from "./words.js";

const LONGEST = 256 * 1024;

/** How its text is written: editors on Windows may write UTF-16, and begin it by a mark (BOM). */
function codeOf([first, second]) {
  if (first === 0xff && second === 0xfe) return "utf-16le";
  return first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
}

/** A file of a certificate as text: what is no text is DER, which PEM is in other letters. */
async function textOf(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const text = new TextDecoder(codeOf(bytes)).decode(bytes);
  if (text.includes("-----BEGIN")) return text;
  const letters = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")).replace(/.{1,64}/g, "$&\n");
  return `-----BEGIN CERTIFICATE-----\n${letters}-----END CERTIFICATE-----\n`;
}

/** One as a row: whose it is, and until when its certificate holds. */
export function authorityRow(one) {
  return make("li", {}, make("div", {}, make("p", { class: "who", dir: "auto" }, one.subject), make("p", { class: "what" }, _("until %(date)s", { date: date(one.until) }))));
}

/** Fields for it, whose text is in the one called `authority`; `say` tells there what is wrong. */
export function authorityFields(before, say) {
  const text = make("textarea", { name: "authority", rows: "3", dir: "ltr", autocomplete: "off", autocapitalize: "none", spellcheck: "false", placeholder: "-----BEGIN CERTIFICATE-----" });
  text.value = before;
  const file = make("input", { type: "file", accept: ".pem,.crt,.cer,.der,application/x-x509-ca-cert,application/x-pem-file" });
  const list = make("ul", { class: "rows authorities", "aria-label": _("Authorities that are trusted for it") });
  const remove = make("button", { type: "button", class: "button quiet small", hidden: true, onclick: () => { text.value = file.value = ""; look(); text.focus(); } }, _("Trust it no more"));
  let asked = 0;
  async function look() {
    const mine = ++asked;
    const pem = text.value.trim();
    const { problem, authorities } = pem ? await ask("/api/v1/settings/authority", { body: { pem } }).catch((error) => ({ problem: error, authorities: [] })) : { problem: null, authorities: [] };
    if (mine !== asked) return;
    say(text, problem && wordsOf(problem));
    list.replaceChildren(...authorities.map(authorityRow));
    list.hidden = authorities.length === 0;
    remove.hidden = pem === "";
  }
  text.addEventListener("change", look);
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    if (!chosen) return;
    if (chosen.size > LONGEST) return say(text, [_("This file is too large: it is no certificate.")]);
    try {
      text.value = await textOf(chosen);
    } catch {
      return say(text, [_("This file can’t be read. Is it still where it was? Choose it once more, or put its text below.")]);
    }
    await look();
  });
  const node = make("fieldset", { class: "stack" }, make("legend", {}, _("An authority of the clinic’s own")),
    make("p", { class: "note" }, _("Only if the archive’s certificate comes from one that nobody else knows, or a firewall opens what is encrypted: whoever runs that gives you the authority’s certificate. It is trusted on the way to this archive alone.")),
    list, make("div", {}, remove),
    make("label", { class: "field" }, make("span", {}, _("A file with its certificate")), file),
    make("label", { class: "field" }, make("span", {}, _("Or its text (PEM)")), text));
  look();
  return { node, value: () => text.value.trim() };
}
