// Settings come into force: the service begins anew with them, or takes them back.

import { Refusal, ask } from "./api.js";
import { Said, make } from "./dom.js";
import { linkTo, remember } from "./moved.js";
import { _ } from "./words.js";

const EVERY = 700;
const SILENCE = 90_000;
const TURN = 20_000;
const PATIENCE = 600_000;
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/**
 * Have settings changed; what `inForce` waits by: `since`, and `moved` if the box has another name
 * then. Where nothing is new, nothing begins anew: null. While those that were changed before are
 * not in force yet, it waits for them, a while.
 */
export async function begin(changes) {
  const began = Date.now();
  for (;;) {
    const { since } = await ask("/api/v1/settings");
    try {
      const { begins_anew: begins, moved } = await ask("/api/v1/settings", { body: { changes } });
      return begins ? { since, moved } : null;
    } catch (error) {
      const comes = error instanceof Refusal && error.status === 409 && error.after > 0;
      if (!comes || Date.now() - began > TURN) throw error;
      await pause(error.after * 1000);
    }
  }
}

/** It answers, and goes on with what it does. */
const busy = () => new Said(_("What you changed is kept, and comes into force as soon as nothing is under way: that takes long just now. Look at this page again later."));

/**
 * Nothing comes here any more. A script is not told whether the box is away, or its certificate is
 * another: only who opens the page anew is asked by the browser.
 */
function gone(moved) {
  const anew = make("a", { href: location.href, onclick: (event) => { event.preventDefault(); location.reload(); } }, _("Open this page anew"));
  const there = moved && moved.host !== location.hostname ? [" ", _("Or go to:"), " ", linkTo(moved)] : [];
  return new Said(_("What you changed is kept, and the box does not answer here any more. Its address may be another now; or its certificate is new, and the browser asks once more whether you trust it: compare the fingerprint with the one on the box’s screen."), " ", anew, ...there);
}

/** Wait until the service has begun anew, if it does; what the settings are then. It does not wait for ever. */
export async function inForce(begun) {
  if (begun === null) return ask("/api/v1/settings");
  const { since, moved } = begun;
  const began = Date.now();
  let heard = began;
  for (;;) {
    await pause(EVERY);
    try {
      const now = await ask("/api/v1/settings", { attended: false });
      if (now.since !== since) {
        if (moved && !now.setback) remember(moved);
        return now;
      }
      heard = Date.now();
    } catch (error) {
      if (error instanceof Refusal && error.status < 500) throw error;
      // It begins anew just now.
      if (Date.now() - heard > SILENCE) throw gone(moved);
    }
    if (Date.now() - began > PATIENCE && Date.now() - heard < SILENCE) throw busy();
  }
}

/** Change settings, and wait; fails with what the box says if they can't be so. */
export async function change(changes) {
  const begun = await begin(changes);
  const now = await inForce(begun);
  if (begun !== null && now.setback) throw new Error(now.setback);
  return now;
}
