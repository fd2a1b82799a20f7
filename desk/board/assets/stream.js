// What is alive, as the stream of supervisors says it: entries under keys such as queue/pbx/500.
import { $, clock, el, setNow, t } from "./dom.js";

/** Entries by key. @type {Map<string, any>} */
export const entries = new Map();

/** The entries whose key begins with a kind, such as queue. @param {string} kind @returns {any[]} */
export const all = (kind) => [...entries].filter(([key]) => key.startsWith(kind + "/")).map(([key, value]) => ({ key, ...value }));

/** @type {EventSource | null} */
let source = null;
let heard = 0;
let lostAt = "";
let asleep = false;

let render = () => {};
let query = "";

/**
 * Connects, and calls render after each change.
 * @param {() => void} f @param {string} [q] query of the stream
 */
export function connect(f, q = "") {
  [render, query] = [f, q];
  open();
  // A stream that a proxy holds back has no beats.
  setInterval(() => {
    if (source && heard && performance.now() - heard > 45000) {
      heard = performance.now();
      open();
    }
  }, 5000);
  addEventListener("online", () => source && open());
}

function open() {
  source?.close();
  const own = (source = new EventSource("/v1/live/events" + query));
  const on = (event, f) => own.addEventListener(event, (m) => {
    if (own !== source) return;
    heard = performance.now();
    f(JSON.parse(/** @type {MessageEvent} */ (m).data));
  });
  on("live", (m) => {
    if (m.all) {
      entries.clear();
      setNow(m.now);
    }
    for (const [key, value] of Object.entries(m.set)) entries.set(key, value);
    for (const key of m.gone ?? []) entries.delete(key);
    lostAt = "";
    show();
    render();
  });
  on("beat", () => {});
  on("sleep", sleep);
  on("bye", (m) => m.reason === "signed-out" && signedOut());
  own.onopen = show;
  own.onerror = async () => {
    if (own !== source) return;
    lostAt ||= new Date().toISOString();
    show();
    if (own.readyState !== EventSource.CLOSED) return; // the browser connects again
    const r = await fetch("/v1/me/sessions").catch(() => null);
    if (own !== source) return;
    if (r?.status === 401) return signedOut();
    setTimeout(() => own === source && open(), 3000);
  };
}

/** Too many tabs are open: this one connects again when the viewer looks at it. */
function sleep() {
  asleep = true;
  source?.close();
  source = null;
  $("banner").replaceChildren(t("asleep_hint"), " ", el("button", { class: "link", id: "wake", click: wake }, t("show_here")));
  $("banner").hidden = false;
  show();
}

function wake() {
  if (!asleep) return;
  asleep = false;
  $("banner").hidden = true;
  open();
}

addEventListener("focus", wake);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && wake());
addEventListener("pagehide", () => source?.close());
addEventListener("pageshow", (e) => e.persisted && location.reload());

/** Reports whether what is shown is live. */
export const isLive = () => source?.readyState === EventSource.OPEN && entries.size > 0;

function signedOut() {
  source?.close();
  source = null;
  const banner = $("banner");
  banner.replaceChildren(t("signed_out_board"), " ", el("a", { href: location.pathname }, t("sign_in")));
  banner.hidden = false;
  show();
}

function show() {
  const live = source?.readyState === EventSource.OPEN;
  const box = $("live");
  const away = all("server").filter((s) => !s.connected).map((s) => s.server);
  box.hidden = false;
  box.className = `chip ${asleep ? "warn" : !live || away.length ? "bad" : "good"}`;
  const text = asleep ? [t("asleep")] : !live ? [t(source ? "reconnecting" : "not_live"), lostAt ? ` ${clock(lostAt)}` : ""] : away.length ? [t("away"), " ", away.join(", ")] : [t("live")];
  const now = text.join("");
  if (box.dataset.shown !== now) {
    box.dataset.shown = now;
    box.replaceChildren(el("span", { class: "dot" }), ...text);
  }
  document.body.classList.toggle("stale", !live);
}

/** Counts times on: an element with data-since shows the time since then. @param {(from: string) => string} since */
export function tick(since) {
  setInterval(() => {
    for (const e of document.querySelectorAll("[data-since]")) {
      const text = since(/** @type {HTMLElement} */ (e).dataset.since ?? "");
      if (e.textContent !== text) e.textContent = text;
    }
  }, 1000);
}

