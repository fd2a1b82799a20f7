// Pages of calls: what this tab does with a pop, and what it reports about it.
import { $, el, fill, name, now, send, t, toast } from "./dom.js";

const windowName = "ringhook-page";
/** @type {Window | null} */
let handle = null;
/** Pops that are not over, by id. @type {Map<string, any>} */
const open = new Map();
/** Pops that this page has opened: none is opened twice. */
const opened = new Set();
/** The last report of a pop that has not been answered. @type {Map<string, Promise<any>>} */
const reports = new Map();
/** The pop in the frame. @type {any} */
let framed = null;
let stream = "";
/** @type {(linkedid: string) => string} */
let stateOf = () => "";

/** @param {string} id @param {(linkedid: string) => string} states */
export function setStream(id, states) {
  stream = id;
  stateOf = states;
}

/** Reports whether a page of a call is shown or offered. @param {string} linkedid */
export const has = (linkedid) => [...open.values()].some((p) => p.linkedid === linkedid) || framed?.linkedid === linkedid;

/** Reports fates of a pop in their order: one that arrives before the one that it follows is refused. @param {any} pop @param {string} fate */
function report(pop, fate) {
  const before = reports.get(pop.pop) ?? Promise.resolve();
  const now = before.then(() => send("POST", `/v1/me/pops/${pop.pop}/receipt`, { stream, fate })).catch(() => {}); // the pop is over, or the next tab shows it
  reports.set(pop.pop, now);
  now.then(() => reports.get(pop.pop) === now && reports.delete(pop.pop));
}

/** Takes the pops of a snapshot: nothing is opened again, but what was in the frame is there again. @param {any[]} list */
export function restore(list) {
  const before = framed;
  open.clear();
  for (const p of list) {
    open.set(p.pop, p);
    p.offered = p.fate !== "shown" && p.fate !== "taken"; // it may be opened by hand
    if (p.fate === "shown" && p.way === "frame" && before?.pop !== p.pop) frame(p, () => {});
    if (p.fate !== "sent" && p.fate !== "offered") opened.add(p.pop);
  }
  renderOffers();
}

/** @param {any} p */
export function popped(p) {
  open.set(p.pop, p);
  if (framed?.pop === p.pop && p.way !== "frame") { // the page allows no frame
    clearFrame();
    toast(t("no_frame"));
  }
  if (!p.lead || opened.has(p.pop + p.way) || now() > Date.parse(p.by ?? p.until)) {
    renderOffers();
    return;
  }
  opened.add(p.pop + p.way);
  if (p.mode === "offer" || busyFrame(p)) {
    p.offered = true;
    report(p, "offered");
  } else {
    show(p);
  }
  renderOffers();
}

/** Reports whether the frame holds the page of a call that the agent talks in. @param {any} p */
const busyFrame = (p) => p.way === "frame" && framed && framed.linkedid !== p.linkedid && stateOf(framed.linkedid) === "talking";

/** @param {any} p */
function show(p) {
  switch (p.way) {
    case "frame":
      return frame(p, () => report(p, "shown"));
    case "window":
      if (navigate(p.url)) return report(p, "shown");
      p.offered = true;
      return report(p, "window-lost");
    case "tab":
      if (openTab(p.url)) return report(p, "shown");
      p.offered = true;
      return report(p, "blocked");
    case "scheme":
      location.href = p.url;
      return report(p, "sent"); // no program says that it has opened
    case "notice":
      return notice(p);
    default:
      return report(p, "shown");
  }
}

/** Shows a page beside the call. A frame's load says that it was loaded, not that the page allows frames. @param {any} p @param {() => void} done */
function frame(p, done) {
  if (framed && framed.pop !== p.pop && open.has(framed.pop)) report(framed, "replaced");
  framed = p;
  p.done = done;
  const f = el("iframe", {
    src: p.url, title: p.title || t("page"), referrerpolicy: "no-referrer", allow: "",
    sandbox: "allow-scripts allow-forms allow-same-origin allow-popups allow-popups-to-escape-sandbox allow-downloads allow-modals", load: done,
  });
  $("page").replaceChildren(f);
  $("pagetitle").replaceChildren(name(p.title || t("page")));
  $("pagehost").textContent = new URL(p.url, location.href).host;
  $("towindow").hidden = $("closepage").hidden = false;
}

// A page that knows the desk reports that it is shown before all of it is loaded.
addEventListener("message", (e) => {
  const f = $("page").querySelector("iframe");
  if (framed && f && e.source === f.contentWindow && e.origin === new URL(framed.url, location.href).origin && e.data?.ringhook === "shown") framed.done?.();
});

