"use strict";
// Charts: Vega-Lite specifications from the page's data. Colours of texts and axes are the theme's own variables, so
// that they follow it, also to paper. Expressions are interpreted: the page allows no code from strings.
(() => {
  const { data } = axiograph;
  const text = "var(--text, #1a1a1a)";
  const soft = "var(--line, #c8ccd1)";
  const muted = "var(--muted, #50555c)";
  const config = {
    background: "transparent",
    axis: { labelColor: text, titleColor: text, domainColor: muted, tickColor: muted, gridColor: soft },
    legend: { labelColor: text, titleColor: text },
    header: { labelColor: text, titleColor: text },
    title: { color: text, subtitleColor: muted },
    style: { "guide-label": { fill: text }, "guide-title": { fill: text } },
  };
  const draw = async (node) => {
    const options = { renderer: "svg", ast: true, config, tooltip: { theme: "custom" } };
    options.actions = { export: { svg: true, png: true }, source: false, compiled: false, editor: false };
    await vegaEmbed(node, data.charts[node.dataset.chart], options);
    node.dataset.drawn = "yes";
  };
  const later = () => new Promise((done) => setTimeout(done));
  // One after the other, so that the page answers in between.
  axiograph.drawn = (async () => {
    for (const build of axiograph.later) {
      await later();
      build();
    }
    for (const node of document.querySelectorAll("[data-chart]")) {
      await later();
      await draw(node);
    }
  })();
})();
