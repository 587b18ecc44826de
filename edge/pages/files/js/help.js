// Help: it is all in the page; here it is printed.

import "./layout.js";
import { byId } from "./dom.js";

byId("print").addEventListener("click", () => window.print());
