"use strict";
// What a graph says in words: the panel of the chosen value, and what stands under the pointer.
axiograph.graphPanel = (() => {
  const { number, estimate, count, element } = axiograph;
  const SYMBOL = { ta: "→", at: "←", tt: "—", aa: "↔", ca: "o→", ac: "←o", cc: "o–o", ct: "o–", tc: "–o" };
  const INVITATION =
    "Choose a value, by a click or in the list above: its ancestors and descendants are marked here and in the " +
    "graph. An edge under the pointer shows its numbers.";
  const hover = document.getElementById("hover");

  // Which values a path over `edges` ([pair, marks]) leads to from k, or to k where `back`: [surely, possibly].
  const reach = (edges, k, back) => {
    const [sure, open] = [new Map(), new Map()];
    const join = (map, from, to) => (map.has(from) ? map.get(from).push(to) : map.set(from, [to]));
    for (const [pair, marks] of edges)
      for (const [a, b, at, to] of [
        [pair.a, pair.b, marks[0], marks[1]],
        [pair.b, pair.a, marks[1], marks[0]],
      ]) {
        const [first, second] = back ? [b, a] : [a, b];
        if (at === "t" && to === "a") join(sure, first, second);
        if (at !== "a") join(open, first, second);
      }
    const walk = (map) => {
      const [seen, queue] = [new Set(), [k]];
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
  };

  // Ancestors and descendants of k: {up, down, upMaybe, downMaybe}.
  const relatives = (edges, k) => {
    const [down, downMaybe] = reach(edges, k, false);
    const [up, upMaybe] = reach(edges, k, true);
    // Both above and below: a directed cycle, in which neither is sure (DESIGN 13).
    for (const other of [...up].filter((member) => down.has(member))) {
      up.delete(other);
      down.delete(other);
      upMaybe.add(other);
      downMaybe.add(other);
    }
    return { up, down, upMaybe, downMaybe };
  };

  const pairText = (names, pair, marks) => {
    const lines = [`${names[pair.a]} ${SYMBOL[marks] ?? "·"} ${names[pair.b]}`];
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
  };

  const invite = (panel) => panel.replaceChildren(element("p", INVITATION));

  // `view`: the graph (graphs.js) whose value k is chosen, with `edges` as in `reach`, and `found` its relatives.
  const describe = (panel, view, k, edges, found) => {
    panel.replaceChildren(element("h3", view.names[k]));
    const often = new Map((view.payload.ancestors ?? []).map((row) => [`${row[0]} ${row[1]}`, row]));
    const list = (title, members, isAbove) => {
      element("h4", `${title} (${members.size})`, panel);
      const ul = element("ul", undefined, panel);
      for (const other of [...members].sort((a, b) => view.names[a].localeCompare(view.names[b]))) {
        const row = often.get(isAbove ? `${other} ${k}` : `${k} ${other}`);
        const item = element("li", undefined, ul);
        const button = element("button", view.names[other], item);
        button.type = "button";
        button.addEventListener("click", () => view.choose(other));
        if (row) element("span", ` ${estimate(row.slice(2, 5), 2)}`, item);
      }
    };
    list("Ancestors", found.up, true);
    list("Descendants", found.down, false);
    list("Possible ancestors", found.upMaybe, true);
    list("Possible descendants", found.downMaybe, false);
    const what = "Numbers: the share of replicates with a directed path between the two.";
    if (often.size) element("p", what, panel).className = "text";
    element("h4", "Edges", panel);
    const ul = element("ul", undefined, panel);
    for (const [pair, marks] of edges)
      if (pair.a === k || pair.b === k) element("li", pairText(view.names, pair, marks).join("; "), ul);
  };

  const tell = (at, lines) => {
    hover.replaceChildren(...lines.map((line) => element("div", line)));
    hover.hidden = false;
    hover.style.left = `${Math.min(at.clientX + 14, window.innerWidth - hover.offsetWidth - 8)}px`;
    hover.style.top = `${Math.min(at.clientY + 14, window.innerHeight - hover.offsetHeight - 8)}px`;
  };
  const hush = () => {
    hover.hidden = true;
  };
  window.addEventListener("scroll", hush, { passive: true });
  return { relatives, pairText, invite, describe, tell, hush };
})();
