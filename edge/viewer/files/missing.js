// Leads from an address of OHIF to the same study in the simple view.
"use strict";

(() => {
  const study = new URLSearchParams(location.search).get("StudyInstanceUIDs");
  if (study) {
    const plain = document.getElementById("plain");
    plain.href = "/viewer/plain?study=" + encodeURIComponent(study);
    plain.hidden = false;
  }
})();
