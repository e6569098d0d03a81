"use strict";
// Up to three encoders chosen in the table, to be compared side by side and drawn in the plots.
const MOST_CHOSEN = 3;
function wireChoice(bodyRows) {
  const boxes = bodyRows.map((row) => row.querySelector("input"));
  const ids = () => state.list("ids");
  function show() {
    const chosen = new Set(ids());
    boxes.forEach((box, i) => {
      box.checked = chosen.has(board.rows[i].id);
      box.disabled = !box.checked && chosen.size >= MOST_CHOSEN;
    });
    const names = board.rows.filter((row) => chosen.has(row.id)).map((row) => row.name);
    byId("chosen").hidden = !names.length;
    byId("chosen-names").textContent = names.join(", ");
    byId("compare").hidden = names.length < 2;
    byId("compare").hash = new URLSearchParams({ ids: ids().map(encodeURIComponent).join(",") });
  }
  boxes.forEach((box, i) => box.addEventListener("change", () => {
    const rest = ids().filter((id) => id !== board.rows[i].id);
    state.set("ids", box.checked ? [...rest, board.rows[i].id] : rest);
    show();
  }));
  byId("choose-none").addEventListener("click", () => { state.set("ids", ""); show(); });
  window.addEventListener("hashchange", show);
  show();
}
