// The live page: what the stream says, and commands on agents, calls and callers.
import { $, el, name, num, send, since, t, toast } from "./dom.js";
import { all, connect, entries, isLive, tick } from "./stream.js";
import { counting, fill, say, sync } from "./rows.js";
import { agents, count, dotted, labelLevel, levelText, percent, queues, seconds, stateClass, who, whoText } from "./shared.js";
import { spark } from "./plot.js";

const cells = (n, right = []) => Array.from({ length: n }, (_, i) => el("td", { class: right.includes(i) ? "n" : "" }));
const row = (n, right) => () => el("tr", {}, ...cells(n, right));
const body = (id) => $(id).tBodies[0];

function renderTiles() {
  const waits = all("wait");
  const longest = waits.reduce((first, w) => (!first || w.since < first ? w.since : first), "");
  const total = entries.get("total") ?? {};
  fill($("t-waiting"), String(waits.length), () => [count(waits.length)]);
  fill($("t-longest"), longest, () => [longest ? counting(longest) : num("–")]);
  const list = agents().filter((a) => a.queues.some((q) => q.logged_in));
  const free = list.filter((a) => a.state === "free").length;
  fill($("t-free"), `${free}/${list.length}`, () => [num(entries.get("day")?.pbx ? `${free} / ${list.length}` : "–")]);
  fill($("t-answered"), String(total.answered), () => [count(total.answered)]);
  fill($("t-lost"), String(total.lost), () => [percent(total.lost)]);
  fill($("t-level"), String(total.level), () => [percent(total.level)]);
  say($("t-level-label"), levelText());
  $("t-waiting").parentElement.classList.toggle("hot", waits.length > 0 && free === 0);
}

function renderQueues() {
  sync(body("queues"), queues(), row(8, [1, 2, 3, 4, 5, 6]), (tr, q) => {
    const f = entries.get("figures/" + q.queue) ?? {};
    const c = tr.cells;
    fill(c[0], q.name + q.server, () => [name(q.name), q.server && all("server").length > 1 ? el("span", { class: "soft" }, " ", name(q.server)) : ""]);
    fill(c[1], String(q.waiting), () => [el("b", { class: q.waiting ? "hot" : "" }, count(q.waiting))]);
    fill(c[2], q.longest ?? "", () => [counting(q.longest)]);
    fill(c[3], `${q.free}/${q.members}/${q.known}`, () => [num(q.known ? `${q.free} / ${q.members}` : "–")]);
    fill(c[4], String(f.answered), () => [count(f.answered)]);
    fill(c[5], String(f.abandoned), () => [count(f.abandoned)]);
    fill(c[6], String(f.level), () => [percent(f.level)]);
    fill(c[7], JSON.stringify(f.plot ?? []), () => [spark(f.plot ?? [])]);
  });
}

function renderWaits() {
  const waits = all("wait").sort((a, b) => a.name.localeCompare(b.name) || a.position - b.position);
  $("nowaits").hidden = waits.length > 0;
  sync(body("waits"), waits, row(3, [1]), (tr, w) => {
    const c = tr.cells;
    fill(c[0], [w.person, w.caller, w.name, w.position, w.priority].join("\n"), () => [
      el("div", {}, el("a", { href: "/desk/calls/" + encodeURIComponent(w.call) }, ...who(w)), w.person && w.caller ? el("span", { class: "soft" }, " ", num(w.caller)) : ""),
      el("div", { class: "soft small" }, name(w.name), " · ", num(`${w.position}.`), w.priority ? el("span", { class: "chip info tiny" }, t("priority"), " ", num(w.priority)) : "")]);
    fill(c[1], w.since, () => [counting(w.since)]);
    fill(c[2], String(w.steer), () => (w.steer ? [el("div", { class: "row end" },
      el("button", { class: "btn small", click: () => move(current("wait", tr) ?? w) }, t("move")),
      el("button", { class: "btn small danger", click: () => kick(current("wait", tr) ?? w) }, t("kick")))] : []));
  });
}

/** The entry of a row, as it is now. @param {string} _kind @param {HTMLElement} tr */
const current = (_kind, tr) => entries.get(tr.dataset.key ?? "");

