// The agent's page: it shows what the stream says. It decides nothing about calls.
import { $, clock, el, fill, reason, send, setNow, since, t } from "./dom.js";
import * as card from "./card.js";
import * as notes from "./notes.js";
import * as pages from "./pops.js";
import * as settings from "./settings.js";
import * as side from "./side.js";

/** Calls that go on, by linkedid. @type {Map<string, any>} */
let calls = new Map();
/** @type {any[]} */
let recent = [];
/** @type {any} */
let state = { queues: [], calls: [], connected: false };
let pbx = false;
/** @type {EventSource | null} */
let source = null;
let stream = "";
let lastId = "";
let leads = true;
let heard = performance.now();
let lostAt = 0;
let asleep = false;
let out = false; // signed out
let chosen = ""; // the call that the agent put into the slot
let polledAt = 0;

function connect() {
  source?.close();
  asleep = false;
  source = new EventSource(`/v1/me/events${lastId ? `?last=${encodeURIComponent(lastId)}` : ""}`);
  const own = source;
  const on = (event, f) => own.addEventListener(event, (m) => {
    if (own !== source) return;
    heard = performance.now();
    lastId = m.lastEventId || lastId;
    f(JSON.parse(/** @type {MessageEvent} */ (m).data));
  });
  on("hello", (m) => {
    stream = m.stream;
    snapshot(m);
    if (document.visibilityState === "visible" && document.hasFocus()) focus();
  });
  on("call", called);
  on("pop", pages.popped);
  on("pop-closed", (m) => {
    pages.closed(m.pop, m.fate, m.clear);
    render();
  });
  on("agent", (m) => {
    state = m;
    render();
  });
  on("lead", (m) => {
    leads = m.stream === stream;
    renderBanner();
  });
  on("note", (m) => {
    card.setNote(m.linkedid, m.note);
    render();
  });
  on("settings", settings.setOwn);
  on("beat", () => {});
  on("sleep", sleep);
  on("bye", (m) => m.reason === "signed-out" && signedOut());
  source.onopen = () => {
    heard = performance.now();
    renderLive();
  };
  source.onerror = () => own === source && lost();
}

/** Takes the whole state. @param {any} m */
function snapshot(m) {
  setNow(m.now);
  lostAt = 0;
  calls = new Map(m.calls.map((c) => [c.linkedid, c]));
  recent = m.recent;
  state = m.state;
  pbx = m.pbx;
  side.setReasons(m.reasons);
  side.setPeople(m.people);
  notes.setAll(m.own.notes);
  pages.setStream(stream, (id) => calls.get(id)?.state ?? "");
  pages.restore(m.pops);
  settings.setOwn(m.own);
  render();
}

async function lost() {
  lostAt ||= Date.now();
  render();
  if (source?.readyState !== EventSource.CLOSED) return; // the browser connects again
  source = null;
  const r = await fetch("/v1/me/sessions").catch(() => null);
  if (r?.status === 401) return signedOut();
  setTimeout(() => !source && !asleep && !out && connect(), 3000);
}

/** Too many tabs are open: this one connects again when the agent looks at it. */
function sleep() {
  asleep = true;
  source?.close();
  source = null;
  render();
}

function wake() {
  if (asleep) connect();
  else focus();
}

function signedOut() {
  source?.close();
  source = null;
  out = true;
  $("signin").hidden = false;
  $("again").focus();
  render();
}

$("signin").addEventListener("submit", async (e) => {
  e.preventDefault();
  $("againproblem").textContent = "";
  try {
    await send("POST", "/v1/session", { login: document.body.dataset.agent, password: $("again").value });
    $("signin").reset();
    $("signin").hidden = true;
    out = false;
    connect();
  } catch (err) {
    $("againproblem").replaceChildren(...(err.status === 401 ? [t("wrong")] : err.status === 429 ? [t("too_many")] : reason(err)));
  }
});

/** @param {any} c */
function called(c) {
  const before = calls.get(c.linkedid);
  calls.set(c.linkedid, c);
  notes.known(c.linkedid);
  if (c.state === "ended") {
    recent = [c, ...recent.filter((r) => r.linkedid !== c.linkedid)].slice(0, 20);
    // Who took it stays visible for a moment, and a call that the agent talked in until it is done with.
    if (c.outcome !== "answered" || card.current() !== c.linkedid) setTimeout(() => over(c.linkedid), c.outcome === "elsewhere" ? 3000 : 0);
  }
  if (c.state === "ringing" && before?.state !== "ringing") {
    $("polite").textContent = `${t("call_from")} ${c.name || c.number || t("withheld")}`;
    if (leads) settings.beep(Number(settings.setting("sound")));
  }
  render();
}

/** @param {string} id */
function over(id) {
  if (calls.get(id)?.state === "ended") calls.delete(id);
  render();
}

card.onChange(() => over(card.current()));
notes.onRefused(render);

/** The calls of the stream with what Asterisk knows of them, and those of the phone of which no event told. */
function merged() {
  const live = new Map((state.calls ?? []).map((c) => [c.linkedid, c]));
  const list = [...calls.values()].map((c) => ({ ...c, live: live.get(c.linkedid) }));
  for (const c of live.values()) {
    if (!calls.has(c.linkedid)) list.push({ linkedid: c.linkedid, state: ["held", "consulting"].includes(c.state) ? "talking" : c.state, direction: c.state === "ringing" ? "incoming" : "outgoing", number: c.other, name: c.name, since: c.since, began: c.since, live: c });
  }
  return list;
}

