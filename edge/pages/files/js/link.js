// Somebody came by a link to a study. Its secret stands behind the `#` of the address, which no
// browser sends; it is told to the box alone, and only once a person wants to see the images: what
// looks at links in messages by itself opens nothing.

import "./layout.js";
import { ask } from "./api.js";
import { byId, showProblem } from "./dom.js";
import { _ } from "./words.js";

const problem = byId("problem");
const button = byId("open");

function ready() {
  const isWhole = location.hash.length > 1;
  button.disabled = !isWhole;
  problem.hidden = isWhole;
  if (!isWhole) problem.textContent = _("The address is not whole: open the link as it was sent to you.");
}

button.addEventListener("click", async () => {
  button.disabled = true;
  problem.hidden = true;
  try {
    const { study_uid: study } = await ask("/login/link", { body: { secret: location.hash.slice(1) }, welcome: false });
    location.replace(`/viewer/open?study=${encodeURIComponent(study)}`);
  } catch (error) {
    if (error.status === 401) {
      problem.textContent = _("This link opens nothing any more. Ask whoever sent it for another.");
      problem.hidden = false;
    } else {
      showProblem(problem, error);
      button.disabled = false;
    }
  }
});
addEventListener("hashchange", ready);
ready();
