"use strict";
// Sorts a table by the column whose heading is pressed: up, down, and as it was.
(() => {
  const key = (row, index) => {
    const cell = row.cells[index];
    if (cell.dataset.sort === undefined) return cell.textContent.trim().toLowerCase();
    return cell.dataset.sort === "nan" ? NaN : Number(cell.dataset.sort);
  };
  const compare = (a, b, sign) => {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    if (typeof a === "string") return sign * a.localeCompare(b, "en", { numeric: true });
    return sign * (a - b);
  };
  const first = new Map([...document.querySelectorAll(".sortable tbody")].map((body) => [body, [...body.rows]]));
  for (const button of document.querySelectorAll(".sortable th button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const before = head.getAttribute("aria-sort");
      const down = before === "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      const body = head.closest("table").tBodies[0];
      if (before === "descending") return body.append(...first.get(body));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [key(row, head.cellIndex), row]);
      rows.sort((a, b) => compare(a[0], b[0], down ? -1 : 1));
      return body.append(...rows.map(([, row]) => row));
    });
  }
})();
