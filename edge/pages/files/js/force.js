// Settings come into force: the service begins anew with them, or takes them back.

import { Refusal, ask } from "./api.js";

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Have settings changed; what `inForce` waits by. Where nothing is new, nothing begins anew: null. */
export async function begin(changes) {
  const { since } = await ask("/api/v1/settings");
  const { begins_anew: begins } = await ask("/api/v1/settings", { body: { changes } });
  return begins ? since : null;
}

/** Wait until the service has begun anew since `since`, if it does; what the settings are then. */
export async function inForce(since) {
  if (since === null) return ask("/api/v1/settings");
  for (;;) {
    await pause(700);
    try {
      const now = await ask("/api/v1/settings", { attended: false });
      if (now.since !== since) return now;
    } catch (error) {
      if (error instanceof Refusal && error.status < 500) throw error;
      // It begins anew just now.
    }
  }
}

/** Change settings, and wait; fails with what the box says if they can't be so. */
export async function change(changes) {
  const since = await begin(changes);
  const now = await inForce(since);
  if (since !== null && now.setback) throw new Error(now.setback);
  return now;
}
