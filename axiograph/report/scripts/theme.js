"use strict";
// Shared by the scripts of the page: the data, numbers as text, colours of the theme.
const axiograph = (() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const MISSING = "–";
  const isKnown = (value) => value !== null && value !== undefined;
  const number = (value, digits, signed) => {
    if (!isKnown(value)) return MISSING;
    const text = Math.abs(value).toFixed(digits);
    if (Number(text) === 0) return text;
    return (value < 0 ? "−" : signed ? "+" : "") + text;
  };
  const estimate = (values, digits, signed) => {
    const [value, low, high] = values || [];
    const head = number(value, digits, signed);
    if (!isKnown(value) || !isKnown(low) || !isKnown(high)) return head;
    return `${head} [${number(low, digits, signed)}, ${number(high, digits, signed)}]`;
  };
  const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 }); // made once: making one is slow
  const count = (value) => (isKnown(value) ? whole.format(value) : MISSING);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const onTheme = (callback) => dark.addEventListener("change", callback);
  const element = (tag, text, parent) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };
  const waiting = new Map(); // what is built when the page has opened, by its place in it; charts.js goes through it
  const later = (node, build) => waiting.set(node, build);
  return { later, waiting, data, number, estimate, count, isKnown, colour, onTheme, element };
})();
