/** Numbers as people read them. */

/** A share as percent: "12 %", "0.4 %", "< 0.1 %". */
export function percent(part, whole) {
  if (!whole || !part) return "0 %";
  const found = (part / whole) * 100;
  if (found < 0.1) return "< 0.1 %";
  return `${found < 10 ? Number(found.toFixed(1)) : Math.round(found)} %`;
}

/** How a number differs from the one before: "+12 %", "×3.4", "−8 %", "as before", "none before". */
export function change(now, before) {
  if (now === before) return "as before";
  if (!before) return "none before";
  if (now >= before * 3) return `×${Number((now / before).toFixed(now < before * 10 ? 1 : 0)).toLocaleString("en-US")}`;
  const found = ((now - before) / before) * 100;
  const rounded = Math.abs(found) < 10 ? Math.abs(found).toFixed(1) : Math.abs(Math.round(found));
  return `${found < 0 ? "−" : "+"}${rounded} %`;
}

/** A rate a second. */
export function rate(each) {
  if (each >= 100) return `${Math.round(each).toLocaleString("en-US")}/s`;
  return `${Number(each.toFixed(each < 1 ? 2 : 1))}/s`;
}
