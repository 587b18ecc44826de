// Leads to the viewer as soon as a study has something to show, and says what it waits for.
"use strict";

(() => {
  // OHIF shows an empty page, or none at all, for a study that has nothing but these.
  const NOT_IN_OHIF = new Set([
    "ECG", "HD", "EPS", "AU", "KO", "PR", "REG", "FID", "RWV",
    "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "SEG", "PLAN",
  ]);
  // Of these there is no small picture to begin with.
  const NO_IMAGES = new Set([...NOT_IN_OHIF, "SR", "DOC"]);
  // OHIF's bars leave no room for an image on a phone, upright or on its side.
  const isSmall = matchMedia("(max-width: 700px), (max-height: 500px) and (pointer: coarse)").matches;
  const words = document.documentElement.dataset;
  const study = new URLSearchParams(location.search).get("study") || "";
  const base = "/dicom-web/studies/" + encodeURIComponent(study);
  const said = document.getElementById("said");
  const bar = document.getElementById("bar");
  const now = document.getElementById("now");

  async function ask(path, accept = "application/dicom+json") {
    const answer = await fetch(path, { headers: { "Accept": accept } });
    if (answer.status === 401) {
      location.reload();
      await new Promise(() => {});
    }
    return answer;
  }

  async function search(path) {
    const answer = await ask(path);
    return answer.status === 200 ? answer.json() : [];
  }

  function say(text, value = "") {
    said.textContent = text.replace("{0}", value);
  }

  function addressFor(modalities) {
    const inOhif = modalities.some((one) => !NOT_IN_OHIF.has(one)) || !modalities.length;
    return words.installed && inOhif && !isSmall
      ? "/viewer/viewer?StudyInstanceUIDs=" + encodeURIComponent(study)
      : "/viewer/plain?study=" + encodeURIComponent(study);
  }

  const wait = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

  // Its first image: that fetches it, and the rest of its series follows.
  async function bring(series) {
    const images = series.filter((one) => !NO_IMAGES.has(one["00080060"]?.Value?.[0]));
    for (const one of images) {
      for (;;) {
        say(words.first);
        const path = `${base}/series/${one["0020000E"].Value[0]}/thumbnail`;
        const answer = await ask(path, "image/jpeg");
        if (answer.ok) {
          return;
        }
        if (answer.status !== 503) {
          break;
        }
        let seconds = Math.min(Number(answer.headers.get("Retry-After")) || 5, 10);
        for (; seconds > 0; seconds -= 1) {
          say(words.away, seconds);
          await wait(1);
        }
      }
    }
  }

  async function run() {
    const [found] = await search(
      "/dicom-web/studies?includefield=00080061&StudyInstanceUID=" + encodeURIComponent(study),
    );
    if (!study || !found) {
      bar.remove();
      say(words.unknown);
      return;
    }
    const address = addressFor(found["00080061"]?.Value || []);
    if (found["00080056"]?.Value?.[0] !== "ONLINE") {
      now.href = address;
      now.hidden = false;
      await bring(await search(`${base}/series`));
    }
    // Not to be come back to: it would lead on at once.
    location.replace(address);
  }

  run().catch((error) => {
    bar.remove();
    say(words.failed, error.message);
  });
})();
