"use strict";
// Draws the figures in the page's theme. Everything shown is in the page already.
(() => {
  const NARROW = 640;
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const { figures, notes } = JSON.parse(document.getElementById("data").textContent);
  const config = { displaylogo: false, responsive: true, modeBarButtons: [["zoom2d", "resetScale2d", "toImage"]] };

  const themed = (figure, width) => {
    const { data, layout } = structuredClone(figure);
    const narrow = width < NARROW;
    for (const trace of data) {
      if (!trace.meta) continue;
      const color = css(`--${trace.meta.role}`);
      if (trace.text) trace.customdata = trace.text.map((name) => notes[name]);
      if (trace.line) trace.line.color = color;
      if (trace.marker) trace.marker.color = color;
      for (const bars of [trace.error_x, trace.error_y]) if (bars) bars.color = color;
      trace.textfont = { color: css("--ink"), size: narrow ? 10 : 12 };
    }
    const axes = ["xaxis", "yaxis", "xaxis2", "yaxis2"].filter((name) => layout[name]);
    for (const name of axes) {
      Object.assign(layout[name], { gridcolor: css("--grid"), linecolor: css("--rule"), automargin: true });
      layout[name].title.font = { color: css("--soft"), size: narrow ? 11 : 13 };
      layout[name].tickfont = { color: css("--soft"), size: narrow ? 10 : 12 };
      if (narrow) layout[name].nticks = 5;
    }
    for (const shape of layout.shapes) Object.assign(shape, { layer: "below" }, { line: { ...shape.line, color: css("--soft") } });
    if (narrow) {
      Object.assign(layout.margin, { l: 8, r: 12, t: 12 });
      for (const name of ["xaxis2", "yaxis2"]) if (layout[name]) layout[name].visible = false;
      layout.xaxis.title.text = layout.xaxis.title.text.replace(/ \(.*\)/, "");
    }
    Object.assign(layout, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" });
    layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: css("--soft"), activecolor: css("--accent") };
    layout.font = { color: css("--ink"), family: getComputedStyle(document.body).fontFamily };
    layout.hoverlabel = { bgcolor: css("--card"), bordercolor: css("--rule"), align: "left", font: { color: css("--ink"), size: 12 } };
    return { data, layout };
  };

  // The second scales are the first ones in other words: zooming must not part them.
  const keepInStep = (plot, meta) => {
    let busy = false;
    plot.on("plotly_relayout", () => {
      if (busy) return;
      busy = true;
      const change = {};
      for (const [scale, first, second] of [[meta.second_x, "xaxis", "xaxis2"], [meta.second_y, "yaxis", "yaxis2"]]) {
        if (scale) change[`${second}.range`] = plot.layout[first].range.map((end) => scale[0] + scale[1] * end);
      }
      Plotly.relayout(plot, change).then(() => { busy = false; });
    });
  };

  const plots = [...document.querySelectorAll(".plot")];
  const draw = () => {
    for (const plot of plots) {
      const figure = figures[plot.dataset.figure];
      const { data, layout } = themed(figure, plot.clientWidth);
      Plotly.react(plot, data, layout, config);
      if (!plot.dataset.drawn) keepInStep(plot, figure.layout.meta);
      plot.dataset.drawn = "yes";
    }
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  matchMedia(`(max-width: ${NARROW}px)`).addEventListener("change", draw);
})();
