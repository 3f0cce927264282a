"use strict";
// A slider limits one cost and names the best architecture within it; what it says was made with the page.
(() => {
  const { budgets, figures } = JSON.parse(document.getElementById("page-data").textContent);
  const panel = document.getElementById("budget");
  if (!panel) return;
  const range = document.getElementById("budget-range");
  const [what, value, said] = ["budget-what", "budget-value", "budget-said"].map((id) => document.getElementById(id));
  const say = (kind, detail) => document.dispatchEvent(new CustomEvent(kind, { detail }));
  const cost = () => panel.querySelector("input[name=cost]:checked").value;

  // The same budget in the unit of the figure's second scale: milliseconds, or the change in percent.
  const inOtherWords = (key, ratio) => {
    const scale = figures[key].layout.meta.second_x;
    if (!scale) return "";
    const second = scale[0] + scale[1] * ratio * budgets[key].to_x;
    return key === "latency" ? `, ${second.toPrecision(3)} ms` : `, ${second < 0 ? "−" : "+"}${Math.abs(second).toFixed(1)} %`;
  };
  const read = () => {
    const key = cost();
    const { name, most, steps } = budgets[key];
    const ratio = Number(range.value);
    const [, best, text] = steps.findLast(([from]) => from === null || from <= ratio + 1e-9);
    const shown = `${ratio.toFixed(2)}×${inOtherWords(key, ratio)}`;
    const unlimited = ratio >= most - 1e-9;
    value.textContent = unlimited ? `${shown} (no limit)` : shown;
    range.setAttribute("aria-valuetext", `${ratio.toFixed(2)} times the baseline's ${name}`);
    said.textContent = `${unlimited ? "Without a limit" : `Up to ${shown} ${name}`}: ${text}`;
    said.dataset.best = best;
    say("clo-budget", { budget: unlimited ? null : { key, ratio } });
    return best;
  };
  const restart = () => {
    const { name, least, most } = budgets[cost()];
    Object.assign(range, { min: least, max: most, step: 0.01, value: most });
    what.textContent = name;
    read();
  };
  range.addEventListener("input", () => say("clo-point", { name: read() || null }));
  range.addEventListener("blur", () => say("clo-point", { name: null }));
  panel.addEventListener("change", ({ target }) => { if (target.name === "cost") restart(); });
  document.getElementById("budget-off").addEventListener("click", restart);
  panel.hidden = false;
  document.addEventListener("DOMContentLoaded", restart);
})();