/** The call in the slot: the one that the agent chose or talks in, else the first that rings, else one that has just ended. @param {any[]} list */
function current(list) {
  const goesOn = list.filter((c) => c.state !== "ended");
  return goesOn.find((c) => c.linkedid === chosen) ?? goesOn.find((c) => c.state === "talking" && c.live?.state !== "held") ?? goesOn.find((c) => c.state === "talking") ?? goesOn[0] ?? list[0];
}

const isLive = () => source?.readyState === EventSource.OPEN;

function render() {
  const list = merged();
  const c = current(list);
  card.render(c, isLive(), pbx);
  side.renderOthers(list.filter((o) => o.linkedid !== c?.linkedid && o.state !== "ended"), (id) => {
    chosen = id;
    render();
  });
  side.renderRecent(recent, pbx, isLive());
  side.renderQueues(state, pbx, isLive());
  renderLive();
}

function renderLive() {
  const box = $("live");
  box.className = `chip ${isLive() ? "good" : asleep ? "warn" : "bad"}`;
  fill(box, el("span", { class: "dot" }), isLive() ? t("live") : asleep ? t("asleep") : [t(source ? "reconnecting" : "not_live"), lostAt ? ` ${clock(lostAt)}` : ""].join(""));
  document.body.classList.toggle("stale", !isLive());
  renderBanner();
  settings.renderReady(isLive());
}

function renderBanner() {
  const banner = $("banner");
  const say = (...what) => {
    banner.hidden = false;
    fill(banner, ...what);
  };
  if (out) banner.hidden = true;
  else if (asleep) say(t("asleep_hint"), " ", el("button", { class: "link", id: "wake", click: wake }, t("show_here")));
  else if (!isLive() && lostAt) say(`${t("not_live")} ${clock(lostAt)}. ${t("not_live_hint")}`);
  else if (isLive() && !leads) say(t("elsewhere_open"), " ", el("button", { class: "link", id: "showhere", click: focus }, t("show_here")));
  else banner.hidden = true;
}

/** Makes this tab the one that shows pages. It also finds out whether the stream still is. */
async function focus() {
  if (!stream || asleep || out) return;
  try {
    await send("POST", "/v1/me/focus", { stream });
  } catch (err) {
    if (err.status === 401) signedOut();
    else if (err.status === 404 || !isLive()) connect();
  }
}

/** Without a stream the page asks for the state. */
async function poll() {
  polledAt = performance.now();
  try {
    const m = await send("GET", "/v1/me");
    const since_ = lostAt;
    snapshot(m);
    lostAt = since_;
    renderLive();
  } catch (err) {
    if (err.status === 401) signedOut();
  }
}

let wall = Date.now();
let mark = performance.now();

function tick() {
  for (const e of document.querySelectorAll("[data-since]")) {
    const bdi = e.querySelector("bdi");
    if (bdi) bdi.textContent = since(e.dataset.since);
  }
  const at = performance.now();
  if (Math.abs(Date.now() - wall - (at - mark)) > 5000) wake(); // the machine slept
  [wall, mark] = [Date.now(), at];
  // A stream that a proxy holds back has no beats.
  if (source && at - heard > 45000) {
    heard = at;
    lostAt ||= Date.now();
    connect();
  }
  if (!asleep && !out && lostAt && Date.now() - lostAt > 10000 && at - polledAt > 5000) poll();
}

addEventListener("focus", wake);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && wake());
addEventListener("pagehide", () => {
  notes.storeAll();
  source?.close();
});
addEventListener("beforeunload", (e) => {
  if (notes.unsaved() && (out || lostAt) || notes.lost().length) e.preventDefault(); // the browser asks whether to leave: the notes cannot be stored now
});
addEventListener("pageshow", (e) => e.persisted && !out && connect());
addEventListener("online", () => !asleep && !out && connect());

const buttons = { KeyA: ["answer"], KeyE: ["hangup"], KeyH: ["hold", "uncall"], KeyT: ["transfer", "complete"], KeyM: ["mute"], KeyK: ["keys"], KeyD: ["done"], KeyS: ["opensettings"] };
addEventListener("keydown", (e) => {
  if (e.altKey || e.ctrlKey || e.metaKey || e.repeat || settings.setting("keys") === "off" || /^(INPUT|SELECT|TEXTAREA)$/.test(/** @type {any} */ (e.target)?.tagName ?? "")) return;
  const found = (buttons[e.code] ?? []).map($).find(Boolean);
  if (found) found.click();
  else if (e.code === "KeyO") pages.takeFirst() || $("openpage")?.click();
  else if (e.code === "KeyN" && !$("noting").hidden) $("note").focus();
  else if (e.code === "KeyC" && !$("dialling").hidden) $("number").focus();
  else return;
  e.preventDefault();
});

/** A link of the type tel fills in the number; the agent calls it. */
function prefill() {
  const number = new URLSearchParams(location.hash.slice(1)).get("call");
  if (!number) return;
  history.replaceState(null, "", location.pathname);
  $("number").value = number;
  $("dialling").hidden = false;
  $("number").focus();
}

addEventListener("hashchange", prefill);
setInterval(tick, 1000);
connect();
prefill();
