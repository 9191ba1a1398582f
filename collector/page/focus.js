/**
 * The focus: where what had it goes away, it goes to what stands there now.
 *
 * A browser would give it to the page, and who uses keys would begin anew at its start.
 */

const GROUPS = "li, .panel, dialog, .facets, .card"; // in which the next one takes it
const ABLE = ":is(a[href], button, input, select, summary, [tabindex='0']):not(:disabled)";

let had = null; // what had the focus last, with all that it stood in, and as which of each group

export function listen() {
  document.addEventListener("focusin", ({ target }) => { had = { target, path: pathOf(target) }; });
  document.addEventListener("focusout", () => setTimeout(() => {
    if (document.activeElement === document.body) had = null; // it was given up
  }));
  new MutationObserver(mend).observe(document.body, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["disabled"] });
}

function mend(changes) {
  const active = document.activeElement;
  if (!had || (active !== document.body && !active.disabled)) return;
  const gone = changes.some(({ removedNodes }) => [...removedNodes].some((node) => node.contains(had.target)));
  if (gone || had.target.disabled) heir()?.focus({ preventScroll: true });
}

/** What is to have the focus: what had it, if it was only moved, or what is nearest to its place. */
function heir() {
  if (had.target.isConnected && !had.target.disabled) return had.target;
  for (const { element, place } of had.path) {
    if (!element.isConnected) continue;
    const able = place === null ? [] : element.querySelectorAll(ABLE);
    if (able.length) return able[Math.min(place, able.length - 1)];
    if (element.tabIndex >= 0) return element;
    if (element.matches("main")) return once(element);
  }
  return null;
}

function pathOf(target) {
  const path = [];
  for (let element = target.parentElement; element; element = element.parentElement) {
    const group = element.matches(GROUPS);
    path.push({ element, place: group ? [...element.querySelectorAll(ABLE)].indexOf(target) : null });
  }
  return path;
}

/** What can have the focus only now: a click into it doesn't give it that. */
function once(element) {
  element.tabIndex = -1;
  element.addEventListener("blur", () => element.removeAttribute("tabindex"), { once: true });
  return element;
}
