// What stands beside the current call: other calls, queues, dialling, earlier calls.
import { $, attempt, chip, clock, el, fill, name, now, num, reason, send, t, ticking, toast } from "./dom.js";
import { current, outcomeOf, stateOf, who } from "./card.js";
import * as notes from "./notes.js";

let onlyMissed = false;
/** The earlier call whose note is open, by linkedid. */
let open = "";
let last = { recent: [], pbx: false, live: false };

/** @param {any[]} rest @param {(id: string) => void} choose */
export function renderOthers(rest, choose) {
  $("others").hidden = rest.length === 0;
  fill($("otherlist"), ...rest.map((c) => el("li", {},
    el("span", { class: "grow" }, who(c)), chip(c.live?.state === "held" ? "warn" : "info", stateOf(c)), ticking(c.since),
    el("button", { class: "btn tiny", id: `choose-${c.linkedid}`, click: () => choose(c.linkedid) }, t("show")))));
}

/** @param {any[]} recent @param {boolean} pbx @param {boolean} live */
export function renderRecent(recent, pbx, live) {
  last = { recent, pbx, live };
  const missed = recent.filter((c) => c.outcome === "missed").length;
  const button = $("missed");
  button.hidden = missed === 0;
  if (missed === 0) onlyMissed = false;
  button.textContent = `${t("missed")}: ${missed}`;
  button.setAttribute("aria-pressed", String(onlyMissed));
  if (document.activeElement?.closest("#recent textarea")) return; // it is redrawn when the note is done
  const list = onlyMissed ? recent.filter((c) => c.outcome === "missed") : recent;
  const lost = notes.lost().filter(([id]) => id !== current() && !recent.some((c) => c.linkedid === id));
  fill($("recent"), ...lost.map(lostRow), ...(list.length === 0 ? [el("li", { class: "soft" }, t("nothing_earlier"))] : list.map(row)));
}

/** A note that cannot be stored, to be copied. @param {[string, string]} note */
function lostRow([id, text]) {
  const remove = () => {
    notes.drop(id);
    renderRecent(last.recent, last.pbx, last.live);
  };
  return el("li", {},
    chip("warn", t("note")), el("span", { class: "grow" }, t("note_lost")),
    el("button", { class: "btn tiny", id: `drop-${id}`, click: remove }, t("remove")),
    el("p", { class: "noted" }, name(text)));
}

/** @param {any} c */
function row(c) {
  const note = notes.noteOf(c.linkedid);
  return el("li", {},
    el("span", { class: "t num" }, num(clock(c.began))), el("span", { class: "grow" }, who(c)),
    c.no_pop ? chip("warn", t("no_pop"), ": ", t("why_" + c.no_pop)) : null,
    chip(c.outcome === "missed" ? "bad" : "", ...outcomeOf(c)),
    last.pbx && c.number ? el("button", { class: "btn tiny", id: `back-${c.linkedid}`, disabled: !last.live, click: () => dial(c.number) }, t("call")) : null,
    el("button", { class: "btn tiny", id: `note-${c.linkedid}`, "aria-expanded": String(open === c.linkedid), click: () => toggle(c) }, t("note")),
    open === c.linkedid ? editor(c) : note ? el("p", { class: "noted" }, name(note)) : null);
}

/** @param {any} c */
function toggle(c) {
  if (open && notes.isDraft(open)) attempt(() => notes.store(open));
  open = open === c.linkedid ? "" : c.linkedid;
  renderRecent(last.recent, last.pbx, last.live);
  $("recent").querySelector("textarea")?.focus();
}

/** @param {any} c */
function editor(c) {
  const id = c.linkedid;
  const box = el("textarea", { rows: "2", maxlength: "2000", "aria-label": t("note"), input: () => notes.draft(id, box.value) }, notes.noteOf(id));
  const save = async () => {
    await attempt(() => notes.store(id));
    if (notes.isDraft(id)) return;
    open = "";
    box.blur();
    renderRecent(last.recent, last.pbx, last.live);
  };
  box.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) save();
    if (e.key !== "Escape") return;
    notes.drop(id);
    box.blur();
    toggle(c);
  });
  return el("div", { class: "sub wide" }, box, el("button", { class: "btn small", click: save }, t("save")));
}

