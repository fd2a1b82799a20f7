// Settings of the agent, and what this browser can do. They lie over the page of the call, never over its controls.
import { $, attempt, chip, clock, el, fill, name, num, send, t } from "./dom.js";
import * as pages from "./pops.js";
import { applyTheme } from "./theme.js";

/** @type {any} */
let own = { settings: {}, may: [], moments: [], ways: [], schemes: [], rules: [] };
let isLive = false;

/** The value of a setting, "" if it is not set. @param {string} name */
export const setting = (name) => own.settings[name] ?? "";

/** @param {any} view */
export function setOwn(view) {
  own = { ...own, ...view };
  if (setting("theme") !== (localStorage.getItem("ringhook-theme") ?? "") && setting("theme")) {
    localStorage.setItem("ringhook-theme", setting("theme"));
    applyTheme();
  }
  render();
}

/** @param {Record<string, string>} changes */
const change = (changes) => attempt(async () => setOwn(await send("PATCH", "/v1/me/settings", changes)));

export const keys = [["A", "answer"], ["E", "hang_up"], ["H", "hold"], ["T", "transfer"], ["M", "mute"], ["K", "keypad"], ["O", "open_page"], ["N", "note"], ["C", "call_number"], ["D", "done"], ["S", "settings"], ["Esc", "close"]];

function render() {
  $("theme").value = localStorage.getItem("ringhook-theme") ?? "";
  $("sound").value = setting("sound") || "0";
  $("keysoff").checked = setting("keys") !== "off";
  fill($("keylist"), ...keys.flatMap(([key, label]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, t(label))]));
  renderOff();
  renderChoices();
  const rules = own.rules ?? [];
  $("rulebox").hidden = rules.length === 0;
  fill($("rules"), ...rules.map((r) => el("li", {}, el("span", { class: "grow", dir: "ltr" }, r), el("a", { href: `/desk/show_vars/${encodeURIComponent(r)}`, target: "_blank", rel: "noopener" }, t("vars_link")))),
    ...(own.schemes ?? []).map((s) => el("li", {}, el("span", { class: "grow" }, el("bdi", { dir: "ltr" }, `${s}:`), " ", el("span", { class: "soft" }, t("scheme_hint"))), el("a", { href: `/desk/scheme?scheme=${encodeURIComponent(s)}`, download: "" }, t("scheme_file")))));
}

/** Pops are off until a time. */
function renderOff() {
  const until = Date.parse(setting("off"));
  const off = until > Date.now();
  fill($("offfor"), el("option", { value: "" }, t("pops_on")), ...(off ? [el("option", { value: "keep" }, `${t("until")} ${clock(until)}`)] : []),
    ...[15, 60, 240].map((m) => el("option", { value: String(m) }, `${m < 60 ? m : m / 60} ${t(m < 60 ? "minutes" : "hours")}`)), el("option", { value: "day" }, t("today")));
  $("offfor").value = off ? "keep" : "";
  $("popsoff").hidden = !off;
  if (off) fill($("popsoff"), `${t("pops_off_until")} ${clock(until)}`, el("button", { class: "link", id: "popson", click: () => change({ off: "" }) }, t("turn_on")));
}

/** What rules let the agent choose. */
function renderChoices() {
  const select = (name_, label, options) => el("div", { class: "field" }, el("label", { for: `set-${name_}` }, t(label)),
    el("select", { id: `set-${name_}`, change: (e) => change({ [name_]: e.target.value }) }, ...["", ...options.map((o) => o[0])].map((value, i) => el("option", { value, selected: setting(name_) === value }, i === 0 ? t("as_configured") : options[i - 1][1]))));
  const box = (name_, label) => el("div", { class: "field" }, el("label", { for: `set-${name_}` }, t(label)), el("input", { type: "checkbox", id: `set-${name_}`, checked: setting(name_) === "true", change: (e) => change({ [name_]: e.target.checked ? "true" : "" }) }));
  const may = (name_) => (own.may ?? []).includes(name_);
  fill($("choices"),
    may("moment") && select("moment", "set_moment", own.moments.map((m) => [m, t(`moment_${m}`) === `moment_${m}` ? m : t(`moment_${m}`)])),
    may("open") && select("open", "set_open", own.ways.map((w) => [w, t(`way_${w}`)])),
    may("mode") && select("mode", "set_mode", [["force", t("mode_force")], ["offer", t("mode_offer")]]),
    may("busy") && box("busy", "set_busy"),
    may("not-found") && box("not-found", "set_not_found"),
    may("min_length") && el("div", { class: "field" }, el("label", { for: "set-min_length" }, t("set_min_length")), el("input", { id: "set-min_length", type: "number", min: "0", max: "15", value: setting("min_length"), change: (e) => change({ min_length: e.target.value === "0" ? "" : e.target.value }) })));
}

