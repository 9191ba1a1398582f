/** What is asked again and again while somebody looks. */

import { useEffect, useReducer } from "preact/hooks";

/** A number that grows each *every* milliseconds while *on*, and while the page is seen. */
export function useBeat(on, every) {
  const [count, beat] = useReducer((before) => before + 1, 0);
  useEffect(() => {
    if (!on) return undefined;
    const timer = setInterval(() => document.hidden || beat(), every);
    return () => clearInterval(timer);
  }, [on, every]);
  return count;
}
