// The figures of the day.
import { $, clock, el, name, num, t } from "./dom.js";
import { all, connect, entries } from "./stream.js";
import { fill, say, sync } from "./rows.js";
import { byName, count, labelLevel, percent, seconds } from "./shared.js";
import { bars, spark, widthOf } from "./plot.js";

const row = (n) => () => el("tr", {}, ...Array.from({ length: n }, (_, i) => el("td", { class: i ? "n" : "" })));

/** @param {any} tr @param {any} q @param {any} first */
function queueRow(tr, q, first) {
  const c = tr.cells;
  fill(c[0], q.name, () => [first]);
  const values = [count(q.offered), count(q.waiting), count(q.answered), count(q.abandoned), count(q.left), percent(q.level), seconds(q.wait), seconds(q.longest), seconds(q.talk), seconds(q.average), percent(q.occupancy)];
  values.forEach((v, i) => fill(c[i + 1], v.textContent ?? "", () => [v]));
  fill(c[12], JSON.stringify(q.plot), () => [spark(q.plot)]);
}

function render() {
  labelLevel();
  const day = entries.get("day"), total = entries.get("total");
  if (!day || !total) return;
  say($("until"), `${t("until")} ${clock(new Date().toISOString())}`);
  const w = widthOf($("plot"));
  fill($("plot"), JSON.stringify([total.plot, day.bars, w]), () => [bars(total.plot, day.bars, w, 220)]);
  const waiting = new Map();
  for (const q of all("queue")) waiting.set(q.queue, (waiting.get(q.queue) ?? 0) + q.waiting);
  const sum = [...waiting.values()].reduce((n, m) => n + m, 0);
  sync($("queues").tBodies[0], all("figures").sort(byName), row(13), (tr, q) => queueRow(tr, { ...q, waiting: waiting.get(q.queue) ?? q.waiting }, name(q.name)));
  sync($("queues").tFoot, [{ key: "total", ...total, name: t("total"), waiting: sum }], row(13), (tr, q) => queueRow(tr, q, t("total")));
  sync($("agents").tBodies[0], all("work").sort(byName), row(16), (tr, a) => {
    const c = tr.cells;
    fill(c[0], a.name + a.phone, () => [name(a.name), a.name === a.phone ? "" : el("span", { class: "soft" }, " ", num(a.phone))]);
    const values = [count(a.offered), count(a.answered), count(a.missed), count(a.abandoned), count(a.elsewhere), count(a.outgoing), percent(a.level), seconds(a.wait), seconds(a.longest), seconds(a.ring), seconds(a.talk), seconds(a.average),
      seconds(a.logged_in || null), seconds(a.logged_in ? a.paused : null), percent(a.occupancy)];
    values.forEach((v, i) => fill(c[i + 1], v.textContent ?? "", () => [v]));
  });
}

addEventListener("resize", render);
connect(render);
