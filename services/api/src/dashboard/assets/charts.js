// Charts as SVG: bars of successes and failures, and a line of a duration.

import { duration, h, number, t } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 120;

export function deliveryChart(points) {
  const most = Math.max(1, ...points.map((point) => point.delivered + point.failed));
  const step = WIDTH / points.length;
  const bars = points.map((point, index) => {
    const good = (point.delivered / most) * (HEIGHT - 4);
    const bad = (point.failed / most) * (HEIGHT - 4);
    const at = new Date(point.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const text = `${at}: ${number(point.delivered)} ${t("delivered")}, ${number(point.failed)} ${t("failed")}`;
    const bar = (y, height, kind) =>
      height > 0 && h("rect", { x: index * step + 1, y, width: step - 2, height: Math.max(height, 1.5), rx: 1.5, class: kind });
    return h("g", {}, h("title", {}, text),
      h("rect", { x: index * step, y: 0, width: step, height: HEIGHT, class: "hit" }),
      bar(HEIGHT - good, good, "good"), bar(HEIGHT - good - bad - (bad && good ? 1 : 0), bad, "bad"));
  });
  const sum = (name) => points.reduce((total, point) => total + point[name], 0);
  const label = t("{delivered} delivered and {failed} failed attempts",
    { delivered: number(sum("delivered")), failed: number(sum("failed")) });
  return chart(label, bars, number(most));
}

export function latencyChart(points) {
  const known = points.map((point, index) => [index, point.p95Ms]).filter(([, value]) => value !== null);
  const most = Math.max(1, ...known.map(([, value]) => value));
  const place = ([index, value]) => [(index + 0.5) * (WIDTH / points.length), HEIGHT - (value / most) * (HEIGHT - 8) - 2];
  const line = h("polyline", { points: known.map((one) => place(one).join(",")).join(" "), class: "line" });
  const dots = known.map((one) => {
    const [x, y] = place(one);
    return h("circle", { cx: x, cy: y, r: 2.5, class: "dot" }, h("title", {}, duration(one[1])));
  });
  return chart(t("95 of 100 attempts took at most {most}", { most: duration(most) }), [line, ...dots], duration(most));
}

function chart(label, content, most) {
  return h("figure", { class: "chart" },
    h("span", { class: "axis" }, most),
    h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
      h("line", { x1: 0, x2: WIDTH, y1: HEIGHT / 2, y2: HEIGHT / 2, class: "grid" }),
      h("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT, class: "grid" }), content));
}
