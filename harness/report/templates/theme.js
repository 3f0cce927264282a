"use strict";
// One button: the system's theme, light or dark. It is not kept: a page from a file may have no storage.
(() => {
  const THEMES = [
    ["auto", "light dark", "(prefers-color-scheme: dark)"],
    ["light", "light", "not all"],
    ["dark", "dark", "screen"],
  ];
  const button = document.getElementById("theme");
  const dark = document.getElementById("dark");
  let at = 0;
  const show = () => {
    const [name, scheme, media] = THEMES[at];
    dark.media = media;
    document.documentElement.style.colorScheme = scheme;
    button.textContent = `Theme: ${name}`;
    button.title = `Next: ${THEMES[(at + 1) % THEMES.length][0]}`;
    document.dispatchEvent(new CustomEvent("clo-theme"));
  };
  button.addEventListener("click", () => { at = (at + 1) % THEMES.length; show(); });
  button.hidden = false;
  show();
})();
