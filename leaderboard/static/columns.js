"use strict";
// Which columns are seen. Those of tasks are made when they are first asked for: 60 x 500 cells would slow the first paint.
function wireColumns(table, bodyRows) {
  const panel = byId("columns"), boxes = [...panel.querySelectorAll("input")];
  const heads = () => [...table.tHead.rows[0].cells].filter((head) => head.dataset.column);
  const standard = heads().filter((head) => !head.hidden).map((head) => head.dataset.column);

  function make(key) {
    const task = board.tasks.find(({ name }) => `t:${name}` === key);
    if (!task) return false;
    const scores = board.scores[task.name], before = table.tHead.rows[0].querySelector('[data-column="coverage"]').cellIndex;
    const link = element("button", { type: "button", textContent: task.name.replace(/^.*\//, "") });
    const head = element("th", { scope: "col", title: `${task.name}, chance ${(100 * task.chance).toFixed(1)}` }, link);
    if (task.fusion === false) head.append(element("abbr", { className: "flag", title: `needs no fusion: ${task.audit}`, textContent: "§" }));
    head.dataset.sort = head.dataset.column = key;
    table.tHead.rows[0].cells[before].before(head);
    const column = element("col", { className: "c-interval" });
    column.dataset.column = key;
    table.querySelector("colgroup").children[before].before(column);
    bodyRows.forEach((row, i) => {
      const found = [scores[0][i], scores[1][i], scores[2][i]];
      const cell = element("td", { title: span(found) }, hundred(found[0]), intervalMark(found, task.chance));
      cell.dataset.column = key;
      row.cells[before].before(cell);
    });
    return true;
  }
  function apply() {
    const wanted = new Set(state.all().has("columns") ? state.list("columns") : standard);
    const there = new Set(heads().map((head) => head.dataset.column));
    for (const key of wanted) if (!there.has(key)) make(key);
    const places = heads().filter((head) => head.hidden === wanted.has(head.dataset.column));
    for (const head of places) {
      const hidden = !wanted.has(head.dataset.column), at = head.cellIndex;
      head.hidden = table.querySelector("colgroup").children[at].hidden = hidden;
      for (const row of bodyRows) row.cells[at].hidden = hidden;
    }
    for (const box of boxes) box.checked = wanted.has(box.value);
  }
  panel.addEventListener("change", () => {
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    const same = chosen.length === standard.length && chosen.every((key) => standard.includes(key));
    state.set("columns", same ? "" : chosen.length ? chosen : ["none"]);
    apply();
  });
  byId("columns-default").addEventListener("click", () => { state.set("columns", ""); apply(); });
  window.addEventListener("hashchange", apply);
  apply();
}
// A menu closes on Escape and on a click beside it.
for (const menu of document.querySelectorAll("details.menu")) {
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) { menu.open = false; menu.querySelector("summary").focus(); }
  });
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
}
