// Emergency access while it is open: the banner says so on every page, and ends it.

import { ask } from "./api.js";
import { byId, toast } from "./dom.js";

const LONGEST = 2147483000;
const banner = byId("glass");
if (banner) {
  const left = Number(banner.dataset.until) * 1000 - Date.now();
  // What is shown was opened by it: the page is made anew without.
  setTimeout(() => location.reload(), Math.min(Math.max(left, 0) + 1000, LONGEST));
  byId("glass-end").addEventListener("click", async () => {
    try {
      await ask("/login/emergency", { method: "DELETE" });
      location.assign("/");
    } catch (error) {
      toast(error.message, "alarm");
    }
  });
}
