"use strict";
// Tables: DataTables sorts, searches and pages; numbers are formatted here, and saved with all their digits.
(() => {
  const { data, number, estimate, count, isKnown, element } = axiograph;
  const PAGE = 12;
  const SHORT = 44; // letters; a column of longer texts is wrapped
  const PRINTED = 150; // rows; a longer table is printed as far as it is shown, and says so
  const WIDE = 12; // columns; more are printed smaller, and the cells of more than twice as many are broken
  const shown = new Map();

  const text = (column, cell) => {
    if (column.kind === "text") return cell ?? "";
    if (column.kind === "count") return count(cell);
    if (column.kind === "number") return number(cell, column.digits, column.signed);
    return estimate(cell, column.digits, column.signed);
  };
  const order = (column, cell) => {
    if (column.kind === "text") return cell ?? "";
    const value = column.kind === "estimate" ? (cell || [null])[0] : cell;
    return isKnown(value) ? value : -Infinity;
  };
  const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  const escaped = (value) => String(value).replace(/[&<>"']/g, (c) => escapes[c]);

  const build = (table) => {
    const node = document.getElementById(`${table.key}-table`);
    node.classList.toggle("wide", table.columns.length > WIDE && table.columns.length <= 2 * WIDE);
    const row = element("tr", undefined, element("thead", undefined, node));
    for (const column of table.columns) {
      const head = element("th", column.name, row);
      head.scope = "col";
      if (column.note) head.title = column.note;
    }
    const long = table.rows.length > 2 * PAGE;
    const kind = (column, k) => {
      if (column.kind !== "text") return "figure-cell";
      return table.rows.every((cells) => (cells[k] ?? "").length <= SHORT) ? "short" : "word";
    };
    const made = new DataTable(node, {
      data: table.rows,
      columns: table.columns.map((column, k) => ({
        className: kind(column, k),
        type: column.kind === "text" ? "string" : "num",
        searchable: column.kind === "text", // a text for every number of 25,000 rows would be made for it
        render: (_, type, cells) => {
          if (type === "sort" || type === "type") return order(column, cells[k]);
          return type === "display" ? escaped(text(column, cells[k])) : text(column, cells[k]);
        },
      })),
      order: [],
      deferRender: true,
      autoWidth: false,
      pageLength: long ? PAGE : -1,
      lengthMenu: [PAGE, 50, 200, { label: "all", value: -1 }],
      layout: long
        ? { topStart: "search", topEnd: "pageLength", bottomStart: "info", bottomEnd: "paging" }
        : { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
      language: { search: "Search", zeroRecords: "No row fits.", emptyTable: "No rows." },
    });
    shown.set(table.key, { table, made });
  };

  const quoted = (cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  const csv = ({ table, made }) => {
    const head = table.columns.flatMap((c) =>
      c.kind === "estimate" ? [c.name, `${c.name} low`, `${c.name} high`] : [c.name],
    );
    const rows = made.rows({ search: "applied", order: "applied" }).data().toArray();
    const lines = rows.map((row) =>
      table.columns.flatMap((c, k) => (c.kind === "estimate" ? row[k] || [null, null, null] : [row[k]])),
    );
    return (
      [head, ...lines].map((line) => line.map((cell) => quoted(String(cell ?? ""))).join(",")).join("\n") +
      "\n"
    );
  };
  const save = (key) => {
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([csv(shown.get(key))], { type: "text/csv" }));
    link.download = `${key}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  };

  for (const table of data.tables)
    axiograph.later(document.querySelector(`[data-table="${table.key}"]`), () => build(table));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-export]");
    if (button) save(button.dataset.export);
  });
  window.addEventListener("beforeprint", () => {
    shown.forEach(({ table, made }, key) => {
      const figure = document.querySelector(`[data-table="${key}"]`);
      figure.classList.toggle("cut", table.rows.length > PRINTED);
      if (table.rows.length <= PRINTED) made.page.len(-1).draw();
    });
  });
  window.addEventListener("afterprint", () => {
    shown.forEach(({ table, made }) => table.rows.length > 2 * PAGE && made.page.len(PAGE).draw());
  });
})();
