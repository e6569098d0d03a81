"use strict";
// A line per family, a dot with its interval per encoder: read across a line, not around a circle.
function profile(rows, width) {
  const narrow = width < 560, head = narrow ? 18 : 0, left = narrow ? 12 : 200, right = 16, foot = 26;
  const step = 15 * rows.length + 16 + head, families = board.families;
  const height = families.length * step + foot;
  const all = rows.flatMap((row) => Object.values(row.families).flatMap((found) => found.map(share)));
  const low = Math.min(0, ...all), x = linear(low, Math.max(0.1, ...all), left, width - right);
  const parts = ticks(100 * low, 100 * Math.max(0.1, ...all), 8).flatMap((value) => [
    svg("path", { class: "grid", d: `M${x(value / 100)} 0V${height - foot}` }),
    svg("text", { x: x(value / 100), y: height - 8, "text-anchor": "middle" }, String(value).replace("-", "−"))]);
  families.forEach((family, f) => {
    const middle = f * step + head + (step - head) / 2;
    parts.push(narrow ? svg("text", { class: "name", x: 0, y: f * step + 14 }, family.title)
      : svg("text", { class: "name", x: left - 12, y: middle + 4, "text-anchor": "end" }, family.title));
    rows.forEach((row, r) => {
      const found = row.families[family.name];
      if (!found) return;
      const y = middle + 15 * (r - (rows.length - 1) / 2), [value, from, to] = found.map((whole) => x(share(whole)).toFixed(1));
      parts.push(svg("g", { class: `i${r}` }, svg("path", { class: "whisker", d: `M${from} ${y}H${to}` }), svg("circle", { cx: value, cy: y, r: 4 }),
        svg("title", {}, `${row.name}, ${family.title}: ${hundred(found[0])} (${span(found)})`)));
    });
  });
  const told = families.map((family) => `${family.title}: ${rows.map((row) => `${row.name} ${hundred(row.families[family.name]?.[0])}`).join(", ")}`);
  return svg("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Profile by family. ${told.join(". ")}` }, ...parts);
}
