"use strict";
// Images on which two detectors differ, their boxes drawn anew for another confidence. Texts are set as texts.
(() => {
  const { gallery } = JSON.parse(document.getElementById("page-data").textContent);
  const list = document.getElementById("gallery");
  if (!gallery || !list) return;
  const { classes, compared, pictures, thresholds } = gallery;
  const controls = document.getElementById("gallery-controls");
  const [range, value, said, truth] = ["range", "value", "said", "truth"].map((part) => document.getElementById(`gallery-${part}`));
  const SVG = "http://www.w3.org/2000/svg";
  const shape = (tag, attributes, text) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, each] of Object.entries(attributes)) made.setAttribute(name, each);
    if (text) made.textContent = text;
    return made;
  };
  const element = (tag, text, kind) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(1)} %`);

  const pane = (who, { src, size: [width, height], objects, file }, found, least) => {
    const sure = found.filter(([, , , , , confidence]) => confidence >= least - 1e-9).sort((one, other) => other[5] - one[5]);
    const taken = new Set(sure.map((each) => each[6]).filter((number) => number >= 0));
    const missed = objects.filter((_, at) => !taken.has(at));
    const right = sure.filter((each) => each[6] >= 0);
    const wrong = sure.filter((each) => each[6] < 0);
    const told = `${right.length} correct, ${missed.length} missed, ${wrong.length} false`;
    const drawing = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${who}: ${told}` });
    drawing.append(shape("image", { href: src, width, height }));
    const at = ([left, top, end, bottom]) => [(left * width) / 1000, (top * height) / 1000, (end * width) / 1000, (bottom * height) / 1000];
    const overlap = ([a, b, c, d], [e, f, g, h]) => {
      const both = Math.max(0, Math.min(c, g) - Math.max(a, e)) * Math.max(0, Math.min(d, h) - Math.max(b, f));
      return both / ((c - a) * (d - b) + (g - e) * (h - f) - both || 1);
    };
    // Boxes of one place lie within each other, and have one name: the surest one's, and how many more there are.
    const piles = [];
    for (const each of [...sure, ...missed]) {
      const pile = piles.find(([top]) => overlap(top, each) >= 0.5);
      if (pile) pile.push(each); else piles.push([each]);
    }
    const draw = (kind, each, inset) => {
      const [x, y, end, bottom] = at(each);
      const [width, height] = [end - x - 2 * inset, bottom - y - 2 * inset].map((side) => Math.max(1, side));
      drawing.append(shape("rect", { class: `box ${kind}`, x: x + inset, y: y + inset, width, height }));
    };
    const nameOf = ([, , , , number, confidence]) => {
      const full = classes[number] ?? `class ${number}`;
      return [full, confidence === undefined ? "" : ` ${confidence.toFixed(2)}`];
    };
    const name = (pile) => {
      const [each] = pile;
      const [x, y, end, bottom] = at(each);
      const [full, confidence] = nameOf(each);
      const short = (full.length > 12 ? `${full.slice(0, 11)}…` : full) + confidence;
      const size = Math.max(8, Math.round(width / 22));
      const said = pile.length > 1 ? `${short} +${pile.length - 1}` : short;
      const [left, anchor] = x + 0.62 * size * said.length > width ? [Math.min(width - 2, end), "end"] : [Math.max(2, x), "start"];
      const place = { x: left, y: y < size + 2 ? bottom + size : y - 3, "text-anchor": anchor, style: `font-size: ${size}px` };
      const text = shape("text", place, said);
      text.append(shape("title", {}, pile.map((one) => nameOf(one).join("")).join(", ")));
      drawing.append(text);
    };
    if (truth.checked) for (const each of objects) draw("object", each, -3);
    for (const pile of piles) {
      for (const [depth, each] of pile.entries()) {
        draw(each[5] === undefined ? "missed" : each[6] >= 0 ? "correct" : "false", each, 2.5 * depth);
      }
    }
    for (const pile of piles) name(pile);
    const made = document.createElement("div");
    const link = element("a", "");
    link.href = file;
    link.setAttribute("aria-label", `${who}: ${told}; the whole image`);
    link.append(drawing);
    made.append(link, element("small", `${who}: ${told}`));
    return made;
  };

  const show = () => {
    const chosen = compared[Number(controls.querySelector("input[name=candidate]:checked")?.value ?? 0)];
    const least = Number(range.value);
    const at = thresholds.findIndex((each) => Math.abs(each - least) < 1e-6);
    const [precision, recall] = chosen.rates;
    value.textContent = least.toFixed(2);
    said.textContent = `Over the whole validation set, after ${chosen.trained}, at IoU 0.50: the baseline's precision is ${percent(precision[0][at])}, its recall ${percent(recall[0][at])}; `
      + `${chosen.name}'s ${percent(precision[1][at])} and ${percent(recall[1][at])}.`;
    const parts = [];
    for (const [title, sign] of [[`Where ${chosen.name} is better`, 1], [`Where ${chosen.name} is worse`, -1]]) {
      const shots = chosen.shots.filter(([, , difference]) => difference * sign > 0);
      parts.push(element("h3", shots.length ? title : `${title}: in no image that can be shown`));
      for (const [name, number, difference, found] of shots) {
        const made = element("figure", "", "shot");
        const panes = element("div", "", "panes");
        panes.append(...["baseline", chosen.name].map((who, side) => pane(who, pictures[number], found[side], least)));
        made.append(element("figcaption", `${name} (ΔF1 ${difference < 0 ? "−" : "+"}${Math.abs(difference).toFixed(2)})`), panes);
        parts.push(made);
      }
    }
    list.replaceChildren(...parts);
  };
  controls.addEventListener("input", show);
  controls.hidden = false;
  show();
})();
