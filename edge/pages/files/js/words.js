// The catalogue for scripts, and how the language writes numbers and times.
//
// The same messages as the templates have: `_("text %(name)s", {name})`, `ngettext("one", "many", n)`.
// Each text is one plain literal in double quotes, so that it can be found and translated.

const language = document.documentElement.lang || "en";
const { messages, form } = await import(`../words/${language}.js`);
// Digits as the pages that the server makes have them, whatever a browser would take by itself.
const locale = `${{ en: "en-GB" }[language] ?? language}-u-nu-latn`;
// Latin letters behind a number stay behind it among Arabic ones (UAX 9).
const apart = (text) => (document.documentElement.dir === "rtl" ? `\u2066${text}\u2069` : text);

const filled = (text, values) =>
  text.replace(/%(?:\((\w+)\)s|%)/g, (all, name) => (name === undefined ? "%" : String(values[name] ?? all)));

/** A text of the catalogue, with its values in place. */
export const _ = (text, values = {}) => filled(messages[text] ?? text, values);

/** A text that counts; its `%(n)s` is the number. */
export function ngettext(one, many, n, values = {}) {
  const forms = messages[one];
  const text = Array.isArray(forms) ? forms[form(n)] : n === 1 ? one : many;
  return filled(text, { n: number(n), ...values });
}

const plain = new Intl.NumberFormat(locale);
export const number = (value) => plain.format(value);
export const percent = (share) => new Intl.NumberFormat(locale, { style: "percent" }).format(share);

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];
/** In the largest unit of a thousand; three digits at most. */
export function bytes(count) {
  let unit = 0;
  while (count >= 999.5 && unit < UNITS.length - 1) {
    count /= 1000;
    unit += 1;
  }
  const digits = count >= 100 || unit === 0 ? 0 : 1;
  return apart(`${new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(count)}\u00a0${UNITS[unit]}`);
}

const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", year: "numeric" });
const short = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
/** POSIX seconds -> hour and minute, with the day unless it is today. */
export function moment(seconds) {
  const at = new Date(seconds * 1000);
  return at.toDateString() === new Date().toDateString() ? clock.format(at) : short.format(at);
}
const second = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
/** POSIX seconds -> to the second, with the day unless it is today, or always. */
export function instant(seconds, { always = false } = {}) {
  const at = new Date(seconds * 1000);
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday && !always ? second.format(at) : `${day.format(at)}, ${second.format(at)}`;
}
/** POSIX seconds, or `YYYYMMDD` as DICOM writes it -> the day. */
export function date(value) {
  if (typeof value === "number") return day.format(new Date(value * 1000));
  const found = /^(\d{4})(\d{2})(\d{2})$/.exec(value ?? "");
  return found ? day.format(new Date(+found[1], +found[2] - 1, +found[3])) : String(value ?? "");
}

const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
const STEPS = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [Infinity, "day", 86400]];
/** POSIX seconds -> "3 min ago", "in 2 hr". */
export function ago(seconds) {
  const apart = seconds - Date.now() / 1000;
  const [, unit, size] = STEPS.find(([most]) => Math.abs(apart) < most);
  return relative.format(Math.round(apart / size), unit);
}

/** "FAMILY^Given^Middle" -> "Family, Given Middle", as DICOM names are read. */
export function person(name) {
  const [family = "", given = "", middle = ""] = (name ?? "").split("=")[0].split("^");
  const behind = [given, middle].filter(Boolean).join(" ");
  return [family, behind].filter(Boolean).join(", ") || _("No name");
}
