// What lists of studies show of one: a small picture, who vouches for it, how much of it is here.

import { icon, make } from "./dom.js";
import { _, ngettext, number } from "./words.js";

// Of these there is no small picture.
const NO_IMAGES = new Set(["SR", "DOC", "KO", "PR", "ECG", "HD", "EPS", "AU", "REG", "FID", "RWV", "PLAN", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "SEG"]);
const SIZE = 176;
const REST = 200;

/** The page of a study. */
export const address = (uid) => `/studies/${encodeURIComponent(uid)}`;

const known = new Map();
const waiting = new Map();
// A picture is asked for once its row has come to rest: who scrolls past a thousand looks at none.
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    clearTimeout(waiting.get(target));
    waiting.delete(target);
    if (isIntersecting) waiting.set(target, setTimeout(() => load(target), REST));
  }
});

function load(target) {
  waiting.delete(target);
  seen.unobserve(target);
  if (!target.isConnected) return;
  const path = target.dataset.path;
  const image = make("img", { src: path, alt: "", width: SIZE, height: SIZE, decoding: "async" });
  image.addEventListener("load", () => {
    known.set(path, true);
    target.replaceChildren(image);
  });
  image.addEventListener("error", () => known.set(path, false));
}

/**
 * A small picture of a study or series: of what is here only, so that looking at a list fetches
 * nothing from the cloud. `path` is below `/dicom-web`.
 */
export function picture(path, modalities, { here, instances }) {
  const box = make("span", { class: "picture" }, icon("study"));
  const hasImages = modalities.length === 0 || modalities.some((one) => !NO_IMAGES.has(one));
  if (!hasImages || here === 0 || here < instances) return box;
  box.dataset.path = `/dicom-web${path}/thumbnail?viewport=${SIZE},${SIZE}`;
  if (known.get(box.dataset.path)) box.replaceChildren(make("img", { src: box.dataset.path, alt: "", width: SIZE, height: SIZE }));
  else if (known.get(box.dataset.path) === undefined) seen.observe(box);
  return box;
}

const LEVELS = { lost: "alarm", trouble: "alarm", "only-here": "warning", absent: "warning", unproven: "busy", safe: "safe" };

/** Who vouches for it, in two words. */
export function vouched({ custody }) {
  const words = {
    lost: _("Partly lost"),
    trouble: _("Needs a decision"),
    "only-here": _("Only here"),
    absent: _("Gone from the cloud"),
    unproven: _("Being checked"),
    safe: _("Safe in the cloud"),
  };
  return make("span", { class: "badge", data: { level: LEVELS[custody] } }, words[custody]);
}

/** How much of it is on this box. */
export function presence({ here, instances }) {
  if (here >= instances) return _("here");
  return here === 0 ? _("in the cloud only") : _("%(here)s of them here", { here: number(here) });
}

export const images = (count) => ngettext("%(n)s image", "%(n)s images", count);

/** Modality and description; what a study or series is. */
export const kind = (modalities) => make("span", { class: "modality" }, modalities.join(" ") || "–");
