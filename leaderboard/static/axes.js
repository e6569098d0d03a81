"use strict";
// Scales and grid lines of a plot. Sizes are in the SVG's own units; it grows and shrinks with the page.
const PLOT = { width: 380, height: 250, left: 34, right: 12, top: 10, bottom: 34 };
function linear(low, high, from, to) {
  return (value) => from + (to - from) * (high > low ? (value - low) / (high - low) : 0.5);
}
function ticks(low, high, most = 5) {
  const rough = (high - low) / most || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}
function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const part of [1, 2, 5]) found.push(part * 10 ** power);
  }
  const inside = found.filter((value) => value >= low && value <= high), ones = inside.filter((value) => /^1e/.test(value.toExponential()));
  return inside.length > 7 && ones.length > 1 ? ones : inside;
}
function frame(xTicks, yTicks, x, y, xText, label) {
  const { width, height, left, right, top, bottom } = PLOT;
  const parts = yTicks.flatMap((value) => [
    svg("path", { class: "grid", d: `M${left} ${y(value)}H${width - right}` }),
    svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, String(value).replace("-", "−"))]);
  parts.push(...xTicks.map((value) => svg("text", { x: x(value), y: height - bottom + 16, "text-anchor": "middle" }, xText(value))));
  parts.push(svg("text", { x: (left + width - right) / 2, y: height - 3, "text-anchor": "middle" }, label));
  return parts;
}
function canvas(label, ...parts) {
  return svg("svg", { class: "plot", viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", "aria-label": label }, ...parts);
}
