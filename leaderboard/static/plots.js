"use strict";
// The plots page: what matches the filter is drawn; a few encoders in profile and skill curves.
{
  const COSTS = [["Measured throughput", "speed", "inputs a second (each on its own machine)", false], ["Parameters", "parameters", "parameters", true],
    ["Embedding size", "bytes", "bytes an embedding", true]];
  const select = byId("task"), tasks = Object.keys(board.skills).sort();
  select.append(...tasks.map((name) => element("option", { value: name, textContent: name })));
  if (tasks.includes(state.get("task"))) select.value = state.get("task");
  let shown = [];
  // Drawn as wide as there is room, so that its letters are as large on a phone.
  function drawProfile() {
    const room = byId("profile");
    room.replaceChildren(profile(shown, Math.min(900, room.clientWidth)));
  }
  function curves() {
    const found = Object.entries(board.skills[select.value] || {}).map(([name, by]) => skill(name, shown.map((row) => by[row.id] || [])));
    byId("skills").replaceChildren(...(found.length ? found : [element("p", { className: "quiet", textContent: "No task tells skills." })]));
  }
  select.addEventListener("change", () => { state.set("task", select.value); curves(); });
  wireFilter((found) => {
    const rows = found.map((i) => board.rows[i]), ids = new Set(state.list("ids"));
    byId("scatters").replaceChildren(...COSTS.map(([title, key, unit, dearer]) => scatter(title, key, unit, rows, dearer)));
    const chosen = board.rows.filter((row) => ids.has(row.id));
    shown = (chosen.length ? chosen : rows).slice(0, chosen.length ? 5 : 3);
    byId("legend").replaceChildren(...shown.map((row, r) => element("span", {}, element("i", { className: `i${r}` }),
      element("a", { href: `encoder/${row.page}.html`, textContent: row.name }))));
    drawProfile();
    curves();
  });
  window.addEventListener("resize", drawProfile);
}
