// Making elements, and the few things that every page shows.

import { _ } from "./words.js";
import { Unreachable } from "./api.js";

/** An element: `make("a", {href, class: "button", onclick: …}, "text", child, …)`. Never HTML. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "data") Object.assign(element.dataset, value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
/** One of `icons.svg`; with a text it is read out, without it is decoration. */
export function icon(name, text = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("viewBox", "0 0 24 24");
  if (text) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", text);
  } else svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${document.body.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
}

/** A secret that is typed by hand, in groups of four. */
export const spaced = (text) => text.match(/.{1,4}/g).join(" ");

export const byId = (id) => document.getElementById(id);

/** An error of the page's own, in the language of who reads it: a sentence, and what else there is. */
export class Said extends Error {
  constructor(text, ...more) {
    super(text);
    this.nodes = [text, ...more];
  }
}

/** Say why something was not done, in an element of class `problem`: the box's words, and its hint. */
export function showProblem(element, error) {
  element.replaceChildren(...wordsOf(error));
  element.hidden = false;
}

/**
 * The box's words as a sentence: they begin with a capital, but for an address, the name of a file or
 * of a setting, and end with a stop.
 */
export function sentence(text) {
  if (!text) return "";
  const begun = /^\S+[.:]\S/.test(text) ? text : text[0].toUpperCase() + text.slice(1);
  return begun + (/[.!?]$/.test(text) ? "" : ".");
}

/** What an error says, as nodes. */
export function wordsOf(error) {
  if (error instanceof Said) return error.nodes;
  if (error instanceof Unreachable) return [_("The box does not answer. Is this device on its network?")];
  const said = make("span", { lang: "en", dir: "auto" }, sentence(error.message));
  return error.hint
    ? [said, " ", make("span", { class: "hint", lang: "en", dir: "auto" }, sentence(error.hint))]
    : [said];
}

/** A short word at the foot of the page, which goes by itself. */
export function toast(text, level = "safe") {
  const shown = make("p", { class: "toast", data: { level } }, text);
  byId("toasts").append(shown);
  setTimeout(() => shown.remove(), level === "alarm" ? 9000 : 4500);
}

/** A name to log in with is in small letters: so it stands in the field once it was typed. */
export function inSmallLetters(input) {
  input.addEventListener("change", () => { input.value = input.value.trim().toLowerCase(); });
  return input;
}

/** A form that is sent by a script: `send` gets its fields; problems are shown in it.
 *
 * Its button is off in the page as it comes: before the script listens, nothing is sent.
 */
export function onSubmit(form, send) {
  const problem = form.querySelector(".problem");
  const button = form.querySelector("button:not([type])");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    problem.hidden = true;
    button.disabled = true;
    try {
      await send(Object.fromEntries(new FormData(form)));
    } catch (error) {
      showProblem(problem, error);
    } finally {
      button.disabled = false;
    }
  });
  button.disabled = false;
}
