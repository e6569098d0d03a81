"use strict";
// Accuracy by a property of the question (an angle, a place, a number of objects), a line per encoder.
function skill(name, curves) {
  const values = [...new Set(curves.flatMap((curve) => curve.map(([value]) => value)))];
  const numeric = values.every((value) => typeof value === "number");
  if (numeric) values.sort((a, b) => a - b);
  const { width, height, left, right, top, bottom } = PLOT;
  const x = numeric ? linear(values[0], values[values.length - 1], left + 8, width - right - 8)
    : (value) => linear(0, values.length - 1, left + 20, width - right - 20)(values.indexOf(value));
  const y = linear(0, 1, height - bottom, top);
  const sparse = values.filter((_, i) => i % Math.ceil(values.length / (numeric ? 9 : 5)) === 0);
  const parts = curves.map((curve, r) => {
    const points = curve.map(([value, ...rest]) => [x(value) + 2 * r, ...rest.map((whole) => y(share(whole)))]);
    const line = numeric ? [svg("path", { d: points.map(([px, py], i) => `${i ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("") })] : [];
    return svg("g", { class: `i${r}` }, ...line, ...points.flatMap(([px, py, low, high]) => [
      svg("path", { class: "whisker", d: `M${px.toFixed(1)} ${low.toFixed(1)}V${high.toFixed(1)}` }), svg("circle", { cx: px.toFixed(1), cy: py.toFixed(1), r: 3 })]));
  });
  const text = (value) => String(value).length > 14 ? `${String(value).slice(0, 13)}…` : String(value);
  const axes = frame(sparse, [0, 0.2, 0.4, 0.6, 0.8, 1], x, y, text, name);
  return element("figure", {}, element("figcaption", { textContent: name }), canvas(`accuracy by ${name}`, ...axes, ...parts));
}
