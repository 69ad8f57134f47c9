"use strict";
document.documentElement.classList.add("js");
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/* Theme: the system's until the reader chooses; a browser may refuse to remember the choice. */
(() => {
  const root = document.documentElement, button = $("#theme");
  const remembered = () => { try { return localStorage.getItem("segsolve-theme"); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem("segsolve-theme", theme); } catch { /* not kept */ } };
  const isDark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => { button.textContent = isDark() ? "Light theme" : "Dark theme"; };
  const kept = remembered();
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  button.hidden = false;
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; remember(root.dataset.theme); label(); });
  label();
})();

/* Sorting: headings with data-sort become buttons; cells sort by the number that their text begins with, or by the
   text. A hyphen stands for nothing at all, a dash for what is not known, which comes last. */
function sortable(table) {
  const headings = $$("thead th", table), body = table.tBodies[0];
  const NUMBER = /^[+-]?[\d,]+(\.\d+)?(?=$|x|\s)/;
  const text = (row, column) => row.cells[column].textContent.trim();
  const number = (value) => (value === "-" ? 0 : NUMBER.test(value) ? Number.parseFloat(value.replaceAll(",", "")) : Number.NaN);
  const missing = (value) => value === "–" || value === "";
  const compare = (a, b, sign) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    const difference = number(a) - number(b);
    return sign * (Number.isNaN(difference) ? a.localeCompare(b) : difference);
  };
  headings.forEach((heading, column) => {
    if (!("sort" in heading.dataset)) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const direction = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      for (const other of headings) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", direction);
      const sign = direction === "ascending" ? 1 : -1;
      body.append(...[...body.rows].sort((a, b) => compare(text(a, column), text(b, column), sign)));
    });
  });
}
$$("table[data-sortable]").forEach(sortable);

/* Timelines: pointing at an inference dims the others. */
for (const svg of $$("svg.gantt")) {
  const bars = $$("[data-n]", svg);
  const follow = (n) => bars.forEach((bar) => { bar.style.opacity = n === undefined || bar.dataset.n === n ? 1 : 0.25; });
  svg.addEventListener("pointerover", (event) => follow(event.target.closest("[data-n]")?.dataset.n));
  svg.addEventListener("pointerleave", () => follow(undefined));
}
