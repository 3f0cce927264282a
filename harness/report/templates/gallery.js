"use strict";
// Images on which two detectors differ, their boxes drawn anew for another confidence. Texts are set as texts.
(() => {
  const { gallery } = JSON.parse(document.getElementById("data").textContent);
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
    const draw = (kind, each) => {
      const [x, y, end, bottom] = at(each);
      drawing.append(shape("rect", { class: `box ${kind}`, x, y, width: end - x, height: bottom - y }));
    };
    // One name a place: the surest one's.
    const named = [];
    const name = (each) => {
      const box = each.slice(0, 4);
      if (named.some((other) => other.every((side, place) => Math.abs(side - box[place]) < 25))) return;
      named.push(box);
      const [x, y, end, bottom] = at(each);
      const [full, confidence] = [classes[each[4]] ?? `class ${each[4]}`, each[5]];
      const short = full.length > 12 ? `${full.slice(0, 11)}…` : full;
      const size = Math.max(8, Math.round(width / 22));
      const [left, anchor] = x > 0.6 * width ? [Math.min(width - 2, end), "end"] : [Math.max(2, x), "start"];
      const place = { x: left, y: y < size + 2 ? bottom + size : y - 3, "text-anchor": anchor, style: `font-size: ${size}px` };
      const text = shape("text", place, confidence === undefined ? short : `${short} ${confidence.toFixed(2)}`);
      text.append(shape("title", {}, full));
      drawing.append(text);
    };
    if (truth.checked) for (const each of objects) draw("object", each);
    for (const each of missed) draw("missed", each);
    for (const each of [...sure].reverse()) draw(each[6] >= 0 ? "correct" : "false", each);
    for (const each of [...sure, ...missed]) name(each);
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
    said.textContent = `Over the whole validation set under this seed, at IoU 0.50: the baseline's precision is ${percent(precision[0][at])}, its recall ${percent(recall[0][at])}; `
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
