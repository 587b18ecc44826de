// Asking the box: JSON in, JSON out, errors in its own words with what to do about them.
//
// The browser adds the cookie of the session and says that a page of the box asks; that is all that
// the box wants to see (no token has to be kept in a page). Whoever is logged out meanwhile is led
// to where one logs in, and back.

/** What the box answered when it did not do what it was asked. */
export class Refusal extends Error {
  constructor(status, said, after = 0) {
    super(said.detail || said.title || String(status));
    this.status = status;
    this.hint = said.hint || "";
    this.after = after; // seconds, if it is refused for now only
    this.requestId = said.request_id || "";
  }
}

/** The box does not answer at all. */
export class Unreachable extends Error {}

/**
 * Ask; the answer's JSON, or its text if it is none, or null.
 * options: method, body (made JSON), headers, signal, attended (false: nobody did anything, and the
 * session may go idle), welcome (false: a log-out is the caller's business).
 */
export async function ask(path, { method, body, headers = {}, signal, attended = true, welcome = true } = {}) {
  const sent = { Accept: "application/json", ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  if (!attended) sent["X-Edge-Unattended"] = "1";
  let answer;
  try {
    answer = await fetch(path, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      credentials: "same-origin",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable(error.message);
  }
  const kind = answer.headers.get("Content-Type") ?? "";
  const said = kind.includes("json") ? await answer.json() : await answer.text();
  if (answer.ok) return said === "" ? null : said;
  if (answer.status === 401 && welcome) toWelcome();
  throw new Refusal(answer.status, typeof said === "object" ? said : { title: answer.statusText }, Number(answer.headers.get("Retry-After")) || 0);
}

/** Log in, and come back here. */
export function toWelcome() {
  location.assign(`/welcome?to=${encodeURIComponent(location.pathname + location.search)}`);
}

/** Every answer of a list that comes in pages (`limit`, `offset`). */
export async function* pages(path, { size = 100, ...options } = {}) {
  for (let offset = 0; ; offset += size) {
    const join = path.includes("?") ? "&" : "?";
    const found = await ask(`${path}${join}limit=${size}&offset=${offset}`, options);
    yield found;
    const list = Array.isArray(found) ? found : Object.values(found).find(Array.isArray);
    if (!list || list.length < size) return;
  }
}
