// Plots as inline SVG. Time always runs from left to right.
import { clock, el, t } from "./dom.js";

const ns = "http://www.w3.org/2000/svg";

/** @param {string} tag @param {Record<string, any>} props @param {...any} children @returns {any} */
function svg(tag, props, ...children) {
  const e = document.createElementNS(ns, tag);
  for (const [name, value] of Object.entries(props)) e.setAttribute(name, String(value));
  e.append(...children);
  return e;
}

/** A line of the calls that came. @param {any[]} bars */
export function spark(bars) {
  const w = 120, h = 28, top = Math.max(1, ...bars.map((b) => b.o));
  const x = (i) => ((i * w) / Math.max(1, bars.length - 1)).toFixed(1);
  const y = (n) => (h - 3 - (n * (h - 6)) / top).toFixed(1);
  const line = (of) => bars.map((b, i) => `${x(i)},${y(of(b))}`).join(" ");
  const label = `${t("offered")} ${bars.reduce((n, b) => n + b.o, 0)}, ${t("abandoned")} ${bars.reduce((n, b) => n + b.b, 0)}`;
  return svg("svg", { class: "spark", viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": label },
    svg("polygon", { class: "area", points: `0,${h} ${line((b) => b.o)} ${w},${h}` }),
    svg("polyline", { class: "line", points: line((b) => b.o) }),
    bars.some((b) => b.b) ? svg("polyline", { class: "lost", points: line((b) => b.b) }) : "");
}

/** The width of an element for a plot, in pixels. @param {HTMLElement} box */
export const widthOf = (box) => Math.max(320, Math.round(box.clientWidth));

/** A round number that is at least n. @param {number} n */
function ceiling(n) {
  const step = 10 ** Math.floor(Math.log10(Math.max(1, n)));
  return [1, 2, 5, 10].map((f) => f * step).find((m) => m >= n) ?? n;
}

/**
 * Bars of answered, abandoned and otherwise ended calls.
 * @param {any[]} bars @param {string[]} times beginnings of the bars @param {number} w @param {number} h
 */
export function bars(bars, times, w, h) {
  const left = 36, bottom = 26, top = 8, inner = h - bottom - top;
  const most = ceiling(Math.max(4, ...bars.map((b) => b.a + b.b + b.l)));
  const step = (w - left) / bars.length;
  const y = (n) => (inner * n) / most;
  const lines = [], shapes = [], labels = [];
  for (const n of [0, most / 2, most]) {
    const at = top + inner - y(n);
    lines.push(svg("line", { class: "grid", x1: left, x2: w, y1: at, y2: at }));
    labels.push(svg("text", { class: "axis", x: left - 6, y: at + 4, "text-anchor": "end" }, String(Math.round(n))));
  }
  bars.forEach((b, i) => {
    const x = left + i * step;
    let at = top + inner;
    for (const [cls, n] of [["answered", b.a], ["abandoned", b.b], ["left", b.l]]) {
      if (!n) continue;
      at -= y(n);
      shapes.push(svg("rect", { class: cls, x: (x + step * 0.12).toFixed(1), y: at.toFixed(1), width: (step * 0.76).toFixed(1), height: y(n).toFixed(1), rx: 1.5 },
        svg("title", {}, `${clock(times[i])}: ${t(cls)} ${n}`)));
    }
    if (new Date(times[i]).getMinutes() === 0) labels.push(svg("text", { class: "axis", x: (x + 1).toFixed(1), y: h - 6, "text-anchor": "middle" }, clock(times[i])));
  });
  const sum = (f) => bars.reduce((n, b) => n + f(b), 0);
  const label = `${t("last_hours")}: ${t("answered")} ${sum((b) => b.a)}, ${t("abandoned")} ${sum((b) => b.b)}, ${t("left")} ${sum((b) => b.l)}`;
  return el("div", { class: "plot", dir: "ltr" }, svg("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": label }, ...lines, ...shapes, ...labels));
}
