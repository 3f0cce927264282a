"use strict";
// Draws the figures in the page's theme, and in them what is pointed at, chosen and affordable.
// Everything shown is in the page already.
(async () => {
  const NARROW = 640;
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const { figures, notes, entries, budgets } = JSON.parse(document.getElementById("page-data").textContent);
  const config = { displaylogo: false, responsive: true, modeBarButtons: [["zoom2d", "resetScale2d", "toImage"]] };
  const plots = [...document.querySelectorAll(".plot")];
  const state = { pointed: null, chosen: [], budget: null };
  const say = (kind, detail) => document.dispatchEvent(new CustomEvent(kind, { detail }));

  // Plotly lies in the page compressed; the policy holds the hash of what comes out.
  const unpack = async () => {
    const packed = document.getElementById("plotly").textContent.trim();
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  };

  // Where each architecture is in a figure: at one point, or along a line.
  const places = Object.fromEntries(Object.entries(figures).map(([key, { data }]) => {
    const found = new Map();
    for (const trace of data) for (const [at, name] of (trace.meta?.names ?? []).entries()) found.set(name, [...(found.get(name) ?? []), [trace.x[at], trace.y[at]]]);
    return [key, found];
  }));

  const labelled = Object.fromEntries(Object.entries(figures).map(([key, { data }]) => [key, new Set(
    data.filter((trace) => trace.meta?.names && trace.mode.includes("text")).flatMap((trace) => trace.meta.names.filter((_, at) => trace.text[at])),
  )]));
  const escaped = (name) => name.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

  const ringed = (key, role, names) => {
    const known = names.filter((name) => places[key].has(name));
    if (figures[key].layout.meta.lines) {
      const points = known.flatMap((name) => [...places[key].get(name), [null, null]]);
      return {
        type: "scatter", mode: "lines", hoverinfo: "skip", meta: { role }, x: points.map(([x]) => x), y: points.map(([, y]) => y), text: [],
        line: { width: role === "pointed" ? 5 : 2.5, dash: role === "pointed" ? "solid" : "dash", shape: "spline", smoothing: 0.6 },
      };
    }
    return {
      type: "scatter", mode: role === "pointed" ? "markers+text" : "markers", hoverinfo: "skip", meta: { role },
      x: known.map((name) => places[key].get(name)[0][0]), y: known.map((name) => places[key].get(name)[0][1]),
      text: role === "pointed" ? known.map((name) => (labelled[key].has(name) ? "" : escaped(name))) : [], textposition: "top center",
      marker: { symbol: role === "pointed" ? "circle-open" : "square-open", size: role === "pointed" ? 30 : 24, line: { width: role === "pointed" ? 2.5 : 1.5 } },
    };
  };

  // What is beyond the budget: a veil in the figure of that cost, faint points in the other one.
  const veil = (key, layout) => {
    if (state.budget?.key !== key) return [];
    const x = state.budget.ratio * budgets[key].to_x;
    const right = Math.max(layout.xaxis.range[1], x);
    return [
      { type: "rect", yref: "paper", y0: 0, y1: 1, x0: x, x1: right, line: { width: 0 }, fillcolor: css("--card"), opacity: 0.55, layer: "above" },
      { type: "line", yref: "paper", y0: 0, y1: 1, x0: x, x1: x, line: { width: 2, color: css("--accent") }, layer: "above" },
    ];
  };
  const affordable = (name) => {
    const cost = entries[name]?.[state.budget.key === "latency" ? 2 : 3];
    return cost === null || cost === undefined || cost <= state.budget.ratio + 1e-9;
  };
  const opacities = (key, names) => (state.budget && state.budget.key !== key ? names.map((name) => (affordable(name) ? 1 : 0.4)) : 1);

  const themed = (key, width) => {
    const { data, layout } = structuredClone(figures[key]);
    const narrow = width < NARROW;
    data.push(ringed(key, "chosen", state.chosen), ringed(key, "pointed", state.pointed ? [state.pointed] : []));
    for (const trace of data) {
      if (!trace.meta) continue;
      const color = css(`--${trace.meta.role}`);
      if (trace.meta.names) {
        trace.customdata = trace.meta.names.map((name) => notes[name]);
        trace.marker.opacity = opacities(key, trace.meta.names);
      }
      if (trace.line) trace.line.color = color;
      if (trace.fill) trace.fillcolor = `${color}26`;
      if (trace.marker) trace.marker.color = color;
      for (const bars of [trace.error_x, trace.error_y]) if (bars) bars.color = color;
      trace.textfont = { color: css("--ink"), size: narrow ? 10 : 12 };
    }
    const axes = ["xaxis", "yaxis", "xaxis2", "yaxis2"].filter((name) => layout[name]);
    for (const name of axes) {
      Object.assign(layout[name], { gridcolor: css("--grid"), linecolor: css("--rule"), automargin: true });
      layout[name].title.standoff = 10;
      layout[name].title.font = { color: css("--soft"), size: narrow ? 11 : 13 };
      layout[name].tickfont = { color: css("--soft"), size: narrow ? 10 : 12 };
      if (narrow) layout[name].nticks = 5;
    }
    for (const shape of layout.shapes) Object.assign(shape, { layer: "below" }, { line: { ...shape.line, color: css("--soft") } });
    for (const level of layout.annotations ?? []) Object.assign(level, { bgcolor: `${css("--card")}c0`, font: { color: css("--ink"), size: 12 } });
    layout.shapes.push(...veil(key, layout));
    if (narrow) {
      Object.assign(layout.margin, { l: 8, r: 12, t: 12 });
      for (const name of ["xaxis2", "yaxis2"]) if (layout[name]) layout[name].visible = false;
      layout.xaxis.title.text = layout.xaxis.title.text.replace(/ \(.*\)/, "");
    }
    Object.assign(layout, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" });
    layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: css("--soft"), activecolor: css("--accent") };
    layout.font = { color: css("--ink"), family: getComputedStyle(document.body).fontFamily };
    layout.hoverlabel = { bgcolor: css("--card"), bordercolor: css("--rule"), align: "left", font: { color: css("--ink"), size: 12 } };
    layout.uirevision = "keep";
    return { data, layout };
  };

  // The second scales are the first ones in other words: zooming must not part them.
  const keepInStep = (plot, meta) => {
    let busy = false;
    plot.on("plotly_relayout", (changed) => {
      if (busy || !Object.keys(changed).some((name) => /^[xy]axis/.test(name))) return;
      busy = true;
      const change = {};
      for (const [scale, first, second] of [[meta.second_x, "xaxis", "xaxis2"], [meta.second_y, "yaxis", "yaxis2"]]) {
        if (scale) change[`${second}.range`] = plot.layout[first].range.map((end) => scale[0] + scale[1] * end);
      }
      Plotly.relayout(plot, change).then(() => { busy = false; });
    });
  };

  const nameAt = (plot, event) => {
    const { curveNumber, pointNumber } = event.points[0];
    return plot.data[curveNumber].meta?.names?.[pointNumber];
  };

  const draw = () => {
    for (const plot of plots) {
      const key = plot.dataset.figure;
      const { data, layout } = themed(key, plot.clientWidth);
      Plotly.react(plot, data, layout, config);
      if (plot.dataset.drawn) continue;
      plot.dataset.drawn = "yes";
      keepInStep(plot, figures[key].layout.meta);
      plot.on("plotly_hover", (event) => say("clo-point", { name: nameAt(plot, event) ?? null }));
      plot.on("plotly_unhover", () => say("clo-point", { name: null }));
      plot.on("plotly_click", (event) => say("clo-toggle", { name: nameAt(plot, event) }));
    }
  };

  // One trace alone is drawn anew: a thousand points need not follow the pointer.
  const ring = (role, names) => {
    for (const plot of plots) {
      const { x, y, text } = ringed(plot.dataset.figure, role, names);
      const at = plot.data.findIndex((trace) => trace.meta?.role === role);
      Plotly.restyle(plot, { x: [x], y: [y], text: [text] }, [at]);
    }
  };
  const limit = () => {
    for (const plot of plots) {
      const { data, layout } = themed(plot.dataset.figure, plot.clientWidth);
      const named = [...data.keys()].filter((at) => data[at].meta?.names);
      Plotly.update(plot, { "marker.opacity": named.map((at) => data[at].marker.opacity) }, { shapes: layout.shapes }, named);
    }
  };
  const later = (action) => {
    let waiting = false;
    return () => {
      if (waiting || !ready) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; action(); });
    };
  };
  let ready = false;
  const pointLater = later(() => ring("pointed", state.pointed ? [state.pointed] : []));
  const chooseLater = later(() => ring("chosen", state.chosen));
  const limitLater = later(limit);
  document.addEventListener("clo-point", ({ detail }) => { if (state.pointed !== detail.name) { state.pointed = detail.name; pointLater(); } });
  document.addEventListener("clo-chosen", ({ detail }) => { state.chosen = detail.names; chooseLater(); });
  document.addEventListener("clo-budget", ({ detail }) => { state.budget = detail.budget; limitLater(); });

  if (!plots.length) return;
  if (typeof DecompressionStream === "undefined") {
    for (const plot of plots) plot.textContent = "This browser is too old to draw the figure; pareto.png beside this file shows the same.";
    return;
  }
  await unpack();
  draw();
  ready = true;
  document.documentElement.dataset.drawn = "yes";
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  document.addEventListener("clo-theme", draw);
  matchMedia(`(max-width: ${NARROW}px)`).addEventListener("change", draw);
})();
