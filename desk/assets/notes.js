// Notes of calls: those that are stored, and what was typed since.
import { send } from "./dom.js";

/** As the server has them, by linkedid. @type {Map<string, string>} */
const stored = new Map();
/** What is not stored yet, by linkedid. @type {Map<string, string>} */
const drafts = new Map();
/** Requests under way, by linkedid. @type {Map<string, { text: string, done: Promise<any> }>} */
const sending = new Map();
/** Calls that the server no longer has, by linkedid. @type {Set<string>} */
const unknown = new Set();
/** @type {() => void} */
let refused = () => {};

/** @param {string} id */
export const noteOf = (id) => drafts.get(id) ?? stored.get(id) ?? "";

/** Reports whether something is not stored. */
export const unsaved = () => drafts.size > 0;

/** Reports whether what was typed for a call is not stored. @param {string} id */
export const isDraft = (id) => drafts.has(id);

/** What was typed for calls that the server no longer has, with their linkedids. */
export const lost = () => [...drafts].filter(([id]) => unknown.has(id));

/** Calls f when the server refuses a note because it no longer has the call. @param {() => void} f */
export const onRefused = (f) => (refused = f);

/** Stores what was refused before, because the server has the call again. @param {string} id */
export function known(id) {
  if (unknown.delete(id)) store(id).catch(() => {}); // it is tried again
}

/** Takes a note as the server has it. @param {string} id @param {string} text */
export const set = (id, text) => stored.set(id, text);

/** Takes the notes of a snapshot, and stores what a lost connection has left. @param {Record<string, string>} list */
export function setAll(list) {
  for (const [id, text] of Object.entries(list)) stored.set(id, text);
  storeAll();
}

/** Takes what stands in the field of a call. @param {string} id @param {string} text */
export function draft(id, text) {
  if (text.trim() === (stored.get(id) ?? "").trim()) drafts.delete(id);
  else drafts.set(id, text);
}

/** Forgets what was typed. @param {string} id */
export const drop = (id) => drafts.delete(id);

/**
 * Stores what was typed. What cannot be stored stays, and is tried again. The request goes on if the page is left.
 * @param {string} id
 */
export async function store(id) {
  const before = sending.get(id);
  if (before && before.text === drafts.get(id)) return before.done;
  if (before) await before.done.catch(() => {});
  const text = drafts.get(id);
  if (text === undefined) return;
  const done = send("PUT", `/v1/me/calls/${encodeURIComponent(id)}/note`, { note: text }, true);
  sending.set(id, { text, done });
  try {
    const answer = await done;
    stored.set(id, answer.note);
    unknown.delete(id);
    if (drafts.get(id) === text) drafts.delete(id);
  } catch (err) {
    if (err.status === 404 && !unknown.has(id)) {
      unknown.add(id);
      refused();
    }
    throw err;
  } finally {
    sending.delete(id);
  }
}

export function storeAll() {
  for (const id of drafts.keys()) store(id).catch(() => {}); // it is tried again
}
