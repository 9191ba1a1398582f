/**
 * The views of the page, in the order of its navigation.
 *
 * A view is a component that is given `params`, those of the address. One that is only linked to
 * has no `label`, and stands `under` another. `key` goes to it. Its scripts are loaded when it is
 * first needed, from the folder that collector/page/__init__.py knows too.
 */

import { useEffect, useState } from "preact/hooks";
import { html } from "./html.js";

const overview = async () => (await import("./overview/view.js")).Overview;
const operations = async () => (await import("./operations/view.js")).Operations;
const explorer = async () => (await import("./explorer/view.js")).Explorer;
const story = (name) => async () => (await import("./story/view.js"))[name];

export const VIEWS = [
  { name: "explorer", label: "Logs", title: "Logs", key: "1", from: explorer },
  { name: "overview", label: "Overview", title: "Overview", key: "2", from: overview },
  { name: "operations", label: "Operations", title: "Operations", key: "3", from: operations },
  { name: "job", label: "Stories", title: "Job", key: "4", from: story("Job") },
  { name: "request", under: "job", title: "Request", from: story("Request") },
  { name: "trace", under: "job", title: "Trace", from: story("Trace") },
];

/** Load what a view is drawn by. */
export async function load(view) {
  view.component ??= await view.from();
  return view.component;
}

/** A view as soon as it is loaded. */
export function View({ view, params }) {
  const [, loaded] = useState(Boolean(view.component));
  const [failed, fail] = useState(false);
  useEffect(() => {
    load(view).then(() => loaded(true), () => fail(true));
  }, []);
  if (view.component) return html`<${view.component} params=${params} />`;
  if (!failed) return html`<p class="starting" role="status">Loading…</p>`;
  return html`<p class="message" role="alert">This view could not be loaded.
    <button type="button" onClick=${() => location.reload()}>Load the page again</button></p>`;
}
