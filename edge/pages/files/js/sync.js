import "./layout.js";
