"use strict";
// Search among a task's questions.
{
  const items = [...byId("questions").children], texts = items.map((item) => item.textContent.toLowerCase());
  const form = byId("find");
  const apply = () => {
    const words = form.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    items.forEach((item, i) => { item.hidden = !words.every((word) => texts[i].includes(word)); });
    byId("count").textContent = `${items.filter((item) => !item.hidden).length} of ${items.length} questions`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}
