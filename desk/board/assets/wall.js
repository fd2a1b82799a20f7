// The page for a big screen. ?queues=500,501 shows only these.
import { $, clock, el, name, num, now, since, t } from "./dom.js";
import { all, connect, entries, tick } from "./stream.js";
import { counting, fill, say, sync } from "./rows.js";
import { agents, count, dotted, levelText, percent, queues, stateClass } from "./shared.js";
import { bars, widthOf } from "./plot.js";

const chosen = (new URLSearchParams(location.search).get("queues") ?? "").split(",").filter(Boolean);
const wanted = (q) => chosen.length === 0 || chosen.includes(q.queue);

const figure = (label) => el("div", { class: "fig" }, el("b", { class: "num" }), el("span", { class: "soft" }, label));

function makeCard() {
  return el("article", { class: "panel wallcard" }, el("h2", {}), el("div", { class: "figs big" }, figure(t("waiting")), figure(t("longest_short")), figure(t("free"))),
    el("div", { class: "figs" }, figure(t("answered")), figure(t("abandoned")), figure(levelText())));
}

/** @param {any} card @param {any} q */
function fillCard(card, q) {
  const f = entries.get("figures/" + q.queue) ?? {};
  const [waiting, longest, free, answered, abandoned, level] = card.querySelectorAll(".fig");
  fill(card.querySelector("h2"), q.name, () => [name(q.name)]);
  const set = (box, state, content) => fill(box.firstElementChild, state, () => [content()]);
  set(waiting, String(q.waiting), () => count(q.waiting));
  set(longest, q.longest ?? "", () => counting(q.longest));
  set(free, `${q.free}/${q.members}/${q.known}`, () => num(q.known ? `${q.free}/${q.members}` : "–"));
  set(answered, String(f.answered), () => count(f.answered));
  set(abandoned, String(f.abandoned), () => count(f.abandoned));
  set(level, String(f.level), () => percent(f.level));
  say(level.lastElementChild, levelText());
  const late = q.longest && now() - Date.parse(q.longest) > 1000 * (entries.get("day")?.level ?? 20);
  card.className = `panel wallcard ${late ? "late" : q.waiting ? "hot" : ""}`;
}

function render() {
  const day = entries.get("day");
  say($("clock"), clock(new Date(now()).toISOString()));
  sync($("cards"), queues().filter(wanted), makeCard, fillCard);
  const shown = all("figures").filter(wanted);
  if (day && shown.length) {
    const sum = shown[0].plot.map((_, i) => shown.reduce((s, q) => ({ a: s.a + q.plot[i].a, b: s.b + q.plot[i].b, l: s.l + q.plot[i].l }), { a: 0, b: 0, l: 0 }));
    const w = widthOf($("plot"));
    fill($("plot"), JSON.stringify([sum, day.bars, w]), () => [bars(sum, day.bars, w, 180)]);
  }
  const people = agents().filter((a) => a.queues.some((q) => q.logged_in && wanted(q)));
  sync($("people"), people, () => el("div", { class: "panel wallperson" }, el("b", {}), el("span", {}), el("span", { class: "num" })), (box, a) => {
    const [who, state, time] = box.children;
    fill(who, a.name, () => [name(a.name)]);
    fill(state, a.state + a.reason, () => [dotted(stateClass[a.state] ?? "", t("state_" + a.state))]);
    fill(time, a.since ?? "", () => [counting(a.since)]);
  });
}

$("full").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()));
setInterval(render, 5000);
addEventListener("resize", render);
tick(since);
connect(render, "?wall");
