"use strict";
// The table is in the page already, all rows of it; scripts only order, hide and add to what is there.
{
  const table = byId("board"), body = table.tBodies[0], rows = [...body.rows];
  wireColumns(table, rows);
  wireSort(table, (order) => {
    if (order || body.rows[0] !== rows[0] || table.dataset.sorted) body.append(...(order || rows.map((_, i) => i)).map((i) => rows[i]));
    if (order) table.dataset.sorted = "yes";
  });
  wireFilter((found) => {
    const kept = new Set(found);
    rows.forEach((row, i) => { if (row.hidden === kept.has(i)) row.hidden = !kept.has(i); });
    byId("empty").hidden = found.length > 0;
  });
  wireChoice(rows);
  byId("clear").addEventListener("click", () => byId("filters").reset());
}
