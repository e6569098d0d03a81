"use strict";
// Columns of all tasks lie in one compressed block; a row becomes an element only while it is on the screen.
const ROW = 26, SHOWN = 3, MOST_PIXELS = 8e6;  // browsers cut off elements much higher than that
const header = JSON.parse(document.getElementById("header").textContent);
const decoder = new TextDecoder();
let buffer = null;

function element(name, props, ...children) {
  const made = Object.assign(document.createElement(name), props || {});
  made.append(...children);
  return made;
}
async function unpack() {
  const text = document.getElementById("block").textContent;
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}
function view([kind, offset, length]) {
  const type = { f4: Float32Array, i4: Int32Array, u4: Uint32Array, u1: Uint8Array }[kind];
  return new type(buffer, offset, length);
}
function texts(place) {
  const bytes = view(place.bytes), ends = view(place.ends);
  return { length: ends.length, at: (i) => i < 0 ? "" : decoder.decode(bytes.subarray(i ? ends[i - 1] : 0, ends[i])) };
}
const marks = (value, tied) => Number.isNaN(value) ? ["no answer", ""] : value >= 0.999 ? ["right", "right"]
  : value > 0 ? ["tied " + (100 * value).toFixed(0) + "%", "tied"] : ["wrong", "wrong"];

function browse(root) {
  const words = texts(header.words);
  const task = element("select", { ariaLabel: "task" }, ...header.tasks.map((t, i) => element("option", { value: i }, `${t.name} (${t.n})`)));
  const state = element("select", { ariaLabel: "answers" });
  const search = element("input", { type: "search", placeholder: "search keys, texts and tags", ariaLabel: "search" });
  const count = element("span", { className: "quiet" });
  const inner = element("div"), list = element("div", { className: "list", tabIndex: 0 }, inner);
  const detail = element("div", { className: "detail" }, "Choose a row to see its pictures and answers.");
  const legend = (run) => element("span", { className: "legend" }, Object.assign(element("i"), { style: `background:${run.colour}` }), run.label);
  const heads = element("div", { className: "heads" }, element("span", { className: "key" }, "query"),
    ...header.runs.map((run) => element("span", { className: "mark" }, legend(run))), element("span", {}, "its text"));
  root.append(element("div", { className: "bar-of-filters" }, task, state, search, count), heads, list, detail);
  const options = [["all", "all"], ["pictures", "with pictures"]];
  header.runs.forEach((run, i) => options.push([`r${i}`, `${run.label}: right`], [`w${i}`, `${run.label}: wrong`], [`t${i}`, `${run.label}: tied`]));
  if (header.runs.length > 1) options.push(["differ", "runs differ"]);
  state.append(...options.map(([value, text]) => element("option", { value }, text)));
  let now = null, rows = null;

  function open() {
    const found = header.tasks[task.value];
    now = { ...found, keys: texts(found.queries), answers: view(found.answers), tags: view(found.tags),
      texts: found.texts && view(found.texts),
      runs: found.runs.map((run) => Object.fromEntries(Object.entries(run).map(([key, place]) => [key, view(place)]))) };
    filter();
  }
  function wanted(i) {
    const kind = state.value;
    if (kind === "all") return true;
    if (kind === "pictures") return i in now.queryPictures;
    const right = (run) => run.values[i] >= 0.999;
    if (kind === "differ") return now.runs.some((run) => right(run) !== right(now.runs[0]));
    const run = now.runs[Number(kind.slice(1))];
    if (kind[0] === "r") return right(run);
    return kind[0] === "w" ? run.values[i] === 0 : run.values[i] > 0 && !right(run);
  }
  function filter() {
    const needle = search.value.trim().toLowerCase();
    const hits = needle ? new Set() : null;
    if (needle) for (let w = 0; w < words.length; w++) if (words.at(w).toLowerCase().includes(needle)) hits.add(w);
    rows = [];
    for (let i = 0; i < now.n; i++) {
      if (!wanted(i)) continue;
      if (needle && !(hits.has(now.tags[i]) || (now.texts && hits.has(now.texts[i])) || now.keys.at(i).toLowerCase().includes(needle))) continue;
      rows.push(i);
    }
    count.textContent = `${rows.length.toLocaleString("en")} of ${now.n.toLocaleString("en")} queries`;
    inner.style.cssText = `height:${Math.min(rows.length * ROW, MOST_PIXELS)}px;position:relative`;
    list.scrollTop = 0;
    draw();
  }
  function draw() {
    const space = Math.max(1, Math.min(rows.length * ROW, MOST_PIXELS) - list.clientHeight);
    const all = Math.max(0, rows.length * ROW - list.clientHeight);
    const top = Math.min(1, list.scrollTop / space) * all;  // rows beyond what a browser can scroll are reached in proportion
    const first = Math.floor(top / ROW), last = Math.min(rows.length, first + Math.ceil(list.clientHeight / ROW) + 1);
    inner.replaceChildren();
    for (let place = first; place < last; place++) {
      const i = rows[place];
      const row = element("div", { className: "row", tabIndex: 0, onclick: () => tell(i), onkeydown: (e) => e.key === "Enter" && tell(i) });
      row.style.top = `${place * ROW - top + list.scrollTop}px`;
      row.append(element("span", { className: "key", title: now.keys.at(i) }, now.keys.at(i)));
      for (const run of now.runs) {
        const [text, kind] = marks(run.values[i], run.tied[i]);
        row.append(element("span", { className: `mark ${kind}` }, run.ranks[i] ? `${text}, ${run.ranks[i]}.` : text));
      }
      row.append(element("span", { className: "text" }, now.texts ? words.at(now.texts[i]) : ""));
      inner.append(row);
    }
  }
  function card(label, key, picture, text, answer) {
    const made = element("div", { className: answer ? "card answer" : "card" });
    if (picture >= 0) made.append(element("img", { src: header.pictures[picture], alt: label }));
    made.append(element("div", {}, label), element("div", {}, text), element("div", { className: "quiet" }, key));
    return made;
  }
  function candidate(label, number) {
    const picture = now.candidatePictures[number], text = now.candidateTexts[number];
    return card(label, words.at(number), picture === undefined ? -1 : picture, text === undefined ? "" : words.at(text), number === now.answers[number] );
  }
  function tell(i, scroll = true) {
    const query = card("query", now.keys.at(i), now.queryPictures[i] ?? -1, now.texts ? words.at(now.texts[i]) : "", false);
    detail.replaceChildren(element("p", { className: "quiet" }, words.at(now.tags[i])));
    const cards = element("div", { className: "cards" }, query);
    if (now.answers[i] >= 0) {
      const answer = candidate("right answer", now.answers[i]);
      answer.className = "card answer";
      cards.append(answer);
    }
    detail.append(cards);
    now.runs.forEach((run, number) => {
      const made = element("div", { className: "cards" });
      for (let k = 0; k < SHOWN; k++) {
        const pick = run.picks[i * SHOWN + k];
        if (pick < 0) continue;
        const shown = candidate(`${k + 1}. ${run.scores[i * SHOWN + k].toFixed(4)}`, pick);
        shown.className = pick === now.answers[i] ? "card answer" : "card";
        made.append(shown);
      }
      detail.append(element("p", {}, legend(header.runs[number])), made);
    });
    if (scroll) detail.scrollIntoView({ block: "nearest" });
  }
  function show() {  // a row with pictures to begin with, so that one sees what there is
    const first = Object.keys(now.queryPictures).find((i) => now.runs[0].values[i] < 0.5) ?? Object.keys(now.queryPictures)[0];
    if (first !== undefined) tell(Number(first), false);
  }
  task.onchange = () => { open(); show(); }; state.onchange = filter; list.onscroll = draw; window.addEventListener("resize", draw);
  let timer = 0;
  search.oninput = () => { clearTimeout(timer); timer = setTimeout(filter, 150); };
  open();
  show();
}

unpack().then((found) => { buffer = found; browse(document.getElementById("browser")); document.body.dataset.ready = Math.round(performance.now()); })
  .catch((error) => document.getElementById("browser").append(`The queries cannot be shown: ${error}`));
