// Shows a study with pictures that the box renders: a series at a time, a frame at a time.
// Holds a few pictures ahead of the one that is looked at, and forgets those that are long past.
"use strict";

(() => {
  const DOCUMENTS = ["1.2.840.10008.5.1.4.1.1.104.", "1.2.840.10008.5.1.4.1.1.88."];
  // Of these there is no small picture.
  const NO_IMAGES = new Set(["SR", "DOC", "KO", "PR", "ECG", "HD", "AU", "REG", "FID", "RWV",
    "RTSTRUCT", "RTPLAN", "RTRECORD", "PLAN"]);
  const AHEAD = 4;
  const KEPT = 80;
  const JSON_TYPE = "application/dicom+json";
  const words = document.documentElement.dataset;
  const element = (id) => document.getElementById(id);
  const query = new URLSearchParams(location.search);
  const study = query.get("study") || "";
  const base = "/dicom-web/studies/" + encodeURIComponent(study);
  const [stage, picture, page, said] = ["stage", "picture", "document", "said"].map(element);
  const [slider, rate, preset, play] = ["slider", "rate", "window", "play"].map(element);

  let frames = [];
  let current = 0;
  let turn = 0;
  let playing = null;
  const kept = new Map();

  const value = (set, tag) => set[tag]?.Value?.[0];
  const fill = (text, ...values) => values.reduce(
    (filled, one, number) => filled.replace(`{${number}}`, one), text);
  const wait = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
  // Names, days and numbers are written as on every page of the box: see words.js of those.
  const language = document.documentElement.lang;
  const locale = `${{ en: "en-GB" }[language] ?? language}-u-nu-latn`;
  const day = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", year: "numeric" });
  const plurals = new Intl.PluralRules(locale);
  const grouped = new Intl.NumberFormat(locale);
  const nameOf = (set) => {
    const [family = "", given = "", middle = ""] = (value(set, "00100010")?.Alphabetic || "").split("^");
    return [family, [given, middle].filter(Boolean).join(" ")].filter(Boolean).join(", ");
  };
  const dateOf = (text) => {
    const found = /^(\d{4})(\d{2})(\d{2})$/.exec(text ?? "");
    return found ? day.format(new Date(+found[1], +found[2] - 1, +found[3])) : text ?? "";
  };
  const imagesOf = (count) => {
    const forms = JSON.parse(words.images);
    return fill(forms[plurals.select(count)] ?? forms.other, grouped.format(count));
  };

  // Each part in its own direction, whatever that of the page is.
  function put(target, ...parts) {
    target.replaceChildren(...parts.filter(Boolean).flatMap((part, place) => {
      const one = document.createElement("bdi");
      one.textContent = part;
      return place ? [" · ", one] : [one];
    }));
  }

  class Refused extends Error {
    constructor(status, detail, seconds) {
      super(detail);
      this.status = status;
      this.seconds = seconds;
    }
  }

  async function ask(path, accept) {
    const answer = await fetch(path, { headers: { "Accept": accept } });
    if (answer.status === 401) {
      location.reload();
      await new Promise(() => {});
    }
    if (!answer.ok) {
      const problem = await answer.json().catch(() => ({}));
      const seconds = Number(answer.headers.get("Retry-After")) || 5;
      throw new Refused(answer.status, problem.detail || String(answer.status), seconds);
    }
    return answer;
  }

  async function search(path) {
    const answer = await ask(path, JSON_TYPE);
    return answer.status === 200 ? answer.json() : [];
  }

  // -- one picture

  function addressOf(frame) {
    const window = preset.value ? "?window=" + encodeURIComponent(preset.value) : "";
    return `${frame.instance}/frames/${frame.number}/rendered${window}`;
  }

  // The picture of a frame, as an address that an <img> takes; asked for once.
  function load(frame) {
    const address = addressOf(frame);
    let loading = kept.get(address);
    if (loading) {
      kept.delete(address);
    } else {
      loading = ask(address, "image/jpeg").then((answer) => answer.blob())
        .then((blob) => URL.createObjectURL(blob));
      loading.catch(() => kept.delete(address));
    }
    kept.set(address, loading);
    if (kept.size > KEPT) {
      const [oldest, old] = kept.entries().next().value;
      kept.delete(oldest);
      old.then(URL.revokeObjectURL, () => {});
    }
    return loading;
  }

  function say(text) {
    said.textContent = text;
  }

  async function show(number) {
    const mine = ++turn;
    current = Math.max(0, Math.min(number, frames.length - 1));
    const frame = frames[current];
    element("controls").hidden = frames.length === 0;
    if (!frame) {
      picture.hidden = page.hidden = true;
      say(words.empty);
      return;
    }
    slider.value = current + 1;
    element("count").value = fill(words.of, current + 1, frames.length);
    picture.hidden = frame.isDocument;
    page.hidden = !frame.isDocument;
    if (frame.isDocument) {
      say("");
      page.src = `${frame.instance}/rendered`;
      return;
    }
    for (;;) {
      try {
        const address = await load(frame);
        if (mine !== turn) {
          return;
        }
        picture.src = address;
        await picture.decode();
        picture.alt = fill(words.picture, current + 1, frames.length, frame.series);
        say("");
        break;
      } catch (error) {
        if (mine !== turn) {
          return;
        }
        if (!(error instanceof Refused)) {
          say(fill(words.failed, error.message));
          return;
        }
        if (error.status !== 503) {
          picture.hidden = true;
          say(fill(error.status === 406 ? words.nothing : words.failed, error.message));
          return;
        }
        for (let seconds = Math.min(error.seconds, 10); seconds > 0; seconds -= 1) {
          say(fill(words.away, seconds));
          await wait(1);
          if (mine !== turn) {
            return;
          }
        }
      }
    }
    for (const next of frames.slice(current + 1, current + 1 + AHEAD)) {
      if (!next.isDocument) {
        load(next).catch(() => {});
      }
    }
  }

  // -- turning the pages

  function stop() {
    playing = null;
    play.textContent = words.play;
  }

  async function run() {
    const mine = playing = {};
    play.textContent = words.pause;
    while (playing === mine) {
      const perSecond = Math.max(1, Math.min(Number(rate.value) || 12, 60));
      // No faster than they come: none is left out.
      await Promise.all([show((current + 1) % frames.length), wait(1 / perSecond)]);
    }
  }

  function step(by) {
    stop();
    show(current + by);
  }

  const KEYS = {
    ArrowRight: () => step(1), ArrowDown: () => step(1),
    ArrowLeft: () => step(-1), ArrowUp: () => step(-1),
    PageDown: () => step(10), PageUp: () => step(-10),
    Home: () => step(-current), End: () => step(frames.length),
    " ": () => (playing ? stop() : run()),
  };
  stage.addEventListener("keydown", (event) => {
    if (KEYS[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      KEYS[event.key]();
    }
  });
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    step(Math.sign(event.deltaY));
  }, { passive: false });
  let touched = null;
  stage.addEventListener("pointerdown", (event) => { touched = event.clientY; });
  stage.addEventListener("pointermove", (event) => {
    if (touched !== null && event.buttons && Math.abs(event.clientY - touched) > 12) {
      step(Math.sign(touched - event.clientY));
      touched = event.clientY;
    }
  });
  stage.addEventListener("pointerup", () => { touched = null; });
  element("previous").addEventListener("click", () => step(-1));
  element("next").addEventListener("click", () => step(1));
  slider.addEventListener("input", () => { stop(); show(slider.value - 1); });
  play.addEventListener("click", () => (playing ? stop() : run()));
  preset.addEventListener("change", () => show(current));

  // -- the series

  const titleOf = (series) =>
    value(series, "0008103E") || fill(words.series, value(series, "00200011") ?? "");

  async function choose(series, button) {
    stop();
    element("series").querySelector("[aria-current]")?.removeAttribute("aria-current");
    button.setAttribute("aria-current", "true");
    const isCt = value(series, "00080060") === "CT";
    element("windows").hidden = !isCt;
    if (!isCt) {
      preset.value = "";
    }
    const path = `${base}/series/${value(series, "0020000E")}/instances`;
    const wanted = button;
    const found = [];
    for (;;) {
      const some = await search(`${path}?limit=5000&offset=${found.length}`);
      found.push(...some);
      if (some.length < 5000) {
        break;
      }
    }
    if (!wanted.hasAttribute("aria-current")) {
      return;
    }
    found.sort((a, b) => (value(a, "00200013") ?? 0) - (value(b, "00200013") ?? 0));
    frames = found.flatMap((one) => {
      const instance = `${path}/${value(one, "00080018")}`;
      const sopClass = value(one, "00080016") || "";
      const isDocument = DOCUMENTS.some((start) => sopClass.startsWith(start));
      const count = Number(value(one, "00280008")) || 1;
      return Array.from({ length: isDocument ? 1 : count }, (_, number) =>
        ({ instance, number: number + 1, isDocument, series: titleOf(series) }));
    });
    slider.max = frames.length;
    play.hidden = element("speed").hidden = frames.length < 2;
    await show(0);
  }

  function entry(series) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const small = document.createElement("img");
    const title = document.createElement("span");
    const about = document.createElement("small");
    const number = value(series, "00201209");
    button.type = "button";
    small.alt = "";
    small.loading = "lazy";
    small.addEventListener("error", () => small.remove());
    if (!NO_IMAGES.has(value(series, "00080060"))) {
      small.src = `${base}/series/${value(series, "0020000E")}/thumbnail`;
      button.append(small);
    }
    title.textContent = titleOf(series);
    put(about, value(series, "00080060"), number && imagesOf(number));
    button.append(title, about);
    button.addEventListener("click", () => choose(series, button).catch(fail));
    item.append(button);
    element("series").append(item);
    return button;
  }

  // -- what else its patient has

  async function addPriors(of) {
    const id = value(of, "00100020");
    if (!id) {
      return;
    }
    const asked = "/dicom-web/studies?limit=100&includefield=00081030,00080061,00201208,00100021&PatientID=";
    const issuer = value(of, "00100021");
    // In what is asked for, `*` and `?` stand for anything.
    const others = (await search(asked + encodeURIComponent(id))).filter((one) =>
      value(one, "0020000D") !== study && value(one, "00100020") === id
      && value(one, "00100021") === issuer);
    others.sort((a, b) => (value(b, "00080020") ?? "").localeCompare(value(a, "00080020") ?? ""));
    for (const one of others) {
      const item = document.createElement("li");
      const link = document.createElement("a");
      const about = document.createElement("small");
      const count = value(one, "00201208");
      link.href = "/viewer/plain?study=" + encodeURIComponent(value(one, "0020000D"));
      link.textContent = dateOf(value(one, "00080020")) || words.study;
      put(about, (one["00080061"]?.Value || []).join(" "), value(one, "00081030"),
        count && imagesOf(count));
      link.append(about);
      item.append(link);
      element("priors").append(item);
    }
    element("others").hidden = others.length === 0;
  }

  function fail(error) {
    say(fill(words.failed, error.message));
  }

  async function begin() {
    const wanted = "/dicom-web/studies?includefield=00081030,00080061,00100021&StudyInstanceUID=";
    const [found] = study ? await search(wanted + encodeURIComponent(study)) : [];
    if (!found) {
      say(words.unknown);
      return;
    }
    element("who").textContent = nameOf(found) || value(found, "00100020") || "";
    put(element("what"), value(found, "00100020"), dateOf(value(found, "00080020")),
      value(found, "00081030"), (found["00080061"]?.Value || []).join(" "));
    const back = element("back");
    if (back) {
      back.href = "/studies/" + encodeURIComponent(study);
      back.textContent = words.study;
    }
    const full = element("full");
    full.href = "/viewer/viewer?StudyInstanceUIDs=" + encodeURIComponent(study);
    full.hidden = !full.dataset.installed;
    const list = await search(`${base}/series?includefield=0008103E,00201209,00080060`);
    list.sort((a, b) => (value(a, "00200011") ?? 0) - (value(b, "00200011") ?? 0));
    const buttons = list.map(entry);
    const first = Math.max(0, list.findIndex(
      (one) => value(one, "0020000E") === query.get("series")));
    if (!buttons.length) {
      say(words.empty);
      return;
    }
    addPriors(found).catch(() => {});
    await choose(list[first], buttons[first]);
    stage.focus({ preventScroll: true });
  }

  begin().catch(fail);
})();
