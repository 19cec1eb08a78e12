"use strict";
// Graphs: Cytoscape draws; here is what a choice, the slider, a click and the keyboard do.
(() => {
  const { data, number, count, onTheme, element } = axiograph;
  const { sheet, palette, edgeLook, boxSize, along, ASLANT } = axiograph.graphStyle;
  const { relatives, pairText, invite, describe, tell, hush } = axiograph.graphPanel;
  const MARGIN = 24;
  const MARKED = "chosen ancestor descendant possible faded large";

  class View {
    constructor(figure, payload) {
      Object.assign(this, { figure, payload });
      this.part = (role) => figure.querySelector(`[data-role="${role}"]`);
      this.names = payload.nodes.map((node) => node.name);
      this.choice = payload.choices[0].key;
      this.threshold = payload.threshold ?? 0;
      this.layout = "fixed";
      this.chosen = null;
      this.palette = palette();
      // Beside another graph there is half the room.
      this.font = figure.closest(".pair") && payload.boxes ? 18 : 14;
      if (!payload.boxes) this.part("canvas").classList.add("tall");
      this.fillControls();
      this.cy = cytoscape({
        container: this.part("canvas"),
        elements: this.values(),
        layout: { name: "preset", fit: false },
        style: sheet(payload.boxes, this.font),
        minZoom: 0.05,
        maxZoom: 6,
        boxSelectionEnabled: false,
        autoungrabify: true,
        userZoomingEnabled: false,
      });
      this.listen();
      this.update();
      this.place();
    }

    fillControls() {
      for (const choice of this.payload.choices)
        element("option", choice.name, this.part("choice")).value = choice.key;
      const sorted = this.names.map((name, k) => [name, k]).sort((a, b) => a[0].localeCompare(b[0]));
      for (const [name, k] of sorted) element("option", name, this.part("value")).value = String(k);
      const slider = this.part("threshold");
      slider.min = this.payload.least ?? 0;
      slider.value = this.threshold;
      if (this.payload.choices.length < 2) this.figure.querySelector(".choice").hidden = true;
    }

    values() {
      return this.payload.nodes.map((node, k) => ({
        data: {
          id: `n${k}`,
          k,
          label: node.name,
          ...(this.payload.boxes ? boxSize(node.name, this.font) : { w: 12, h: 12 }),
        },
        position: { x: node.fixed[0], y: node.fixed[1] },
      }));
    }

    listen() {
      const { cy } = this;
      this.part("choice").addEventListener("change", (event) => this.set({ choice: event.target.value }));
      this.part("threshold").addEventListener("input", (event) =>
        this.set({ threshold: Number(event.target.value) }),
      );
      this.part("value").addEventListener("change", (event) =>
        this.choose(event.target.value === "" ? null : Number(event.target.value)),
      );
      this.part("layout").addEventListener("change", (event) => {
        this.layout = event.target.value;
        this.place();
      });
      this.part("fit").addEventListener("click", () => cy.fit(undefined, MARGIN));
      cy.on("tap", (event) => {
        if (event.target === cy) this.choose(null);
        else if (event.target.isNode()) this.choose(event.target.data("k"));
      });
      // Also while the pointer moves on: scrolling hides the text, and what is under the pointer may be the same.
      cy.on("mouseover mousemove", "edge", (event) => {
        const pair = this.payload.pairs[event.target.data("k")];
        tell(event.originalEvent, pairText(this.names, pair, this.marks(pair)));
      });
      cy.on("mouseover mousemove", "node", (event) => tell(event.originalEvent, [event.target.data("label")]));
      cy.on("mouseout", "node, edge", hush);
      const canvas = this.part("canvas");
      canvas.addEventListener("mouseleave", hush); // a quick pointer leaves without Cytoscape's notice
      // The wheel scrolls the page until the graph has the focus.
      canvas.addEventListener("focus", () => cy.userZoomingEnabled(true));
      canvas.addEventListener("blur", () => cy.userZoomingEnabled(false));
      canvas.addEventListener("keydown", (event) => this.key(event));
      onTheme(() => {
        this.palette = palette();
        cy.style(sheet(this.payload.boxes, this.font));
        this.update();
        this.turnNames();
      });
      this.watchSize(canvas);
    }

    watchSize(canvas) {
      let size = `${canvas.clientWidth} ${canvas.clientHeight}`;
      new ResizeObserver(() => {
        const now = `${canvas.clientWidth} ${canvas.clientHeight}`;
        if (now === size) return; // an observer speaks at once, when nothing has changed
        size = now;
        this.cy.resize();
        this.cy.fit(undefined, MARGIN);
      }).observe(canvas);
    }

    key(event) {
      const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
      const zooms = { "+": 1.25, "=": 1.25, "-": 0.8 };
      if (moves[event.key]) this.cy.panBy({ x: moves[event.key][0], y: moves[event.key][1] });
      else if (zooms[event.key])
        this.cy.zoom({
          level: this.cy.zoom() * zooms[event.key],
          renderedPosition: { x: this.cy.width() / 2, y: this.cy.height() / 2 },
        });
      else if (event.key === "Escape") this.choose(null);
      else return;
      event.preventDefault();
    }

    set(change) {
      Object.assign(this, change);
      this.update();
    }

    place() {
      this.cy.batch(() => {
        this.cy.nodes().forEach((node) => {
          const [x, y] = this.payload.nodes[node.data("k")][this.layout];
          node.position({ x, y });
        });
        this.cy.edges().forEach((edge) => edge.data("bend", this.bend(this.payload.pairs[edge.data("k")])));
      });
      this.turnNames();
      this.cy.fit(undefined, MARGIN);
    }

    turnNames() {
      if (this.payload.boxes) return;
      this.cy.batch(() => {
        this.cy.nodes().forEach((node) => {
          const { angle } = this.payload.nodes[node.data("k")];
          node.style(this.layout === "fixed" ? along(angle) : ASLANT);
        });
      });
    }

    bend(pair) {
      const [s, t] = [pair.a, pair.b].map((k) => this.payload.nodes[k][this.layout]);
      const [dx, dy] = [t[0] - s[0], t[1] - s[1]];
      const length = Math.hypot(dx, dy) || 1;
      if (this.layout === "layered") return length > 200 ? 0.08 * length : 0;
      // Towards the middle of the ellipse, so that neighbours are not joined through each other.
      const bend = (0.4 * ((s[0] + t[0]) * dy - (s[1] + t[1]) * dx)) / 2 / length;
      return Math.sign(bend) * Math.min(Math.abs(bend), 0.22 * length);
    }

    marks(pair) {
      const marks = pair[this.choice];
      if (!marks) return "";
      return this.choice !== "frequency" || pair.adjacent[0] >= this.threshold ? marks : "";
    }

    // The pairs shown, each with its marks.
    edges() {
      return this.payload.pairs.map((pair) => [pair, this.marks(pair)]).filter(([, marks]) => marks);
    }

    update() {
      const framed = this.choice === "frequency";
      this.figure.querySelector(".slider").hidden = !framed;
      this.part("threshold-text").textContent = number(this.threshold, 2);
      this.part("threshold").setAttribute("aria-valuetext", `${number(this.threshold, 2)} of the replicates`);
      const visible = this.drawEdges(framed);
      this.part("shown").textContent = `${count(visible)} ${visible === 1 ? "edge" : "edges"} shown`;
      this.figure.dataset.edges = visible;
      this.mark(this.chosen);
    }

    // An edge is made when it is first shown: most of thousands of rare pairs never are.
    drawEdges(framed) {
      const fresh = [];
      let visible = 0;
      this.cy.batch(() => {
        this.payload.pairs.forEach((pair, k) => {
          const marks = this.marks(pair);
          const edge = this.cy.getElementById(`e${k}`);
          if (edge.nonempty()) edge.toggleClass("hidden", !marks);
          if (!marks) return;
          visible += 1;
          const look = edgeLook(pair, marks, framed, this.palette);
          if (edge.nonempty()) edge.data(look);
          else fresh.push({ group: "edges", data: this.edgeData(pair, k, look) });
        });
        this.cy.add(fresh);
      });
      return visible;
    }

    edgeData(pair, k, look) {
      return { id: `e${k}`, k, source: `n${pair.a}`, target: `n${pair.b}`, bend: this.bend(pair), ...look };
    }

    // Of two graphs beside each other the same value is chosen in both.
    choose(k) {
      this.mark(k);
      for (const other of this.figure.closest(".pair")?.querySelectorAll("[data-graph]") ?? [])
        if (other !== this.figure) axiograph.graphs[other.dataset.graph]?.mark(k);
    }

    mark(k) {
      this.chosen = k;
      this.part("value").value = k === null ? "" : String(k);
      this.figure.dataset.chosen = k === null ? "" : this.names[k];
      if (k === null) {
        this.cy.elements().removeClass(MARKED);
        invite(this.part("panel"));
        return;
      }
      const edges = this.edges();
      const found = relatives(edges, k);
      this.markValues(k, found);
      describe(this.part("panel"), this, k, edges, found);
    }

    markValues(k, { up, down, upMaybe, downMaybe }) {
      const related = new Set([k, ...down, ...up, ...downMaybe, ...upMaybe]);
      const large = Math.max(13, Math.min(40, 12 / this.cy.zoom()));
      this.cy.batch(() => {
        this.cy.nodes().forEach((node) => {
          const other = node.data("k");
          const sure = down.has(other) || up.has(other);
          node.data("large", large);
          node.toggleClass("faded", !related.has(other));
          node.toggleClass("large", related.has(other) && !this.payload.boxes);
          node.toggleClass("descendant", down.has(other));
          node.toggleClass("ancestor", up.has(other));
          node.toggleClass("possible", !sure && (downMaybe.has(other) || upMaybe.has(other)));
          node.toggleClass("chosen", other === k);
        });
        this.cy.edges().forEach((edge) => {
          const pair = this.payload.pairs[edge.data("k")];
          edge.toggleClass("faded", !(related.has(pair.a) && related.has(pair.b)));
        });
      });
    }
  }

  axiograph.graphs = {};
  const build = (figure) => {
    axiograph.graphs[figure.dataset.graph] = new View(figure, data.graphs[figure.dataset.graph]);
  };
  const [first, ...others] = document.querySelectorAll("[data-graph]");
  if (first) build(first);
  for (const figure of others) axiograph.later(figure, () => build(figure));
})();
