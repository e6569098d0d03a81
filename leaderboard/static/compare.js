"use strict";
// Two or three encoders side by side: paired differences of averages, and each task's difference with an interval.
{
  const pairs = block("pairs"), form = byId("who"), fields = [form.first, form.second, form.third];
  const place = new Map(pairs.ids.map((id, i) => [id, i])), number = new Map(board.rows.map((row, i) => [row.id, i]));

  function paired(one, two) {
    if (!place.has(one.id) || !place.has(two.id)) return null;
    const swapped = place.get(one.id) > place.get(two.id), [i, j] = [place.get(one.id), place.get(two.id)].sort((a, b) => a - b);
    const at = i * (2 * pairs.ids.length - i - 1) / 2 + j - i - 1;
    return { difference: (swapped ? -1 : 1) * pairs.difference[at], margin: pairs.margin[at], p: share(pairs.p[at]) };
  }
  // Newcombe's interval of a difference, from each score's own: it holds for separate questions, and is wide for shared ones.
  function difference([a, al, ah], [b, bl, bh]) {
    return [b - a, b - a - Math.hypot(b - bl, ah - a), b - a + Math.hypot(bh - b, a - al)].map(Math.round);
  }
  const verdict = (low, high) => low > 0 ? "up" : high < 0 ? "down" : "";
  function drawn([value, low, high]) {
    const at = (whole) => (48 + Math.max(-48, Math.min(48, 96 * share(whole)))).toFixed(1);
    return svg("svg", { class: "mark gap", width: 96, height: 8, role: "img", "aria-label": `interval ${hundred(low)} to ${hundred(high)}` },
      svg("path", { class: "line", d: `M${at(low)} 4H${at(high)}` }), svg("circle", { cx: at(value), cy: 4, r: 2 }));
  }
  function table(heads, groups, caption) {
    const cells = (row) => row.map((cell, i) => i ? element("td", { className: cell.className || "" }, ...[].concat(cell.parts ?? cell))
      : element("th", { scope: "row" }, ...[].concat(cell.parts ?? cell)));
    return element("table", { className: "pairs" }, element("caption", { className: "sr", textContent: caption }),
      element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col", textContent: head })))),
      ...groups.map(({ title, rows }) => element("tbody", {},
        ...(title ? [element("tr", { className: "family" }, element("th", { scope: "rowgroup", colSpan: heads.length, textContent: title }))] : []),
        ...rows.map((row) => element("tr", {}, ...cells(row))))));
  }
  function averages(rows) {
    return table(["Encoder", "Average", "95% interval", "Rank", `Paired difference to ${rows[0].name}`, "p, corrected"], [{ rows: rows.map((row, i) => {
      const found = i ? paired(rows[0], row) : null, wide = found && [-found.difference - found.margin, -found.difference + found.margin];
      const rank = row.rank ? (row.rank[0] === row.rank[1] ? String(row.rank[0]) : row.rank.join("–")) : "–";
      return [{ parts: element("a", { href: `encoder/${row.page}.html`, textContent: row.name }) },
        { className: "main", parts: row.average ? hundred(row.average[0]) + (row.complete ? "" : " (partial)") : "–" }, row.average ? span(row.average) : "–", rank,
        found ? { className: found.p <= 0.05 ? verdict(...wide) : "", parts: [`${signed(-found.difference)} (${hundred(wide[0])} to ${hundred(wide[1])})`] } : i ? "not ranked: no paired test" : "–",
        found ? (found.p < 0.001 ? "< 0.001" : found.p.toFixed(3)) : "–"];
    }) }], "Averages and paired differences");
  }
  function byTask(rows) {
    const heads = ["Task", rows[0].name, ...rows.slice(1).flatMap((row) => [row.name, "difference", "95% interval"])];
    const at = rows.map((row) => number.get(row.id));
    const groups = board.families.map((family) => ({ title: family.title, rows: family.tasks.map((name) => {
      const columns = board.scores[name], found = at.map((i) => columns.map((column) => column[i]));
      const task = board.tasks.find((each) => each.name === name);
      return [{ parts: [element("a", { href: `task/${task.page}.html`, textContent: name }), ...(task.fusion === false ? [element("abbr", { className: "flag", title: task.audit, textContent: " §" })] : [])] },
        { className: "main", parts: hundred(found[0][0]) }, ...found.slice(1).flatMap((other) => {
          if (other[0] == null || found[0][0] == null) return [hundred(other[0]), "–", "–"];
          const gap = difference(found[0], other);
          return [{ className: "main", parts: hundred(other[0]) }, { className: verdict(gap[1], gap[2]), parts: signed(gap[0]) },
            { parts: [`${hundred(gap[1])} to ${hundred(gap[2])}`, drawn(gap)] }];
        })];
    }) }));
    return table(heads, groups, "Scores by task with differences to the first");
  }
  function show() {
    const rows = fields.map((field) => board.rows[number.get(field.value)]).filter((row, i, all) => row && all.indexOf(row) === i);
    byId("averages").replaceChildren(...(rows.length ? [averages(rows)] : []));
    byId("differences").replaceChildren(...(rows.length ? [byTask(rows)] : []));
    byId("count").textContent = rows.length > 1 ? `${rows.length} encoders side by side` : "Choose a second encoder";
  }
  function read() {
    const asked = state.list("ids").filter((id) => number.has(id)), rest = board.rows.map((row) => row.id).filter((id) => !asked.includes(id));
    const ids = asked.length ? asked : rest.slice(0, 2);
    if (asked.length === 1 && rest.length) ids.push(rest[0]);
    fields.forEach((field, i) => { field.value = ids[i] || ""; });
    show();
  }
  for (const field of fields) field.append(element("option", { value: "", textContent: "–" }), ...board.rows.map((row) => element("option", { value: row.id, textContent: row.name })));
  form.addEventListener("change", () => { state.set("ids", fields.map((field) => field.value).filter(Boolean)); show(); });
  window.addEventListener("hashchange", read);
  read();
}
