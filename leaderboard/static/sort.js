"use strict";
// Sorting: the heads' buttons, aria-sort, and the order in the address ("speed" rises, "-speed" falls).
const TEXTS = new Set(["name", "organisation", "licence", "fusion", "data", "created"]);
const RISING = new Set([...TEXTS, "rank"]);
function sortValue(row, number, key) {
  if (key === "average") return row.complete ? row.average[0] : null;
  if (key === "rank") return row.rank && row.rank[0] * 1e4 + row.rank[1];
  if (key.startsWith("f:")) return row.families[key.slice(2)]?.[0];
  if (key.startsWith("t:")) return board.scores[key.slice(2)]?.[0][number];
  return row[key];
}
function sorted(key, falling) {
  const values = board.rows.map((row, i) => sortValue(row, i, key));
  const order = new Intl.Collator("en", { numeric: true });
  const compare = TEXTS.has(key) ? (a, b) => order.compare(a, b) : (a, b) => a - b;
  const absent = (value) => value == null || value === "";
  return values.map((_, i) => i).sort((i, j) => {
    if (absent(values[i]) || absent(values[j])) return absent(values[i]) - absent(values[j]) || i - j;  // last, either way
    return (falling ? -1 : 1) * compare(values[i], values[j]) || i - j;
  });
}
function wireSort(table, onSort) {
  const apply = () => {
    const [, minus, key] = /^(-?)(.*)$/.exec(state.get("sort") || "-average");
    for (const head of table.tHead.rows[0].cells) {
      if (head.dataset.sort === key) head.setAttribute("aria-sort", minus ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    onSort(key === "average" && minus ? null : sorted(key, Boolean(minus)));
  };
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("button")?.closest("th");
    if (!head) return;
    const key = head.dataset.sort, now = head.getAttribute("aria-sort");
    const falling = now ? now === "ascending" : !RISING.has(key);
    state.set("sort", (falling ? "-" : "") + key);
    apply();
  });
  window.addEventListener("hashchange", apply);
  apply();
}
