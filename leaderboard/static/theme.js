"use strict";
// Light, dark, or as the system: kept in localStorage, set before the first paint (the only script that is not deferred).
{
  const kinds = ["system", "light", "dark"], marks = { system: "◐", light: "☀", dark: "☾" };
  let now = "system";
  try { now = localStorage.getItem("theme") || now; } catch { /* storage may be forbidden; the system's colours then */ }
  if (!kinds.includes(now)) now = "system";
  const show = () => {
    if (now === "system") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = now;
    const button = document.getElementById("theme");
    if (!button) return;
    button.textContent = marks[now];
    button.setAttribute("aria-label", `Colours: ${now === "system" ? "as the system" : now}`);
    button.title = button.getAttribute("aria-label");
  };
  show();
  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme").addEventListener("click", () => {
      now = kinds[(kinds.indexOf(now) + 1) % kinds.length];
      try { localStorage.setItem("theme", now); } catch { /* as above */ }
      show();
    });
  });
}