function renderAgents() {
  const only = $("only").value;
  const list = agents().filter((a) => !only || a.queues.some((q) => q.logged_in));
  sync(body("agents"), list, row(9, [2, 4, 5, 6]), (tr, a) => {
    const f = entries.get("work/" + a.phone) ?? {};
    const c = tr.cells;
    const call = a.calls.find((x) => x.state === "talking") ?? a.calls[0];
    fill(c[0], a.name + a.phone, () => [name(a.name), el("span", { class: "soft" }, " ", num(a.phone))]);
    fill(c[1], [a.state, a.reason, a.overdue, call?.call, call && whoText(call)].join("\n"), () => stateOf(a, call));
    fill(c[2], a.since ?? "", () => [counting(a.since)]);
    const inside = a.queues.filter((q) => q.logged_in).map((q) => q.name);
    fill(c[3], inside.join("\n"), () => inside.flatMap((q, i) => [i ? ", " : "", name(q)]));
    fill(c[4], String(f.answered), () => [count(f.answered)]);
    fill(c[5], String(f.talk), () => [seconds(f.talk)]);
    fill(c[6], String(f.occupancy), () => [percent(f.occupancy)]);
    // Without an open desk a page cannot pop; that matters to those who get calls.
    const missing = !a.desks && inside.length > 0 && entries.get("day")?.pops;
    fill(c[7], `${a.desks > 0} ${missing}`, () => [a.desks ? el("span", { class: "soft" }, t("desk_open")) : missing ? el("span", { class: "chip bad tiny" }, t("no_desk")) : num("–")]);
    fill(c[8], a.name, () => [el("button", { class: "btn small", "aria-label": `${t("actions")}: ${a.name}`, click: () => openCard(a.key) }, "…")]);
  });
}

/** @param {any} a @param {any} call */
function stateOf(a, call) {
  const parts = [t("state_" + a.state)];
  if (a.state === "paused" && a.reason) parts.push(": ", name(reasonText(a.reason)));
  if (call && (call.call || call.caller) && ["talking", "ringing", "held"].includes(a.state)) parts.push(": ", ...who(call));
  const chips = [dotted(stateClass[a.state] ?? "", ...parts)];
  if (a.overdue) chips.push(el("span", { class: "chip bad tiny" }, t("overdue")));
  if (a.state !== "paused" && a.queues.some((q) => q.paused)) chips.push(el("span", { class: "chip warn tiny" }, t("paused")));
  return chips;
}

/** @param {string} reason */
const reasonText = (reason) => [...$("card-reason").options].find((o) => o.value === reason)?.textContent ?? reason;

function renderCalls() {
  const calls = all("call").sort((a, b) => a.since.localeCompare(b.since));
  $("nocalls").hidden = calls.length > 0;
  $("calls").hidden = calls.length === 0;
  sync(body("calls"), calls, row(6, [2]), (tr, c) => {
    const d = tr.cells;
    fill(d[0], [c.person, c.caller].join("\n"), () => [el("a", { href: "/desk/calls/" + encodeURIComponent(c.call) }, ...who(c)), c.person && c.caller ? el("span", { class: "soft" }, " ", num(c.caller)) : ""]);
    fill(d[1], c.state, () => [dotted(c.state === "talking" ? "good" : "info", t("call_" + c.state))]);
    fill(d[2], c.since, () => [counting(c.since)]);
    fill(d[3], c.queue ?? "", () => [c.queue ? name(c.queue) : num("–")]);
    fill(d[4], c.name ?? "", () => [c.name ? name(c.name) : num("–")]);
    fill(d[5], String(c.steer) + c.agent, () => (c.steer ? [el("div", { class: "row end" },
      el("button", { class: "btn small", click: () => transfer(current("call", tr) ?? c) }, t("transfer")),
      el("button", { class: "btn small danger", click: () => hangUp(current("call", tr) ?? c) }, t("hang_up")))] : []));
  });
}

/** Cancels the question that is open. */
let cancelled = () => {};

/** Asks before something that hurts, or for a value. @returns {Promise<string | null>} the value; null if it was cancelled */
function ask({ title, text = "", yes, danger = false, label = "", option = "" }) {
  const dialog = $("confirm");
  cancelled(); // its dialog is closed, and the event of that may come after the next answer
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  $("confirm-field").hidden = !label;
  $("confirm-label").textContent = label;
  $("confirm-choice").hidden = !option;
  $("confirm-option-label").textContent = option;
  $("confirm-option").checked = false;
  const value = $("confirm-value");
  value.value = "";
  value.required = Boolean(label);
  $("confirm-yes").textContent = yes;
  $("confirm-yes").className = `btn ${danger ? "danger solid" : "primary"}`;
  dialog.returnValue = "";
  dialog.showModal();
  (label ? value : dialog.querySelector("button[value=no]")).focus();
  return new Promise((resolve) => {
    const closed = () => {
      if (dialog.open) return; // the event of the dialog before comes late
      dialog.removeEventListener("close", closed);
      resolve(dialog.returnValue === "yes" ? value.value.trim() : null);
    };
    dialog.addEventListener("close", closed);
    cancelled = () => {
      dialog.removeEventListener("close", closed);
      resolve(null);
    };
  });
}

