"use strict";
// Architectures side by side: fills copies of the page's empty card. Texts are set as texts, never as markup.
(() => {
  const { entries, texts, chosen, commands, token } = JSON.parse(document.getElementById("page-data").textContent);
  const list = document.getElementById("cards");
  const blank = document.getElementById("card");
  if (!list || !blank) return;
  const most = Number(list.dataset.most);
  const live = document.getElementById("comparison-said");
  const say = (kind, detail) => document.dispatchEvent(new CustomEvent(kind, { detail }));
  let names = chosen.filter((name) => entries[name]);

  const element = (tag, text, kind) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const MARKS = { "+": "added", "-": "removed" };

  const card = (name) => {
    const [kind, facts, , , blocks, difference] = entries[name];
    const made = blank.content.firstElementChild.cloneNode(true);
    const find = (part) => made.querySelector(`[data-part=${part}]`);
    made.classList.add(texts[kind].replaceAll(" ", "-"));
    made.dataset.architecture = name;
    find("name").textContent = name;
    facts.forEach((fact, at) => { made.querySelectorAll("[data-fact]")[at].textContent = texts[fact]; });
    const described = blocks.map((block) => texts[block[3]]);
    find("network").setAttribute("aria-label", `Blocks: ${described.join("; ") || "none, the unmodified base"}`);
    for (const [site, what, shape] of blocks) {
      const place = [...made.querySelectorAll("[data-site]")].find((each) => each.dataset.site === texts[site]);
      if (!place) continue;
      place.classList.add("filled");
      const [label, first, second] = place.querySelectorAll("text");
      label.setAttribute("y", "13");
      first.textContent = texts[what];
      second.textContent = texts[shape];
    }
    find("blocks").replaceChildren(...(described.length ? described : ["the unmodified base"]).map((text) => element("li", text)));
    const lines = difference.map((line) => element("span", texts[line], MARKS[texts[line][0]] ?? "same"));
    find("difference").replaceChildren(...lines);
    find("folded").hidden = !lines.length;
    find("commands").replaceChildren(...commands.map(([what, typed]) => {
      const item = document.createElement("div");
      const typedOut = document.createElement("pre");
      typedOut.tabIndex = 0;
      typedOut.append(element("code", typed.replaceAll(token, name)));
      const value = document.createElement("dd");
      value.append(typedOut);
      item.append(element("dt", what), value);
      return item;
    }));
    const away = find("away");
    away.hidden = false;
    away.setAttribute("aria-label", `Remove ${name} from the comparison`);
    away.addEventListener("click", () => say("clo-toggle", { name }));
    return made;
  };

  const show = () => {
    list.replaceChildren(...names.map(card));
    document.getElementById("comparison-empty").hidden = names.length > 0;
    say("clo-chosen", { names: [...names] });
  };
  document.addEventListener("clo-toggle", ({ detail: { name } }) => {
    if (!entries[name]) return;
    if (names.includes(name)) {
      names = names.filter((each) => each !== name);
      live.textContent = `${name} is no longer compared; ${names.length} of ${most} are.`;
    } else if (names.length >= most) {
      live.textContent = `${most} are compared already: remove one before ${name} can come in.`;
    } else {
      names = [...names, name];
      live.textContent = `${name} is compared; ${names.length} of ${most} are.`;
    }
    show();
  });
  document.addEventListener("DOMContentLoaded", show);
})();
