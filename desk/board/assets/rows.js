// Tables that change in place, so that the focus, a selection and a scroll position stay.
import { num, since } from "./dom.js";

/**
 * Shows items as rows: one row for each key, in the order of the items.
 * @param {HTMLElement} body
 * @param {any[]} items with a key
 * @param {(item: any) => HTMLElement} make makes an empty row
 * @param {(row: HTMLElement, item: any) => void} fill fills a row
 */
export function sync(body, items, make, fill) {
  const have = new Map([...body.children].map((row) => [/** @type {HTMLElement} */ (row).dataset.key, row]));
  let before = body.firstElementChild;
  for (const item of items) {
    let row = /** @type {HTMLElement} */ (have.get(item.key));
    if (row) have.delete(item.key);
    else {
      row = make(item);
      row.dataset.key = item.key;
    }
    fill(row, item);
    if (row === before) before = before.nextElementSibling;
    else body.insertBefore(row, before);
  }
  for (const row of have.values()) row.remove();
}

/**
 * Fills a cell if its content changed. What is compared is the text that says what it shows.
 * @param {HTMLElement} cell @param {string} state @param {() => (Node|string)[]} content
 */
export function fill(cell, state, content) {
  if (cell.dataset.state === state) return;
  cell.dataset.state = state;
  cell.replaceChildren(...content());
}

/** A time that counts on. @param {string | undefined} from */
export function counting(from) {
  if (!from) return num("–");
  const e = num(since(from));
  e.dataset.since = from;
  return e;
}

/** Sets the text of an element if it changed. @param {HTMLElement} e @param {string} text */
export function say(e, text) {
  if (e.textContent !== text) e.textContent = text;
}