/** Sends a command, and says how it went. @param {string} done @param {[string, string, object?]} request */
async function command(done, [method, path, data]) {
  if (!isLive()) return toast(t("not_live_now"));
  try {
    const answer = await send(method, path, data ?? {});
    const bad = answer?.results?.find((r) => r.result !== "ok");
    if (bad) toast(`${t("failed")}: ${bad.error}`);
    else $("polite").textContent = done;
    return !bad;
  } catch (err) {
    toast(`${t("failed")}: ${err.message}`);
  }
}

const at = (entry) => (entry.server ? `?server=${encodeURIComponent(entry.server)}` : "");

/** @param {any} w */
async function kick(w) {
  if ((await ask({ title: t("kick_title"), text: t("kick_text").replace("%", whoText(w)), yes: t("kick"), danger: true })) === null) return;
  await command(t("kicked"), ["POST", `/v1/queues/${encodeURIComponent(w.queue)}/kick${at(w)}`, { calls: [w.uniqueid] }]);
}

/** @param {any} w */
async function move(w) {
  const to = await ask({ title: t("move_title"), text: whoText(w), yes: t("move"), label: t("extension") });
  if (to) await command(t("moved"), ["POST", `/v1/queues/${encodeURIComponent(w.queue)}/kick${at(w)}`, { calls: [w.uniqueid], to }]);
}

const callPath = (agent, call, what) => `/v1/agents/${encodeURIComponent(agent)}/calls/${encodeURIComponent(call)}/${what}`;

/** @param {any} c */
async function hangUp(c) {
  if ((await ask({ title: t("hangup_title"), text: t("hangup_text").replace("%", whoText(c)), yes: t("hang_up"), danger: true })) === null) return;
  await command(t("hung_up"), ["POST", callPath(c.agent, c.call, "hangup")]);
}

/** @param {any} c */
async function transfer(c) {
  const to = await ask({ title: t("transfer_title"), text: whoText(c), yes: t("transfer"), label: t("extension"), option: t("transfer_attended") });
  const kind = $("confirm-option").checked ? "attended" : "blind";
  if (to) await command(t(kind === "attended" ? "transfer_begun" : "transferred"), ["POST", callPath(c.agent, c.call, "transfer"), { to, kind }]);
}

/** Ends an attended transfer. @param {any} c @param {string} method @param {string} end @param {string} done */
const endTransfer = (c, method, end, done) => command(t(done), [method, `/v1/agents/${encodeURIComponent(c.agent)}/transfers/${encodeURIComponent(c.transfer)}${end}`]);

let shown = ""; // key of the agent whose card is open

/** @param {string} key */
function openCard(key) {
  shown = key;
  $("card-body").dataset.state = "";
  renderCard();
  $("card").showModal();
}

function renderCard() {
  const a = shown && entries.get(shown);
  if (!a) return $("card").close();
  say($("card-title"), `${a.name} · ${a.phone}`);
  const state = JSON.stringify([a.state, a.since, a.reason, a.queues, a.calls, a.desks]);
  if ($("card-body").dataset.state === state) return;
  const focused = document.activeElement?.getAttribute("data-do");
  fill($("card-body"), state, () => cardOf(a));
  const path = `/v1/agents/${encodeURIComponent(a.agent)}`;
  const inside = a.queues.filter((q) => q.logged_in);
  const paused = inside.length > 0 && inside.every((q) => q.paused);
  $("card-pause").hidden = !a.steer;
  $("card-reason").disabled = inside.length === 0;
  $("card-acts").replaceChildren(
    el("button", { class: "btn", "data-do": "pause", disabled: inside.length === 0, click: (e) => {
      e.preventDefault();
      command(t(paused ? "resumed" : "paused"), paused ? ["DELETE", path + "/pause"] : ["PUT", path + "/pause", { reason: $("card-reason").value }]);
    } }, t(paused ? "resume" : "pause")),
    el("button", { class: "btn", "data-do": "login", disabled: a.queues.every((q) => q.logged_in), click: (e) => {
      e.preventDefault();
      command(t("logged_in_done"), ["POST", path + "/login", { queues: a.queues.filter((q) => !q.logged_in).map((q) => q.queue) }]);
    } }, t("log_in")),
    el("button", { class: "btn danger", "data-do": "logout", disabled: !inside.some((q) => !q.static), click: async (e) => {
      e.preventDefault();
      if ((await ask({ title: t("logout_title"), text: t("logout_text").replace("%", a.name), yes: t("log_out"), danger: true })) === null) return;
      command(t("logged_out_done"), ["POST", path + "/logout", { queues: a.queues.filter((q) => q.logged_in && !q.static).map((q) => q.queue) }]);
    } }, t("log_out")),
    el("a", { class: "btn", href: `/desk/pops?agent=${encodeURIComponent(a.agent)}` }, t("why_no_pop")));
  if (focused) $("card").querySelector(`[data-do="${focused}"]`)?.focus();
}

