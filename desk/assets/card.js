// The card of the current call: what is known of it, and what can be done with it.
import { $, chip, duration, el, fill, name, num, reason, send, since, t } from "./dom.js";
import * as notes from "./notes.js";
import * as pages from "./pops.js";

/** The call in the slot. @type {any} */
let shown = null;
/** The open panel of the card: transfer or keypad. */
let panel = "";
let live = false;
let pbx = false;
/** @type {() => void} */
let changed = () => {};

const directions = { incoming: "incoming", outgoing: "outgoing", internal: "internal" };
const founds = { found: "known", several: "several", "not-found": "not_found", error: "lookup_error", pending: "lookup_pending" };

/** What is shown of the other party. @param {any} c */
export const who = (c) => (c.name ? name(c.name) : c.number ? num(c.number) : t("withheld"));

/** The state of a call in words. @param {any} c */
export const stateOf = (c) => t(c.live && ["held", "consulting"].includes(c.live.state) ? c.live.state : c.state);

/** @param {any} c */
export const outcomeOf = (c) => (c.outcome === "elsewhere" ? [t("taken_by"), " ", name(c.by)] : [t(c.outcome || "ended")]);

/** @param {string} id @param {string} text */
export function setNote(id, text) {
  notes.set(id, text);
  if (shown?.linkedid === id && document.activeElement !== $("note")) $("note").value = notes.noteOf(id);
}

/** @param {() => void} f */
export const onChange = (f) => (changed = f);

/**
 * Shows a call, or none.
 * @param {any} c @param {boolean} isLive the page is connected @param {boolean} hasPBX commands are possible
 */
export function render(c, isLive, hasPBX) {
  if (c?.linkedid !== shown?.linkedid) {
    keepNote();
    panel = "";
    problem();
    $("note").value = c ? notes.noteOf(c.linkedid) : "";
    $("notestate").textContent = "";
    $("transferto").value = "";
  }
  shown = c;
  live = isLive;
  pbx = hasPBX;
  document.title = c && c.state !== "ended" ? `${c.name || c.number || t("withheld")} · ringhook` : "ringhook";
  if (!c) {
    fill($("callhead"), el("div", { class: "empty" }, el("b", {}, t("no_call")), el("span", {}, t("no_call_hint"))));
    for (const id of ["acts", "transferring", "keypad", "noting"]) $(id).hidden = true;
    return;
  }
  renderHead(c);
  renderActs(c);
  $("noting").hidden = c.state === "ringing" && !notes.noteOf(c.linkedid);
}

/** @param {any} c */
function renderHead(c) {
  const facts = el("dl", { class: "facts" });
  const fact = (label, ...value) => value.some(Boolean) && facts.append(el("dt", {}, t(label)), el("dd", {}, ...value));
  if (c.found) fact("customer", c.info ? name(c.info) : t(founds[c.found] ?? c.found), c.match === "suffix" ? chip("warn", t("weak")) : c.match === "exact" ? chip("good", t("exact")) : null);
  if (c.queue) fact("queue", name(c.queue));
  if (c.waited) fact("waited", num(duration(c.waited)));
  if (c.called) fact("called", num(c.called));
  if (c.region) fact("region", name(c.region), c.region_time ? " " : null, c.region_time ? num(c.region_time) : null);
  if (c.live?.to) fact("transfer_to", num(c.live.to));
  const label = c.state === "ended" ? outcomeOf(c) : [stateOf(c)];
  const kind = c.state === "ended" ? "" : c.live?.state === "held" ? "warn" : c.state === "talking" ? "good" : "info";
  const time = c.state === "ended" ? num(duration(Math.max(0, Math.round((Date.parse(c.since) - Date.parse(c.began)) / 1000)))) : num(since(c.since));
  fill($("callhead"),
    el("div", { class: "who" },
      el("div", {}, chip(kind, t(directions[c.direction] ?? "incoming"), " · ", ...label),
        el("h1", {}, who(c)), c.name && c.number ? num(c.number) : null),
      el("span", { class: "timer", "data-since": c.state === "ended" ? null : c.since }, time)),
    facts.children.length ? facts : null,
    c.no_pop ? chip("warn", t("no_pop"), ": ", t("why_" + c.no_pop)) : null);
}