function clearFrame() {
  framed = null;
  $("page").replaceChildren(el("div", { class: "empty" }, el("b", {}, t("no_page")), el("span", {}, t("no_page_hint"))));
  $("pagetitle").textContent = t("no_page");
  $("pagehost").textContent = "";
  $("towindow").hidden = $("closepage").hidden = true;
}

/** Shows a page in the window that the agent opened before. @param {string} url */
function navigate(url) {
  if (!handle || handle.closed) return false;
  try {
    handle.location.replace(url);
  } catch { // a page of another origin in a window that has no opener
    handle = null;
  }
  return handle !== null;
}

/** Navigates a new window as soon as its blank page has forgotten the desk. @param {Window} w @param {string} url */
function goWhenBlank(w, url) {
  let left = 100;
  const look = setInterval(() => {
    let ready = false;
    try {
      ready = w.document.readyState === "complete" && w.location.pathname === "/desk/window" && w.opener !== window;
    } catch {
      ready = true; // it is another page already
    }
    if (ready || w.closed || --left === 0) {
      clearInterval(look);
      if (!w.closed) w.location.replace(url);
    }
  }, 50);
}

/**
 * Returns the opener of the window for pages. Browsers let the desk navigate a window that shows a page of another site only
 * if the window has an opener of the desk's origin. That is a frame without scripts: Chromium lets the page in the window
 * navigate neither the frame nor the desk around it. Firefox lets a page of the desk's own site navigate the desk by
 * `opener.top`, so the window gets no opener in browsers other than Chromium.
 */
function openerOfWindow() {
  const f = /** @type {HTMLIFrameElement | null} */ (document.getElementById("opener"));
  return navigator.userAgent.includes("Chrome/") && f?.contentWindow || window;
}

/** Opens the window for pages; only a click may do so. @param {string} [url] */
export function openWindow(url) {
  handle = openerOfWindow().open(new URL("/desk/window", location.href).href, windowName);
  if (handle && url) goWhenBlank(handle, url);
  return handle !== null;
}

/** Opens a page in a tab of its own. Without a click browsers allow it only by a policy. @param {string} url */
function openTab(url) {
  const w = window.open("/desk/window", "_blank");
  if (w) goWhenBlank(w, url);
  return w !== null;
}

export const windowReady = () => handle !== null && !handle.closed;

/** @param {any} p */
function notice(p) {
  p.offered = true;
  if (!("Notification" in window) || Notification.permission !== "granted") return report(p, "blocked");
  const n = new Notification(p.title || t("offer"), { tag: p.pop });
  n.addEventListener("show", () => report(p, "shown"));
  n.addEventListener("error", () => report(p, "blocked"));
  n.addEventListener("click", () => window.focus());
}

/** Opens an offer: the agent clicked. @param {any} p */
function take(p) {
  p.offered = false;
  report(p, "taken");
  if (p.way === "frame" || p.way === "card") frame(p, () => report(p, "shown"));
  else if (p.way === "scheme") location.href = p.url;
  else if (p.way === "tab") {
    if (openTab(p.url)) report(p, "shown");
    else toast(t("blocked"));
  } else if (p.url && !(navigate(p.url) || openWindow(p.url))) toast(t("blocked"));
  else if (p.url) report(p, "shown");
  renderOffers();
}

/** Opens the first offer, for the key. Reports whether there was one. */
export function takeFirst() {
  for (const p of open.values()) {
    if (p.offered && p.url) {
      take(p);
      return true;
    }
  }
  return false;
}

/** @param {string} pop @param {string} fate @param {boolean} clear the rule has the page taken away */
export function closed(pop, fate, clear) {
  open.delete(pop);
  // The page of a call that the agent talked in stays, unless the rule says otherwise.
  if (framed?.pop === pop && (clear || fate === "ended" && stateOf(framed.linkedid) !== "talking")) clearFrame();
  renderOffers();
}

function renderOffers() {
  const list = [...open.values()].filter((p) => p.offered && p.url);
  const box = $("offers");
  box.hidden = list.length === 0;
  fill(box, ...list.map((p) => el("div", { class: "panel offer", "data-pop": p.pop },
    el("span", { class: "grow" }, t("offer"), p.title ? ": " : "", p.title ? name(p.title) : ""),
    el("button", { class: "btn primary small", id: `take-${p.pop}`, click: () => take(p) }, t("open")),
    el("button", { class: "btn small", "aria-label": t("close"), click: () => dismiss(p) }, "×"))));
}

/** @param {any} p */
function dismiss(p) {
  report(p, "by-agent");
  closed(p.pop, "by-agent", true);
}

$("towindow")?.addEventListener("click", () => framed && openWindow(framed.url));
$("closepage")?.addEventListener("click", () => {
  if (framed && open.has(framed.pop)) dismiss(framed);
  clearFrame();
});
