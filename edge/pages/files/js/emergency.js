// Breaking the glass: the box decides who may; here somebody says why.

import "./layout.js";
import { Refusal, ask } from "./api.js";
import { byId, onSubmit } from "./dom.js";

const form = byId("glass-form");
if (form) {
  onSubmit(form, async ({ reason, password }) => {
    try {
      await ask("/login/emergency", { body: { reason, password } });
    } catch (error) {
      // Who logged in long ago proves again that it is they.
      if (error instanceof Refusal && error.status === 403) byId("glass-password").hidden = false;
      throw error;
    }
    location.assign("/studies");
  });
  form.elements.reason.focus();
}