/** Calls a number: first the agent's phone, then the number. @param {string} number */
export async function dial(number) {
  try {
    await send("POST", "/v1/me/calls", { number, request_id: `${number} ${Math.floor(now() / 5000)}` });
    $("number").value = "";
    $("polite").textContent = t("phone_rings");
  } catch (err) {
    toast(...reason(err));
  }
}

/** @param {any[]} list */
export function setPeople(list) {
  $("people").replaceChildren(...list.map((p) => el("option", { value: p.number }, p.name)));
}

/** @param {any} state @param {boolean} pbx @param {boolean} live */
export function renderQueues(state, pbx, live) {
  const queues = state.queues ?? [];
  const inside = queues.filter((q) => q.logged_in);
  const paused = inside.length > 0 && inside.every((q) => q.paused);
  const box = $("state");
  box.hidden = !pbx;
  box.className = `chip ${!state.connected ? "bad" : paused ? "warn" : inside.length ? "good" : ""}`;
  const first = inside.find((q) => q.paused);
  fill(box, el("span", { class: "dot" }), ...(!state.connected ? [t("pbx_away")] : paused
    ? [t("paused"), first.reason ? ": " : "", reasonText(first.reason), first.since ? ticking(first.since) : null, first.until ? ` ${t("until")} ${clock(first.until)}` : ""]
    : [inside.length ? t("ready") : t("logged_out")]));
  $("pausing").hidden = !pbx || inside.length === 0;
  $("reason").hidden = paused;
  $("pause").textContent = t(paused ? "resume" : "pause");
  $("pause").disabled = !live;
  $("pause").onclick = async (e) => {
    e.preventDefault();
    await queueCommand(paused ? ["DELETE", "/v1/me/pause"] : ["PUT", "/v1/me/pause", { reason: $("reason").value }]);
  };
  $("dialling").hidden = !pbx;
  $("queuebox").hidden = !pbx;
  fill($("queues"), ...(queues.length === 0 ? [el("li", { class: "soft" }, t("no_queues"))] : queues.map((q) => el("li", {},
    el("span", { class: "grow" }, name(q.name), q.paused ? chip("warn", t("paused")) : null),
    q.waiting ? el("span", { class: "soft" }, t("waiting"), " ", num(String(q.waiting))) : null, q.longest ? ticking(q.longest, "soft") : null,
    q.static ? el("span", { class: "soft" }, t("static")) : el("button", {
      class: "btn small", id: `queue-${q.queue}`, disabled: !live, "aria-pressed": String(q.logged_in),
      click: () => queueCommand(["POST", q.logged_in ? "/v1/me/logout" : "/v1/me/login", { queues: [q.queue] }]),
    }, t(q.logged_in ? "log_out" : "log_in"))))));
}

/** The texts of the reasons for pauses in the page's language. @type {Map<string, string>} */
const reasonTexts = new Map();
/** @param {string} key */
const reasonText = (key) => (key ? name(reasonTexts.get(key) ?? key) : "");

/** @param {any[]} list */
export function setReasons(list) {
  const lang = document.documentElement.lang;
  for (const r of list) reasonTexts.set(r.name, r.text?.[lang] ?? r.text?.en ?? r.name);
  const chosen = $("reason").value;
  $("reason").replaceChildren(el("option", { value: "" }, t("no_reason")), ...list.map((r) => el("option", { value: r.name }, reasonTexts.get(r.name))));
  $("reason").value = chosen;
}

/** @param {any[]} request */
async function queueCommand(request) {
  const answer = await attempt(() => send(request[0], request[1], request[2]));
  const bad = answer?.results?.find((r) => r.result !== "ok");
  if (bad) toast(...reason({ status: 207, answer: { results: [bad] }, message: bad.error }));
}

$("dialling").addEventListener("submit", (e) => {
  e.preventDefault();
  dial($("number").value);
});
$("missed").addEventListener("click", () => {
  onlyMissed = !onlyMissed;
  renderRecent(last.recent, last.pbx, last.live);
});
