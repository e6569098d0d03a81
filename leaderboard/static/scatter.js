"use strict";
// Quality against one cost: dots, the front (nothing is both better and cheaper), and a reading of the dot under the pointer.
function front(points, dearer) {
  const order = [...points].sort((a, b) => (dearer ? a.x - b.x : b.x - a.x) || b.y - a.y);
  let best = -Infinity;
  return order.filter((point) => point.y > best && ((best = point.y), true));
}
function scatter(title, key, unit, rows, dearer) {
  const points = rows.filter((row) => row.complete && row[key] > 0)
    .map((row) => ({ row, x: row[key], y: 100 * share(row.average[0]) })).sort((a, b) => a.x - b.x || a.y - b.y);
  const caption = element("figcaption", {}, title, " ", element("small", {}, dearer ? "left is cheaper" : "right is faster"));
  if (!points.length) return element("figure", {}, caption, element("p", { className: "quiet", textContent: "No encoder that matches has told it." }));
  const { width, height, left, right, top, bottom } = PLOT;
  const xs = points.map((p) => p.x), ys = points.map((p) => p.y);
  const low = Math.min(...xs) / 1.15, high = Math.max(...xs) * 1.15;
  const scale = linear(Math.log(low), Math.log(high), left, width - right), x = (value) => scale(Math.log(value));
  const y = linear(Math.min(0, ...ys), Math.max(...ys, 10), height - bottom, top);
  const best = front(points, dearer), on = new Set(best);
  const line = best.map((p, i) => `${i ? "L" : "M"}${x(p.x).toFixed(1)} ${y(p.y).toFixed(1)}`).join("");
  const ring = svg("circle", { class: "ring", r: 6, visibility: "hidden" });
  const picture = canvas(`${title}: ${points.length} encoders; on the front: ${best.map((p) => p.row.name).join(", ")}`,
    ...frame(new Set(xs).size > 6 ? logTicks(low, high) : [...new Set(xs)], ticks(Math.min(0, ...ys), Math.max(...ys, 10)), x, y, key === "bytes" ? String : short, unit),
    svg("path", { class: "front", d: line }),
    ...points.map((p) => svg("circle", { class: on.has(p) ? "dot best" : "dot", cx: x(p.x).toFixed(1), cy: y(p.y).toFixed(1), r: on.has(p) ? 3.6 : 3 })), ring);
  picture.setAttribute("tabindex", 0);
  const readout = element("p", { className: "readout", role: "status", textContent: `Front: ${best.map((p) => p.row.name).join(", ")}` });
  let now = -1;
  function show(at) {
    now = Math.max(0, Math.min(points.length - 1, at));
    const { row } = points[now];
    ring.setAttribute("cx", x(points[now].x)); ring.setAttribute("cy", y(points[now].y)); ring.setAttribute("visibility", "visible");
    readout.replaceChildren(element("a", { href: `encoder/${row.page}.html`, textContent: row.name }),
      ` ${hundred(row.average[0])} (${span(row.average)}), ${short(row[key])} ${unit.replace(/ \(.*/, "")}${key === "speed" && row.machine ? `, ${row.machine}` : ""}`);
  }
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (step) { event.preventDefault(); show(now + step); }
    if (event.key === "Enter" && now >= 0) location.href = `encoder/${points[now].row.page}.html`;
  });
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect(), size = width / box.width;
    const px = (event.clientX - box.left) * size, py = (event.clientY - box.top) * size;
    const away = points.map((p) => (x(p.x) - px) ** 2 + (y(p.y) - py) ** 2), near = away.indexOf(Math.min(...away));
    if (away[near] < 400) show(near);
  });
  return element("figure", {}, caption, picture, readout);
}
