"use strict";
// Hides rows that a filter leaves out, and says how many are left.
(() => {
  for (const filter of document.querySelectorAll(".filter")) {
    const table = document.getElementById(filter.dataset.table);
    const [words, verdict, front, affordable] = ["words", "verdict", "front", "affordable"].map((part) => filter.querySelector(`[data-filter=${part}]`));
    const said = filter.querySelector("output");
    const rows = [...table.tBodies[0].rows].map((row) => [row, row.textContent.toLowerCase()]);
    const apply = () => {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      for (const [row, text] of rows) {
        const kept = wanted.every((word) => text.includes(word))
          && (!verdict.value || row.classList.contains(verdict.value))
          && (!front.checked || row.dataset.front === "yes")
          && (!affordable.checked || !row.classList.contains("dear"));
        row.hidden = !kept;
        left += kept;
      }
      said.textContent = left === rows.length ? `all ${left} rows` : `${left} of ${rows.length} rows`;
    };
    for (const kind of ["input", "change"]) filter.addEventListener(kind, apply);
    filter.querySelector("button").addEventListener("click", () => {
      words.value = verdict.value = "";
      front.checked = affordable.checked = false;
      apply();
    });
    document.addEventListener("clo-budget", () => { if (affordable.checked) apply(); });
    filter.hidden = false;
    apply();
  }
})();