/** The buttons of a call: what makes sense now, in the order in which it is needed. @param {any} c */
function renderActs(c) {
  const can = c.live?.can ?? [];
  const row = [];
  const act = (id, key, label, does, kind = "") => row.push(el("button", { class: `btn ${kind}`, id, type: "button", disabled: !live, "aria-keyshortcuts": key, click: does }, t(label), key ? el("kbd", { "aria-hidden": "true" }, key) : null));
  if (pbx && c.state !== "ended") {
    if (can.includes("answer")) act("answer", "A", "answer", () => command("answer"), "primary");
    if (can.includes("complete")) act("complete", "T", "complete", () => transferEnd("POST", "/complete"), "primary");
    if (can.includes("cancel")) act("uncall", "H", "back_to_caller", () => transferEnd("DELETE", ""));
    if (can.includes("resume")) act("hold", "H", "resume_call", () => command("resume"), "primary");
    if (can.includes("hold")) act("hold", "H", "hold", () => command("hold"));
    if (can.includes("transfer")) act("transfer", "T", "transfer", () => toggle("transferring"));
    if (can.includes("mute")) act("mute", "M", c.live.muted ? "unmute" : "mute", () => command(c.live.muted ? "unmute" : "mute"), c.live.muted ? "on" : "");
    if (can.includes("dtmf")) act("keys", "K", "keypad", () => toggle("keypad"));
    act("hangup", "E", c.state === "ringing" ? "decline" : "hang_up", () => command("hangup"), "danger");
  }
  if (c.state !== "ended" && c.no_pop && c.no_pop !== "signed-out" && !pages.has(c.linkedid)) act("openpage", "O", "open_page", () => request(() => send("POST", "/v1/me/pop", { linkedid: c.linkedid, force: true })));
  if (c.state === "ended") act("done", "D", "done", () => {
    keepNote();
    changed();
  }, "primary");
  $("acts").hidden = row.length === 0;
  fill($("acts"), ...row);
  if (!can.includes("transfer") && panel === "transferring" || !can.includes("dtmf") && panel === "keypad") panel = "";
  $("transferring").hidden = panel !== "transferring";
  $("keypad").hidden = panel !== "keypad";
}

/** The linkedid of the call in the slot. */
export const current = () => shown?.linkedid ?? "";

/** @param {string} which */
function toggle(which) {
  panel = panel === which ? "" : which;
  renderActs(shown);
  if (panel === "transferring") $("transferto").focus();
  if (panel === "keypad") $("keypad").querySelector("button").focus();
}

/** Shows why a command failed, beside the call, until the next one. @param {...any} what */
function problem(...what) {
  $("problem").hidden = what.length === 0;
  $("problem").replaceChildren(...what);
}

/** @param {() => Promise<any>} what */
async function request(what) {
  problem();
  try {
    return (await what()) ?? true;
  } catch (err) {
    problem(...reason(err));
    return null;
  }
}

/** @param {string} what @param {object} [body] */
const command = (what, body = {}) => request(() => send("POST", `/v1/me/calls/${encodeURIComponent(shown.linkedid)}/${what}`, body));

/** @param {string} method @param {string} end */
const transferEnd = (method, end) => request(() => send(method, `/v1/me/transfers/${encodeURIComponent(shown.live.transfer)}${end}`, method === "POST" ? {} : undefined));

/** Stores the note if it was changed. */
export async function keepNote() {
  const id = shown?.linkedid;
  if (!id) return;
  notes.draft(id, $("note").value);
  if (!notes.isDraft(id)) return;
  const saved = await request(() => notes.store(id));
  if (shown?.linkedid === id) $("notestate").textContent = saved ? t("saved") : "";
}

$("noting").addEventListener("submit", (e) => {
  e.preventDefault();
  keepNote();
});
$("note").addEventListener("blur", keepNote);
$("note").addEventListener("input", () => {
  $("notestate").textContent = "";
  if (shown) notes.draft(shown.linkedid, $("note").value);
});
$("note").addEventListener("keydown", (e) => {
  if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) keepNote();
});

$("transferring").addEventListener("submit", async (e) => {
  e.preventDefault();
  const kind = e.submitter?.value ?? "blind";
  if (await command("transfer", { to: $("transferto").value, kind })) {
    panel = "";
    renderActs(shown);
  }
});
$("notransfer").addEventListener("click", () => {
  panel = "";
  renderActs(shown);
  $("transfer")?.focus();
});

$("keypad").append(...[..."123456789*0#"].map((d) => el("button", { class: "btn", type: "button", "data-digit": d, click: () => command("dtmf", { digits: d }) }, d)));
$("keypad").addEventListener("keydown", (e) => {
  if (e.key === "Escape") toggle("keypad");
  else if (/^[0-9*#]$/.test(e.key)) command("dtmf", { digits: e.key });
  else return;
  e.stopPropagation();
});
for (const id of ["transferring", "noting"]) {
  $(id).addEventListener("keydown", (e) => {
    if (e.key === "Escape" && id === "transferring") $("notransfer").click();
  });
}