/** @param {boolean} live */
export function renderReady(live) {
  isLive = live;
  const row = (label, good, value, action) => el("li", {}, el("span", { class: "grow" }, t(label)), chip(good ? "good" : "warn", value), action);
  const notice = "Notification" in window ? Notification.permission : "denied";
  const tel = window.isSecureContext && "registerProtocolHandler" in navigator;
  const rows = [
    row("ready_live", live, t(live ? "yes" : "no")),
    row("ready_secure", window.isSecureContext, t(window.isSecureContext ? "yes" : "needs_https")),
    row("ready_window", pages.windowReady(), t(pages.windowReady() ? "yes" : "no"), pages.windowReady() ? null : el("button", { class: "btn small", id: "openwindow", click: () => {
      if (!pages.openWindow()) attempt(() => Promise.reject(Object.assign(new Error(), { code: "blocked", status: 1 })));
      renderReady(isLive);
    } }, t("ready_window_open"))),
    row("ready_notice", notice === "granted", t(notice === "granted" ? "yes" : notice === "denied" ? "blocked" : "no"), notice === "default" ? el("button", { class: "btn small", id: "asknotice", click: async () => {
      if ((await Notification.requestPermission()) === "granted") new Notification(t("test_notice"));
      renderReady(isLive);
    } }, t("ready_notice_ask")) : null),
    tel ? row("ready_tel", localStorage.getItem("ringhook-tel") === "1", t(localStorage.getItem("ringhook-tel") === "1" ? "asked" : "no"), el("button", { class: "btn small", id: "asktel", click: () => {
      navigator.registerProtocolHandler("tel", `${location.origin}/desk/call?n=%s`);
      localStorage.setItem("ringhook-tel", "1");
      renderReady(isLive);
    } }, t("ready_tel_ask"))) : null,
  ];
  fill($("ready"), ...rows);
}

async function renderSessions() {
  const answer = await attempt(() => send("GET", "/v1/me/sessions"));
  const list = (answer?.sessions ?? []).filter((s) => Date.parse(s.ends) > Date.now());
  fill($("sessions"), ...list.map((s) => el("li", {}, el("span", { class: "grow" }, name(browser(s.browser)), " ", num(s.address)), el("span", { class: "soft num" }, num(clock(s.used))),
    s.current ? chip("good", t("this_one")) : el("button", { class: "btn tiny", id: `end-${s.id}`, click: () => attempt(async () => {
      await send("DELETE", `/v1/me/sessions/${s.id}`);
      renderSessions();
    }) }, t("sign_out_there")))));
}

/** A short name of a browser. @param {string} agent */
const browser = (agent) => /(Edg|Firefox|Chrome|Safari)[A-Za-z]*\/[\d]+/.exec(agent ?? "")?.[0].replace("/", " ") ?? agent ?? "";

async function renderExceptions() {
  const answer = await attempt(() => send("GET", "/v1/me/exceptions"));
  const list = answer?.exceptions ?? [];
  fill($("exceptions"), ...(list.length === 0 ? [el("li", { class: "soft" }, t("no_exceptions"))] : list.map((e) => el("li", {},
    num(e.number), el("span", { class: "grow" }, e.note ? name(e.note) : ""), e.agent ? el("button", { class: "btn tiny", "aria-label": `${t("remove")} ${e.number}`, click: () => attempt(async () => {
      await send("DELETE", `/v1/me/exceptions/${encodeURIComponent(e.number)}`);
      renderExceptions();
    }) }, t("remove")) : chip("", t("for_all"))))), answer?.more ? el("li", { class: "soft" }, `… ${answer.more}`) : null);
}

export function toggle(show = $("settings").hidden) {
  const box = $("settings");
  if (box.hidden === !show) return;
  box.hidden = !show;
  $("opensettings").setAttribute("aria-expanded", String(show));
  if (show) {
    render();
    renderReady(isLive);
    renderExceptions();
    renderSessions();
    box.focus();
  } else {
    $("opensettings").focus();
  }
}

$("opensettings").addEventListener("click", () => toggle());
$("closesettings").addEventListener("click", () => toggle(false));
$("settings").addEventListener("keydown", (e) => e.key === "Escape" && toggle(false));
$("theme").addEventListener("change", () => {
  const value = $("theme").value;
  if (value) localStorage.setItem("ringhook-theme", value);
  else localStorage.removeItem("ringhook-theme");
  applyTheme();
  change({ theme: value });
});
$("sound").addEventListener("change", () => {
  change({ sound: $("sound").value });
  beep(Number($("sound").value));
});
$("soundoff").addEventListener("click", () => change({ sound: "" }));
$("keysoff").addEventListener("change", () => change({ keys: $("keysoff").checked ? "" : "off" }));
$("offfor").addEventListener("change", () => {
  const value = $("offfor").value;
  if (value === "keep") return;
  const until = value === "day" ? new Date().setHours(23, 59, 59, 0) : Date.now() + Number(value) * 60000;
  change({ off: value ? new Date(until).toISOString().replace(/\.\d+Z/, "Z") : "" });
});
$("excepting").addEventListener("submit", (e) => {
  e.preventDefault();
  attempt(async () => {
    await send("PUT", `/v1/me/exceptions/${encodeURIComponent($("except").value.trim())}`, { note: $("exceptnote").value });
    $("excepting").reset();
    renderExceptions();
  });
});
for (const b of document.querySelectorAll("#settings .languages button")) b.addEventListener("click", () => send("PATCH", "/v1/me/settings", { language: /** @type {any} */ (b).value }).catch(() => {}));

/** @type {AudioContext | null} */
let audio = null;

/** Plays two short tones. @param {number} volume 0 to 100 */
export function beep(volume) {
  if (!volume || !("AudioContext" in window)) return;
  audio ??= new AudioContext();
  for (const [at, pitch] of [[0, 660], [0.2, 880]]) {
    const tone = audio.createOscillator();
    const gain = audio.createGain();
    gain.gain.value = volume / 400;
    tone.frequency.value = pitch;
    tone.connect(gain).connect(audio.destination);
    tone.start(audio.currentTime + at);
    tone.stop(audio.currentTime + at + 0.15);
  }
}
