// What the pages of supervisors have in common.
import { duration, el, name, num, t } from "./dom.js";
import { all, entries } from "./stream.js";

/** A number, or a dash. @param {number | null | undefined} n */
export const count = (n) => num(n === null || n === undefined ? "–" : new Intl.NumberFormat(document.documentElement.lang).format(n));

/** @param {number | null | undefined} n */
export const percent = (n) => num(n === null || n === undefined ? "–" : `${n} %`);

/** @param {number | null | undefined} s */
export const seconds = (s) => num(s === null || s === undefined ? "–" : duration(s));

/** The label of the service level, such as "within 20 s". */
export const levelText = () => t("within_s").replace("%", String(entries.get("day")?.level ?? 20));

/** Sets the headings that name the service level. */
export function labelLevel() {
  for (const e of document.querySelectorAll("[data-level]")) if (e.textContent !== levelText()) e.textContent = levelText();
}

/** @param {any} a @param {any} b */
export const byName = (a, b) => (a.name ?? "").localeCompare(b.name ?? "", document.documentElement.lang, { numeric: true }) || a.key.localeCompare(b.key);

/** Who calls, as nodes. @param {any} c */
export const who = (c) => (c.person ? [name(c.person)] : c.caller ? [num(c.caller)] : [t("withheld")]);

/** Who calls, as a text. @param {any} c */
export const whoText = (c) => c.person || c.caller || t("withheld");

/** The colours of the states of agents. */
export const stateClass = { free: "good", talking: "info", ringing: "info", held: "info", paused: "warn", logged_out: "", unavailable: "bad", invalid: "bad", unknown: "" };

/** The agents, sorted. */
export const agents = () => all("agent").sort(byName);

/** The queues, sorted. A queue that several Asterisks have is there several times. */
export const queues = () => all("queue").sort(byName);

/** A chip with a dot. @param {string} kind @param {...any} children */
export const dotted = (kind, ...children) => el("span", { class: `chip ${kind}` }, el("span", { class: "dot" }), ...children);
