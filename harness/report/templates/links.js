"use strict";
// Rows of tables and the other views: pointing at one points at all; a check box chooses a row for the comparison.
(() => {
  const { entries } = JSON.parse(document.getElementById("page-data").textContent);
  const rows = [...document.querySelectorAll("tr[data-architecture]")].filter((row) => entries[row.dataset.architecture]);
  const say = (kind, detail) => document.dispatchEvent(new CustomEvent(kind, { detail }));
  const byName = new Map();

  for (const row of rows) {
    const name = row.dataset.architecture;
    byName.set(name, [...(byName.get(name) ?? []), row]);
    const box = document.createElement("input");
    Object.assign(box, { type: "checkbox", className: "choose" });
    box.setAttribute("aria-label", `Compare ${name}`);
    row.cells[0].prepend(box);
  }
  const rowOf = (target) => target.closest?.("tr[data-architecture]");
  const point = ({ target }) => { const row = rowOf(target); if (row) say("clo-point", { name: row.dataset.architecture }); };
  const leave = ({ target, relatedTarget }) => {
    const row = rowOf(target);
    if (row && !row.contains(relatedTarget)) say("clo-point", { name: null });
  };
  for (const table of document.querySelectorAll("table")) {
    table.addEventListener("pointerover", point);
    table.addEventListener("pointerout", leave);
    table.addEventListener("focusin", point);
    table.addEventListener("focusout", leave);
    table.addEventListener("change", ({ target }) => {
      if (target.className === "choose") say("clo-toggle", { name: rowOf(target).dataset.architecture });
    });
    table.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.target.className !== "choose") return;
      event.preventDefault();
      say("clo-toggle", { name: rowOf(event.target).dataset.architecture });
    });
  }
  const marked = (kind, names) => {
    for (const row of document.querySelectorAll(`tr.${kind}`)) row.classList.remove(kind);
    for (const name of names) for (const row of byName.get(name) ?? []) row.classList.add(kind);
  };
  document.addEventListener("clo-point", ({ detail }) => marked("pointed", detail.name ? [detail.name] : []));
  document.addEventListener("clo-chosen", ({ detail }) => {
    marked("chosen", detail.names);
    const isFull = detail.names.length >= Number(document.getElementById("cards").dataset.most);
    for (const row of rows) {
      const box = row.querySelector(".choose");
      box.checked = detail.names.includes(row.dataset.architecture);
      box.disabled = isFull && !box.checked;
      box.title = box.disabled ? `${detail.names.length} are compared already: uncheck one first` : "";
    }
  });
  document.addEventListener("clo-budget", ({ detail: { budget } }) => {
    for (const row of rows) {
      const cost = budget && entries[row.dataset.architecture][budget.key === "latency" ? 2 : 3];
      row.classList.toggle("dear", Boolean(budget) && cost !== null && cost > budget.ratio + 1e-9);
    }
  });
})();
