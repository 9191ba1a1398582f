/**
 * The address: all that is seen is in its parameters, so that it can be sent to somebody.
 *
 * `view` names the view (see views.js), all others belong to it.
 */

import { useEffect, useState } from "preact/hooks";

export const FIRST_VIEW = "explorer";

const listeners = new Set();

/** The address by now: the view's name, and its parameters as an object of texts. */
export function address() {
  const { view = FIRST_VIEW, ...params } = Object.fromEntries(new URLSearchParams(location.search));
  return { view, params };
}

/** The address, in a component that is drawn anew whenever it changes. */
export function useAddress() {
  const [found, set] = useState(address);
  useEffect(() => {
    const changed = () => set(address());
    listeners.add(changed);
    changed(); // it may have changed before this effect ran
    return () => listeners.delete(changed);
  }, []);
  return found;
}

/** The href of a view; a parameter that is null, undefined or empty is left out. */
export function link(view, params = {}) {
  const all = { view: view === FIRST_VIEW ? null : view, ...params };
  const given = Object.entries(all).filter(([, value]) => value != null && value !== "");
  // Slashes, colons and commas are as well understood bare, and read better.
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)]))
    .toString().replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("%2F", "/");
  return text ? `?${text}` : "./";
}

/** Go to a view; with `replace` the browser's back button doesn't lead here again. */
export function go(view, params = {}, { replace = false } = {}) {
  const href = link(view, params);
  if (new URL(href, location.href).href === location.href) return;
  history[replace ? "replaceState" : "pushState"](null, "", href);
  announce();
}

/** Change some parameters of the view that is shown, and keep the others. */
export function change(changes, options) {
  const { view, params } = address();
  go(view, { ...params, ...changes }, options);
}

/** Let links within the page, and the browser's buttons, change the address without loading it. */
export function listen() {
  addEventListener("popstate", announce);
  document.addEventListener("click", (event) => {
    const anchor = event.target.closest?.("a[href]");
    const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (!anchor || !plain || event.defaultPrevented || anchor.target || anchor.download) return;
    const url = new URL(anchor.href);
    if (url.origin !== location.origin || url.pathname !== location.pathname) return;
    event.preventDefault();
    if (url.href !== location.href) history.pushState(null, "", url.href);
    announce();
  });
}

function announce() {
  for (const each of [...listeners]) each();
}
