// What happens, as it happens: one stream for a page, which finds its way back by itself.
//
// `listen({state: f, arrivals: g})` calls them with what `/api/v1/events` tells. The stream is read
// by fetch, for it has to say that nobody sits before it (an EventSource can't): a page that stays
// open keeps no session from ending. A page that nobody sees hears nothing, for a browser has but
// few connections to one box.

import { toWelcome } from "./api.js";

const FIRST = 500;
const LONGEST = 15000;
const SILENT = 25000;
const UNSEEN = 20000;

/** Follow; returns a function that ends it. */
export function listen(handlers, { url = "/api/v1/events", onOnline = () => {} } = {}) {
  let ended = false;
  let wait = FIRST;
  let stream = null;
  let timer = 0;

  async function follow() {
    clearTimeout(timer);
    if (ended || stream || document.visibilityState === "hidden") return;
    const own = (stream = new AbortController());
    let silence = setTimeout(() => own.abort(), SILENT);
    try {
      const answer = await fetch(url, {
        headers: { Accept: "text/event-stream", "X-Edge-Unattended": "1" },
        credentials: "same-origin",
        cache: "no-store",
        signal: own.signal,
      });
      if (answer.status === 401) return toWelcome();
      if (answer.status === 403) {
        ended = true; // Nothing of it is for this person; asking again would not change that.
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let held = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        clearTimeout(silence);
        silence = setTimeout(() => own.abort(), SILENT);
        onOnline(true);
        wait = FIRST;
        held += value;
        const blocks = held.split("\n\n");
        held = blocks.pop();
        for (const block of blocks) take(block);
      }
    } catch {
      // The line, the box, or nobody looks: whatever it was, it is tried again.
    } finally {
      clearTimeout(silence);
      if (stream === own) stream = null;
    }
    if (ended || document.visibilityState === "hidden") return;
    if (wait > FIRST) onOnline(false);
    timer = setTimeout(follow, wait);
    wait = Math.min(LONGEST, wait * 2);
  }

  function take(block) {
    let kind = "message";
    const data = [];
    for (const line of block.split("\n")) {
      if (line.startsWith("event: ")) kind = line.slice(7);
      else if (line.startsWith("data: ")) data.push(line.slice(6));
    }
    if (data.length && handlers[kind]) handlers[kind](JSON.parse(data.join("\n")));
  }

  let unseen = 0;
  function seen() {
    clearTimeout(unseen);
    if (document.visibilityState === "visible") follow();
    else unseen = setTimeout(() => stream?.abort(), UNSEEN);
  }
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("online", follow);
  // A cable that is pulled breaks no connection off: nothing would be heard of that for long.
  const cut = () => {
    onOnline(false);
    stream?.abort();
  };
  window.addEventListener("offline", cut);
  follow();
  return () => {
    ended = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", seen);
    window.removeEventListener("offline", cut);
    stream?.abort();
  };
}
