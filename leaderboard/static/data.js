"use strict";
// The page's data blocks, and how numbers are written (as leaderboard/site/words.py does).
const block = (id) => JSON.parse(document.getElementById(id).textContent);
const board = block("data");
const share = (whole) => whole == null ? null : whole / board.scale;
const hundred = (whole) => whole == null ? "–" : (Math.round(1000 * share(whole)) / 10 + 0).toFixed(1).replace("-", "−");
const signed = (whole) => (Math.round(1000 * share(whole)) > 0 ? "+" : "") + hundred(whole);
const span = ([, low, high]) => low == null ? "" : `${hundred(low)} to ${hundred(high)}`;
function short(number) {
  if (number == null) return "–";
  const [name, unit] = [["B", 1e9], ["M", 1e6], ["k", 1e3]].find(([, size]) => number >= size) || ["", 1];
  return String(Number((number / unit).toPrecision(3))) + name;
}
function intervalMark(found, chance = 0, width = 64) {
  if (found[1] == null) return "";
  const at = (value) => (Math.min(1, Math.max(0, value)) * width).toFixed(1);
  const [value, low, high] = found.map((whole) => at(share(whole)));
  return svg("svg", { class: chance ? "mark raw" : "mark", width, height: 8, role: "img", "aria-label": `95% interval ${span(found)}` },
    ...(chance ? [svg("path", { class: "tick", d: `M${at(chance)} 1V7` })] : []),
    svg("path", { class: "line", d: `M${low} 4H${high}` }), svg("circle", { cx: value, cy: 4, r: 2 }));
}
