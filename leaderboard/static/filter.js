"use strict";
// The filter form: which rows match, kept in the address. `onFilter` gets the numbers of the rows, in the board's order.
const texts = board.rows.map((row) =>
  [row.name, row.organisation, row.licence, row.fusion, row.data, row.id].join(" ").toLowerCase());
function matching() {
  const form = byId("filters"), words = form.q.value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = ["badge", "fusion", "licence"].filter((key) => form[key] && form[key].value);
  const most = Number(form.size.value) || Infinity;
  return board.rows.map((_, i) => i).filter((i) => words.every((word) => texts[i].includes(word))
    && chosen.every((key) => board.rows[i][key] === form[key].value)
    && (most === Infinity || (board.rows[i].parameters ?? Infinity) <= most));
}
function wireFilter(onFilter) {
  const form = byId("filters"), fields = [...form.elements].filter((field) => field.name);
  const apply = () => {
    const found = matching(), all = board.rows.length;
    byId("count").textContent = found.length === all ? `${all} encoders` : `${found.length} of ${all} encoders`;
    onFilter(found);
  };
  const read = () => { for (const field of fields) field.value = state.get(field.name); };
  form.addEventListener("input", () => { for (const field of fields) state.set(field.name, field.value); apply(); });
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    for (const field of fields) { field.value = ""; state.set(field.name, ""); }
    apply();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", () => { read(); apply(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, select, textarea")) { event.preventDefault(); form.q.focus(); }
  });
  read();
  apply();
}
