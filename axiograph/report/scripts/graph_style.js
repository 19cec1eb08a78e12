"use strict";
// How values and edges of a graph look: Cytoscape's style sheet, the marks and colours of an edge, names at angles.
axiograph.graphStyle = (() => {
  const { colour } = axiograph;
  const FONT = 'system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif';
  // How the edges of a comparison look: a colour of the theme, and dashes.
  const STATES = {
    same: ["text", null],
    "marks differ": ["settled", [7, 3]],
    "graph only": ["alone", [2, 3]],
    "reference only": ["alone", [2, 3]],
  };
  const rgb = (name) => {
    const hex = colour(name).replace("#", "");
    return [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16));
  };
  const between = (from, to, share) => from.map((c, k) => Math.round(c + (to[k] - c) * share));

  // The colours that edges use; read once, as asking the page for one is slow beside drawing an edge.
  const palette = () => {
    const names = ["text", "muted", "page", "settled", "unsettled", "alone"];
    return Object.fromEntries(names.map((name) => [name, rgb(name)]));
  };

  const ruler = document.createElement("canvas").getContext("2d");
  const boxSize = (name, font) => {
    ruler.font = `${font}px ${FONT}`;
    return { w: Math.ceil(ruler.measureText(name).width) + 18, h: font + 16 };
  };

  const lineColour = (pair, palette) => {
    if (STATES[pair.state]) return palette[STATES[pair.state][0]];
    if (!pair.adjacent) return palette.muted;
    const share = pair.adjacent[0];
    return between(palette.settled, palette.unsettled, share ? pair.undirected[0] / share : 0);
  };

  // The data of an edge that the style sheet reads. `marks`: two letters; `byFrequency`: whether arrowheads show
  // how many replicates point this way instead.
  const edgeLook = (pair, marks, byFrequency, palette) => {
    const share = pair.adjacent ? pair.adjacent[0] : null;
    const line = lineColour(pair, palette);
    const css = `rgb(${line.join(",")})`;
    const end = (mark, mass) => {
      if (byFrequency && share) {
        const part = pair[mass][0] / share;
        // Fainter the fewer point this way, yet never so faint that it seems a gap in the line.
        const faint = between(palette.page, line, 0.25 + 0.75 * part);
        return [part >= 0.1 ? "triangle" : "none", `rgb(${faint.join(",")})`, "filled"];
      }
      return [{ a: "triangle", c: "circle" }[mark] ?? "none", css, mark === "c" ? "hollow" : "filled"];
    };
    const [from, fromColour, fromFill] = end(marks[0], "backward");
    const [to, toColour, toFill] = end(marks[1], "forward");
    const dashed = pair.state ? STATES[pair.state][1] : marks === "tt" ? [6, 4] : null;
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
  };

  // Names of points stand along the radius of the ellipse, or aslant in layers.
  const along = (angle) => {
    const right = Math.cos(angle) >= -1e-9;
    return { "text-halign": right ? "right" : "left", "text-rotation": right ? angle : angle + Math.PI };
  };
  const ASLANT = { "text-halign": "right", "text-rotation": 0.96 };

  const valueStyles = (boxes, font) => {
    const [text, panel, line] = ["text", "panel", "muted"].map(colour);
    const onColour = boxes ? { color: "#111111" } : {};
    return [
      {
        selector: "node",
        style: {
          label: "data(label)",
          width: "data(w)",
          height: "data(h)",
          shape: boxes ? "round-rectangle" : "ellipse",
          "background-color": boxes ? panel : line,
          "border-width": boxes ? 1.2 : 0,
          "border-color": line,
          color: text,
          "font-size": font,
          "font-family": FONT,
          "text-valign": "center",
          "text-halign": "center",
        },
      },
      { selector: "node.faded", style: { opacity: 0.3 } },
      { selector: "node.ancestor, node.descendant", style: { "border-color": text, "border-width": 2, ...onColour } },
      { selector: "node.ancestor", style: { "background-color": "#E69F00", "border-style": "dashed" } },
      { selector: "node.descendant", style: { "background-color": "#56B4E9", "border-style": "solid" } },
      { selector: "node.possible", style: { "border-color": text, "border-width": 2, "border-style": "dotted" } },
      {
        selector: "node.chosen",
        style: {
          "background-color": text,
          color: boxes ? colour("page") : text,
          "border-color": text,
          "border-width": 3,
          "font-weight": 700,
        },
      },
      { selector: "node.large", style: { "font-size": "data(large)", "z-index": 10 } },
    ];
  };

  const edgeStyles = (boxes) => [
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
        "arrow-scale": boxes ? 1.1 : 1,
      },
    },
    { selector: ".hidden", style: { display: "none" } },
    { selector: "edge.faded", style: { opacity: 0.12 } },
  ];

  const sheet = (boxes, font) => [...valueStyles(boxes, font), ...edgeStyles(boxes)];
  return { sheet, palette, edgeLook, boxSize, along, ASLANT };
})();