/** The buttons for the transfer of a call: those that end one that has begun, else the one that begins it. @param {any} c */
function transferActs(c) {
  if (!c.transfer) return [el("button", { class: "btn small", "data-do": "transfer " + c.call, click: () => transfer(c) }, t("transfer"))];
  return [
    el("span", { class: "soft" }, t("transfer_to"), " ", num(c.to)),
    el("button", { class: "btn small primary", "data-do": "complete " + c.call, click: () => endTransfer(c, "POST", "/complete", "transferred") }, t("command_complete")),
    el("button", { class: "btn small", "data-do": "cancel " + c.call, click: () => endTransfer(c, "DELETE", "", "transfer_cancelled") }, t("back_to_caller")),
  ];
}

/** @param {any} a */
function cardOf(a) {
  const calls = a.calls.map((c) => el("li", {}, dotted(c.state === "talking" ? "good" : "info", t("call_" + (c.state || "up"))), el("span", { class: "grow" }, ...(c.call ? who(c) : [t("other_call")])), counting(c.since),
    ...(c.call && a.steer ? transferActs({ ...c, agent: a.agent }) : []),
    c.call && a.steer ? el("button", { class: "btn small danger", "data-do": "hangup " + c.call, click: () => hangUp({ ...c, agent: a.agent }) }, t("hang_up")) : ""));
  const path = `/v1/agents/${encodeURIComponent(a.agent)}`;
  const places = a.queues.map((q) => el("li", {}, el("span", { class: "grow" }, name(q.name)),
    q.logged_in ? (q.paused ? el("span", { class: "chip warn tiny" }, t("paused"), q.reason ? ": " : "", name(q.reason ? reasonText(q.reason) : "")) : el("span", { class: "chip good tiny" }, t("in_queue"))) : el("span", { class: "chip tiny" }, t("state_logged_out")),
    q.static ? el("span", { class: "soft" }, t("static")) : a.steer ? el("button", { class: "btn small", "data-do": "queue " + q.queue, click: () => command(t(q.logged_in ? "logged_out_done" : "logged_in_done"), ["POST", path + (q.logged_in ? "/logout" : "/login"), { queues: [q.queue] }]) }, t(q.logged_in ? "log_out" : "log_in")) : ""));
  return [el("div", { class: "row wrap" }, ...stateOf(a, null), a.since ? counting(a.since) : "", a.desks ? "" : el("span", { class: "chip bad tiny" }, t("no_desk"))),
    calls.length ? el("ul", { class: "list" }, ...calls) : "", el("ul", { class: "list" }, ...places)].filter(Boolean);
}

let waiting = 0;

/** Reports to a screen reader when callers begin to wait. */
function announce() {
  const now = all("wait").length;
  if (now > 0 && waiting === 0) $("polite").textContent = `${t("waiting_now")}: ${now}`;
  waiting = now;
}

function render() {
  $("nopbx").hidden = entries.get("day")?.pbx !== false;
  labelLevel();
  renderTiles();
  renderQueues();
  renderWaits();
  renderAgents();
  renderCalls();
  if ($("card").open) renderCard();
  announce();
}

$("only").value = sessionStorage.getItem("ringhook-only") ?? "";
$("only").addEventListener("change", () => {
  sessionStorage.setItem("ringhook-only", $("only").value);
  renderAgents();
});
$("card-close").addEventListener("click", () => $("card").close());
$("card-pause").addEventListener("submit", (e) => e.preventDefault());
$("card").addEventListener("close", () => (shown = ""));
tick(since);
connect(render);
