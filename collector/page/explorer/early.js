/**
 * The first records of the explorer, asked for before the rest of the page is loaded.
 *
 * index.html has this as a script of its own, which needs few others.
 */

import { UNAUTHORIZED } from "../api.js";
import { address, FIRST_VIEW } from "../router.js";
import { questionOf, Results } from "./results.js";
import { stateOf } from "./state.js";

const { view, params } = address();
const state = stateOf(params);
const question = questionOf(state);
// Live results are loaded when the tail has begun: see live.js.
let results = view === FIRST_VIEW && !state.live ? new Results(state) : null;
results?.load();
addEventListener(UNAUTHORIZED, () => { results = null; }); // who signs in asks anew

/** The results that were asked for, to who asks the same question first; else null. */
export function early(asked) {
  const found = asked === question ? results : null;
  results = null;
  return found;
}
