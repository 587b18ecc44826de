// Says how much of the study that is looked at has come from the cloud, while it comes.
// Asks what this box knows, which costs nothing of the line; keeps no session from being idle.
"use strict";

(() => {
  const AGAIN = 1000;
  const STANDS_STILL = 15000;
  const words = document.documentElement.dataset;
  const headers = { "Accept": "application/dicom+json", "X-Edge-Unattended": "1" };
  const complete = new Set();
  let shown = null;
  let last = { here: -1, at: 0 };

  const studyOf = () => {
    const query = new URLSearchParams(location.search);
    return query.get("StudyInstanceUIDs") || query.get("study") || "";
  };
  const isHere = (one) => one["00080056"]?.Value?.[0] === "ONLINE";

  async function search(path) {
    const answer = await fetch("/dicom-web" + path, { headers });
    return answer.status === 200 ? answer.json() : [];
  }

  // Of the series that are not whole, each instance; of the others, their number.
  async function count(study) {
    const base = "/studies/" + encodeURIComponent(study);
    let here = 0;
    let all = 0;
    for (const series of await search(base + "/series?includefield=00080056,00201209")) {
      const number = series["00201209"]?.Value?.[0] || 0;
      all += number;
      if (isHere(series)) {
        here += number;
        continue;
      }
      const path = `${base}/series/${series["0020000E"].Value[0]}/instances`;
      for (let offset = 0; offset < number; ) {
        const found = await search(`${path}?limit=5000&offset=${offset}`);
        if (!found.length) {
          break;
        }
        here += found.filter(isHere).length;
        offset += found.length;
      }
    }
    return { here, all };
  }

  function show(text, { here, all }) {
    if (!shown) {
      shown = document.createElement("div");
      shown.className = "edge-fetching";
      shown.setAttribute("role", "status");
      shown.append(document.createElement("span"), document.createElement("progress"));
      document.body.append(shown);
    }
    shown.firstChild.textContent = text.replace("{0}", here).replace("{1}", all);
    shown.lastChild.max = all;
    shown.lastChild.value = here;
  }

  function hide() {
    shown?.remove();
    shown = null;
  }

  async function look() {
    const study = studyOf();
    if (!study || complete.has(study)) {
      hide();
      return;
    }
    const [found] = await search("/studies?StudyInstanceUID=" + encodeURIComponent(study));
    if (!found || isHere(found)) {
      // Of one that is not known yet, nothing can be said.
      if (found) {
        complete.add(study);
      }
      hide();
      return;
    }
    const counted = await count(study);
    const now = performance.now();
    if (counted.here !== last.here) {
      last = { here: counted.here, at: now };
    }
    show(now - last.at > STANDS_STILL ? words.waiting : words.fetching, counted);
  }

  // What is shown was opened by an emergency access: once that ends, the page is asked for anew.
  const glass = document.querySelector(".edge-glass");
  if (glass) {
    const left = Number(glass.dataset.until) * 1000 - Date.now();
    setTimeout(() => location.reload(), Math.min(Math.max(left, 0) + 1000, 2147483000));
  }

  async function run() {
    try {
      await look();
    } catch {
      // The box is away for a moment, or the page is being left.
    }
    setTimeout(run, AGAIN);
  }
  run();
})();
