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
  const CHOICE = /^chosen_/;
  const views = []; // [view, the names of its choices]
  // Charts with the same choice, such as the steered direction, follow each other.
  const share = (view) => {
    const state = view.getState({ signals: (name) => CHOICE.test(name), data: () => false });
    const names = Object.keys(state.signals).filter((name) => CHOICE.test(name));
    views.push([view, names]);
    for (const name of names)
      view.addSignalListener(name, (_, value) => {
        for (const [other, choices] of views)
          if (other !== view && choices.includes(name) && other.signal(name) !== value)
            other.signal(name, value).runAsync();
      });
  };
  const draw = async (node) => {
    const options = { renderer: "svg", ast: true, config, tooltip: { theme: "custom" } };
    options.actions = { export: { svg: true, png: true }, source: false, compiled: false, editor: false };
    share((await vegaEmbed(node, data.charts[node.dataset.chart], options)).view);
    node.dataset.drawn = "yes";
  };
  for (const node of document.querySelectorAll("[data-chart]")) axiograph.later(node, () => draw(node));

  // One after the other from the top, so that the page answers in between; what comes into view goes first.
  const before = (one, other) =>
    one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1;
  const { waiting } = axiograph;
  const near = new Set();
  const seen = new IntersectionObserver(
    (entries) => entries.forEach((e) => (e.isIntersecting ? near.add(e.target) : near.delete(e.target))),
    { rootMargin: "300px" },
  );
  axiograph.drawn = (async () => {
    const nodes = [...waiting.keys()].sort(before);
    for (const node of nodes) seen.observe(node);
    while (waiting.size) {
      await new Promise((done) => setTimeout(done));
      const node = nodes.find((n) => waiting.has(n) && near.has(n)) ?? nodes.find((n) => waiting.has(n));
      const build = waiting.get(node);
      waiting.delete(node);
      seen.unobserve(node);
      await build();
    }
    seen.disconnect();
  })();
})();
