/**
 * The views of the page, in the order of its navigation.
 *
 * A view is a component that is given `params`, those of the address. One that is only linked to
 * has no `label`, and stands `under` another. `key` goes to it.
 */

import { Explorer } from "./explorer/view.js";
import { Job, Request, Trace } from "./story/view.js";
import { Operations } from "./operations/view.js";
import { Overview } from "./overview/view.js";

export const VIEWS = [
  { name: "explorer", label: "Logs", title: "Logs", key: "1", component: Explorer },
  { name: "overview", label: "Overview", title: "Overview", key: "2", component: Overview },
  { name: "operations", label: "Operations", title: "Operations", key: "3", component: Operations },
  { name: "job", label: "Stories", title: "Job", key: "4", component: Job },
  { name: "request", under: "job", title: "Request", component: Request },
  { name: "trace", under: "job", title: "Trace", component: Trace },
];
