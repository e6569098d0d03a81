"use strict";
// What a reader chose lives in the address after "#", so that a link keeps it: #q=sig&badge=re-run&sort=-speed.
const state = {
  all() { return new URLSearchParams(location.hash.slice(1)); },
  get(key) { return this.all().get(key) || ""; },
  list(key) { return this.get(key).split(",").filter(Boolean).map(decodeURIComponent); },
  set(key, value) {
    const all = this.all();
    if (Array.isArray(value)) value = value.map(encodeURIComponent).join(",");
    if (value) all.set(key, value); else all.delete(key);
    history.replaceState(null, "", "#" + all);
    this.keep();
  },
  // Links between pages that share the filters carry them along.
  keep() { for (const link of document.querySelectorAll("a[data-keep]")) link.hash = location.hash; },
};
document.addEventListener("DOMContentLoaded", () => state.keep());
