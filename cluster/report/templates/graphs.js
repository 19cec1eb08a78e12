"use strict";
// Graphs: Cytoscape draws; here is what a choice, the slider, a click and the keyboard do.
(() => {
  const { data, number, estimate, count, isKnown, colour, onTheme, element } = axiograph;
  // How the edges of a comparison look: a colour of the theme, and dashes.
  const STATES = {
    same: ["text", null],
    "marks differ": ["settled", [7, 3]],
    "graph only": ["alone", [2, 3]],
    "reference only": ["alone", [2, 3]],
  };
  const hover = document.getElementById("hover");
  const ruler = document.createElement("canvas").getContext("2d");
  const FONT = 'system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif';
  const rgb = (name) => {
    const hex = colour(name).replace("#", "");
    return [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16));
  };
  const between = (from, to, share) => from.map((c, k) => Math.round(c + (to[k] - c) * share));
  const SYMBOL = { ta: "→", at: "←", tt: "—", aa: "↔", ca: "o→", ac: "←o", cc: "o–o", ct: "o–", tc: "–o" };

  class View {
    constructor(figure, payload) {
      Object.assign(this, { figure, payload });
      this.part = (role) => figure.querySelector(`[data-role="${role}"]`);
      this.names = payload.nodes.map((node) => node.name);
      this.choice = payload.choices[0].key;
      this.threshold = payload.threshold ?? 0;
      this.layout = "fixed";
      this.chosen = null;
      if (!payload.boxes) this.part("canvas").classList.add("tall");
      this.fillControls();
      this.cy = cytoscape({
        container: this.part("canvas"),
        elements: this.elements(),
        layout: { name: "preset" },
        style: this.style(),
        minZoom: 0.05,
        maxZoom: 6,
        boxSelectionEnabled: false,
        autoungrabify: true,
        userZoomingEnabled: false,
      });
      this.listen();
      this.place();
      this.update();
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

    elements() {
      const boxes = this.payload.boxes;
      ruler.font = `14px ${FONT}`;
      const nodes = this.payload.nodes.map((node, k) => ({
        data: {
          id: `n${k}`,
          k,
          label: node.name,
          w: boxes ? Math.ceil(ruler.measureText(node.name).width) + 18 : 12,
          h: boxes ? 30 : 12,
        },
        position: { x: node.fixed[0], y: node.fixed[1] },
      }));
      const edges = this.payload.pairs.map((pair, k) => ({
        data: {
          id: `e${k}`,
          k,
          source: `n${pair.a}`,
          target: `n${pair.b}`,
          bend: 0,
          ...this.look(pair, "tt"),
        },
      }));
      return [...nodes, ...edges];
    }

    style() {
      const [text, panel, line] = ["text", "panel", "muted"].map(colour);
      const small = !this.payload.boxes;
      return [
        {
          selector: "node",
          style: {
            label: "data(label)",
            width: "data(w)",
            height: "data(h)",
            shape: small ? "ellipse" : "round-rectangle",
            "background-color": small ? line : panel,
            "border-width": small ? 0 : 1.2,
            "border-color": line,
            color: text,
            "font-size": small ? 13 : 14,
            "font-family": FONT,
            "text-valign": "center",
            "text-halign": "center",
          },
        },
        {
          selector: "edge",
          style: {
            width: "data(width)",
            "line-color": "data(line)",
            "line-opacity": "data(opacity)",
            "line-style": "data(dash)",
            "line-dash-pattern": "data(pattern)",
            "curve-style": "unbundled-bezier",
            "control-point-distances": "data(bend)",
            "control-point-weights": 0.5,
            "source-arrow-shape": "data(from)",
            "target-arrow-shape": "data(to)",
            "source-arrow-color": "data(fromColour)",
            "target-arrow-color": "data(toColour)",
            "source-arrow-fill": "data(fromFill)",
            "target-arrow-fill": "data(toFill)",
            "arrow-scale": small ? 1 : 1.1,
          },
        },
        { selector: ".hidden", style: { display: "none" } },
        { selector: "node.faded", style: { opacity: 0.3 } },
        { selector: "edge.faded", style: { opacity: 0.12 } },
        {
          selector: "node.ancestor",
          style: {
            "background-color": "#E69F00",
            "border-color": text,
            "border-width": 2,
            "border-style": "dashed",
            ...(small ? {} : { color: "#111111" }),
          },
        },
        {
          selector: "node.descendant",
          style: {
            "background-color": "#56B4E9",
            "border-color": text,
            "border-width": 2,
            "border-style": "solid",
            ...(small ? {} : { color: "#111111" }),
          },
        },
        {
          selector: "node.possible",
          style: { "border-color": text, "border-width": 2, "border-style": "dotted" },
        },
        {
          selector: "node.chosen",
          style: {
            "background-color": text,
            color: small ? text : colour("page"),
            "border-color": text,
            "border-width": 3,
            "font-weight": 700,
          },
        },
        { selector: "node.large", style: { "font-size": "data(large)", "z-index": 10 } },
      ];
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
      this.part("fit").addEventListener("click", () => cy.fit(undefined, 24));
      cy.on("tap", (event) => {
        if (event.target === cy) this.choose(null);
        else if (event.target.isNode()) this.choose(event.target.data("k"));
      });
      cy.on("mouseover", "edge", (event) =>
        this.tell(event, this.pairText(this.payload.pairs[event.target.data("k")])),
      );
      cy.on("mouseover", "node", (event) => this.tell(event, [event.target.data("label")]));
      cy.on("mouseout", "node, edge", () => {
        hover.hidden = true;
      });
      const canvas = this.part("canvas");
      // The wheel scrolls the page until the graph has the focus.
      canvas.addEventListener("focus", () => cy.userZoomingEnabled(true));
      canvas.addEventListener("blur", () => cy.userZoomingEnabled(false));
      canvas.addEventListener("keydown", (event) => this.key(event));
      onTheme(() => {
        cy.style(this.style());
        this.update();
      });
      new ResizeObserver(() => {
        cy.resize();
        cy.fit(undefined, 24);
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
      const radial = this.layout === "fixed" && !this.payload.boxes;
      this.cy.batch(() => {
        this.cy.nodes().forEach((node) => {
          const spot = this.payload.nodes[node.data("k")];
          const [x, y] = spot[this.layout];
          node.position({ x, y });
          if (!this.payload.boxes)
            node.style(
              radial
                ? this.radial(spot.angle)
                : {
                    "text-rotation": 0.96,
                    "text-valign": "center",
                    "text-halign": "right",
                    "text-margin-x": 0,
                    "text-margin-y": 0,
                  },
            );
        });
        this.cy.edges().forEach((edge) => edge.data("bend", this.bend(edge)));
      });
      this.cy.fit(undefined, 24);
    }

    radial(angle) {
      const right = Math.cos(angle) >= -1e-9;
      return {
        "text-valign": "center",
        "text-halign": right ? "right" : "left",
        "text-rotation": right ? angle : angle + Math.PI,
        "text-margin-x": 0,
        "text-margin-y": 0,
      };
    }

    bend(edge) {
      const [s, t] = [edge.source().position(), edge.target().position()];
      const [dx, dy] = [t.x - s.x, t.y - s.y];
      const length = Math.hypot(dx, dy) || 1;
      if (this.layout === "layered") return length > 200 ? 0.08 * length : 0;
      // Towards the middle of the ellipse, so that neighbours are not joined through each other.
      const bend = (0.4 * ((s.x + t.x) * dy - (s.y + t.y) * dx)) / 2 / length;
      return Math.sign(bend) * Math.min(Math.abs(bend), 0.22 * length);
    }

    marks(pair) {
      const marks = pair[this.choice];
      if (!marks) return "";
      return this.choice !== "frequency" || pair.adjacent[0] >= this.threshold ? marks : "";
    }

    look(pair, marks) {
      const share = pair.adjacent ? pair.adjacent[0] : null;
      const state = STATES[pair.state];
      const undirected = share ? pair.undirected[0] / share : 0;
      const line = state
        ? rgb(state[0])
        : share === null
          ? rgb("muted")
          : between(rgb("settled"), rgb("unsettled"), undirected);
      const css = `rgb(${line.join(",")})`;
      const end = (mark, mass) => {
        if (this.choice === "frequency" && share) {
          const part = pair[mass][0] / share;
          // Fainter the fewer point this way, yet never so faint that it seems a gap in the line.
          return [
            part >= 0.1 ? "triangle" : "none",
            `rgb(${between(rgb("page"), line, 0.25 + 0.75 * part).join(",")})`,
            "filled",
          ];
        }
        return [{ a: "triangle", c: "circle" }[mark] ?? "none", css, mark === "c" ? "hollow" : "filled"];
      };
      const [from, fromColour, fromFill] = end(marks[0], "backward");
      const [to, toColour, toFill] = end(marks[1], "forward");
      const dashed = state ? state[1] : marks === "tt" ? [6, 4] : null;
      return {
        width: share === null ? 2 : 1 + 4 * share,
        opacity: share === null ? 0.9 : 0.25 + 0.75 * share,
        line: css,
        dash: dashed ? "dashed" : "solid",
        pattern: dashed ?? [1, 0],
        from,
        fromColour,
        fromFill,
        to,
        toColour,
        toFill,
      };
    }

    update() {
      const framed = this.choice === "frequency";
      this.figure.querySelector(".slider").hidden = !framed;
      this.part("threshold-text").textContent = number(this.threshold, 2);
      this.part("threshold").setAttribute("aria-valuetext", `${number(this.threshold, 2)} of the replicates`);
      let visible = 0;
      this.cy.batch(() => {
        this.cy.edges().forEach((edge) => {
          const pair = this.payload.pairs[edge.data("k")];
          const marks = this.marks(pair);
          edge.toggleClass("hidden", !marks);
          // Cytoscape needs values for hidden edges too.
          edge.data(this.look(pair, marks || "tt"));
          if (marks) visible += 1;
        });
      });
      this.part("shown").textContent = `${count(visible)} ${visible === 1 ? "edge" : "edges"} shown`;
      this.figure.dataset.edges = visible;
      this.choose(this.chosen);
    }

    // Which values a path leads to from k over the edges shown: [surely, possibly], or to k where `back`.
    reach(k, back) {
      const sure = new Map();
      const open = new Map();
      const join = (map, from, to) => (map.has(from) ? map.get(from).push(to) : map.set(from, [to]));
      for (const pair of this.payload.pairs) {
        const marks = this.marks(pair);
        if (!marks) continue;
        for (const [a, b, at, to] of [
          [pair.a, pair.b, marks[0], marks[1]],
          [pair.b, pair.a, marks[1], marks[0]],
        ]) {
          const [first, second] = back ? [b, a] : [a, b];
          if (at === "t" && to === "a") join(sure, first, second);
          if (at !== "a") join(open, first, second);
        }
      }
      const walk = (map) => {
        const seen = new Set();
        const queue = [k];
        while (queue.length)
          for (const next of map.get(queue.pop()) ?? [])
            if (!seen.has(next)) {
              seen.add(next);
              queue.push(next);
            }
        seen.delete(k);
        return seen;
      };
      const surely = walk(sure);
      return [surely, new Set([...walk(open)].filter((other) => !surely.has(other)))];
    }

    choose(k) {
      this.chosen = k;
      const { cy } = this;
      this.part("value").value = k === null ? "" : String(k);
      cy.elements().removeClass("chosen ancestor descendant possible faded large");
      this.figure.dataset.chosen = k === null ? "" : this.names[k];
      if (k === null) {
        this.describe(null);
        return;
      }
      const [down, downMaybe] = this.reach(k, false);
      const [up, upMaybe] = this.reach(k, true);
      // Both above and below: a directed cycle, in which neither is sure (DESIGN 13).
      const cycle = [...up].filter((other) => down.has(other));
      for (const other of cycle) {
        up.delete(other);
        down.delete(other);
        upMaybe.add(other);
        downMaybe.add(other);
      }
      const related = new Set([k, ...down, ...up, ...downMaybe, ...upMaybe]);
      const large = Math.max(13, Math.min(40, 12 / cy.zoom()));
      cy.batch(() => {
        cy.nodes().forEach((node) => {
          const other = node.data("k");
          node.data("large", large);
          node.toggleClass("faded", !related.has(other));
          node.toggleClass("large", related.has(other) && !this.payload.boxes);
          node.toggleClass("descendant", down.has(other));
          node.toggleClass("ancestor", up.has(other));
          node.toggleClass(
            "possible",
            !down.has(other) && !up.has(other) && (downMaybe.has(other) || upMaybe.has(other)),
          );
          node.toggleClass("chosen", other === k);
        });
        cy.edges().forEach((edge) => {
          const ends = [edge.source().data("k"), edge.target().data("k")];
          edge.toggleClass("faded", !ends.every((end) => related.has(end)));
        });
      });
      this.describe(k, { up, down, upMaybe, downMaybe });
    }

    describe(k, found) {
      const panel = this.part("panel");
      panel.replaceChildren();
      if (k === null) {
        element(
          "p",
          "Choose a value, by a click or in the list above: its ancestors and descendants are marked here and in the graph. An edge under the pointer shows its numbers.",
          panel,
        );
        return;
      }
      element("h3", this.names[k], panel);
      const known = new Map((this.payload.ancestors ?? []).map((row) => [`${row[0]} ${row[1]}`, row]));
      const often = (from, to) => known.get(`${from} ${to}`);
      const list = (title, members, key) => {
        element("h4", `${title} (${members.size})`, panel);
        const ul = element("ul", undefined, panel);
        for (const other of [...members].sort((a, b) => this.names[a].localeCompare(this.names[b]))) {
          const row = key === "up" ? often(other, k) : often(k, other);
          const item = element("li", undefined, ul);
          const button = element("button", this.names[other], item);
          button.type = "button";
          button.addEventListener("click", () => this.choose(other));
          if (row) element("span", ` ${estimate(row.slice(2, 5), 2)}`, item);
        }
      };
      list("Ancestors", found.up, "up");
      list("Descendants", found.down, "down");
      list("Possible ancestors", found.upMaybe, "up");
      list("Possible descendants", found.downMaybe, "down");
      if (known.size)
        element(
          "p",
          "Numbers: the share of replicates with a directed path between the two.",
          panel,
        ).className = "text";
      element("h4", "Edges", panel);
      const ul = element("ul", undefined, panel);
      for (const pair of this.payload.pairs)
        if ((pair.a === k || pair.b === k) && this.marks(pair))
          element("li", this.pairText(pair).join("; "), ul);
    }

    pairText(pair) {
      const [a, b] = [this.names[pair.a], this.names[pair.b]];
      const marks = this.marks(pair) || pair[this.choice] || "";
      const lines = [`${a} ${SYMBOL[marks] ?? "·"} ${b}`];
      if (pair.state) lines.push(pair.state);
      if (!pair.adjacent) return lines;
      lines.push(
        `joined ${estimate(pair.adjacent, 2)}`,
        `→ ${estimate(pair.forward, 2)}`,
        `← ${estimate(pair.backward, 2)}`,
        `— ${estimate(pair.undirected, 2)}`,
      );
      if (pair.other) lines.push(`other marks ${number(pair.other, 2)}`);
      lines.push(`of ${count(pair.n)} replicates`);
      return lines;
    }

    tell(event, lines) {
      hover.replaceChildren(...lines.map((line) => element("div", line)));
      hover.hidden = false;
      const at = event.originalEvent;
      hover.style.left = `${Math.min(at.clientX + 14, window.innerWidth - hover.offsetWidth - 8)}px`;
      hover.style.top = `${Math.min(at.clientY + 14, window.innerHeight - hover.offsetHeight - 8)}px`;
    }
  }

  axiograph.graphs = {};
  const build = (figure) => {
    axiograph.graphs[figure.dataset.graph] = new View(figure, data.graphs[figure.dataset.graph]);
  };
  const [first, ...others] = document.querySelectorAll("[data-graph]");
  if (first) build(first);
  for (const figure of others) axiograph.later.push(() => build(figure));
})();
