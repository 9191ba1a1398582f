/**
 * The views of the page, in the order of its navigation.
 *
 * A view is a component that is given `params`, those of the address. One that is only linked to
 * has no `label`. `key` goes to it.
 */

import { Explorer } from "./explorer/view.js";

export const VIEWS = [
  { name: "explorer", label: "Logs", title: "Logs", key: "1", component: Explorer },
];
