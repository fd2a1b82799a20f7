// Small helpers for the page. Data of callers only ever becomes text.

/** The texts of the page's language. @type {Record<string, string>} */
const text = JSON.parse(document.body.dataset.text ?? "{}");

/** Returns the text of a key. @param {string} key */
export const t = (key) => text[key] ?? key;

/** Reports whether there is a text. @param {string} key */
export const has = (key) => key in text;

/** Returns an element of the page by its id. @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);

/**
 * Makes an element. Properties that are functions are listeners.
 * @param {string} tag @param {Record<string, any>} [props] @param {...(Node|string|null|undefined|false)} children
 * @returns {any}
 */
export function el(tag, props = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") e.addEventListener(name, value);
    else if (name === "class") e.className = value;
    else e.setAttribute(name, value === true ? "" : value);
  }
  for (const c of children) if (c !== null && c !== undefined && c !== false) e.append(c);
  return e;
}

/** Replaces what a box has. The element that has the focus keeps it if there is one of its id again. @param {any} box @param {...any} children */
export function fill(box, ...children) {
  const focused = box.contains(document.activeElement) ? document.activeElement?.id : "";
  box.replaceChildren(...children.filter(Boolean));
  if (focused) $(focused)?.focus();
}

/** A text of a caller, whose direction does not turn the text around it. @param {string} s */
export const name = (s) => el("bdi", {}, s);

/** A number, id or time, which is always written from left to right. @param {string} s */
export const num = (s) => el("bdi", { dir: "ltr", class: "num" }, s);

/** @param {string} kind @param {...any} children */
export const chip = (kind, ...children) => el("span", { class: `chip ${kind}` }, ...children);

let base = Date.now();
let mark = performance.now();

/** Sets the server's time, from which the page counts. @param {string} at */
export function setNow(at) {
  base = Date.parse(at);
  mark = performance.now();
}

/** The server's time in milliseconds. */
export const now = () => base + performance.now() - mark;

/** The time since a moment, as 1:07. @param {string} from */
export function since(from) {
  const s = Math.max(0, Math.floor((now() - Date.parse(from)) / 1000));
  return duration(s);
}

/** A time that counts. @param {string} from @param {string} [kind] */
export const ticking = (from, kind = "") => el("span", { class: `num ${kind}`, "data-since": from }, num(since(from)));

/** A number of seconds, as 1:07. @param {number} s */
export function duration(s) {
  const two = (n) => String(n).padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

/** The time of day. @param {string | number} at */
export const clock = (at) => new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(new Date(at));

/**
 * Sends a request, and returns the answer of one that succeeded. An error has the status, the code and the server's words.
 * @param {string} method @param {string} path @param {object} [body] @param {boolean} [keepalive] it goes on if the page is left
 */
export async function send(method, path, body, keepalive = false) {
  const r = await fetch(path, { method, keepalive, headers: body && { "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
  if (r.status === 204) return null;
  const answer = await r.json().catch(() => ({}));
  if (!r.ok) throw Object.assign(new Error(answer.error ?? String(r.status)), { status: r.status, code: answer.code, answer });
  return answer;
}

/**
 * Why a request failed: in the page's language by its code, and the server's own words.
 * @param {any} err
 */
export function reason(err) {
  const first = err.answer?.results?.[0];
  const code = err.code ?? first?.result;
  const said = first?.error ?? err.message;
  const known = code && has(`err_${code}`) ? t(`err_${code}`) : err.status ? "" : t("err_network");
  return [known || t("failed"), said && err.status ? el("bdi", { lang: "en", dir: "ltr", class: "said" }, ` (${said})`) : ""];
}

let hiding = 0;

/** Shows that something failed. @param {...any} message */
export function toast(...message) {
  const box = $("toast");
  box.replaceChildren(...message);
  box.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => (box.hidden = true), 8000);
}

/** Runs a request that a person asked for, and says why it failed. @param {() => Promise<any>} what */
export async function attempt(what) {
  try {
    return await what();
  } catch (err) {
    toast(...reason(err));
    return undefined;
  }
}
