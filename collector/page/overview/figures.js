/** What is said first: how many records there are, how many of them are errors, and how many before. */

import { html } from "../html.js";
import { change, percent } from "../numbers.js";
import { counted } from "../time.js";

const ERRORS = ["error", "critical"];

/** Props: `levels` and `before`, answers of /histogram; `logs`, the way to records. */
export function Figures({ levels, before, logs }) {
  const none = levels.failure ? "–" : "…";
  const now = summed(levels.answer);
  const then = summed(before.answer);
  return html`<section class="figures" aria-label="In all" aria-busy=${levels.loading}>
    <${Figure} name="Records" none=${none} number=${now?.total} before=${then?.total} href=${logs()} />
    <${Figure} name="Errors" none=${none} number=${now?.errors} before=${then?.errors} href=${logs(["level>=error"])}
      bad=${now?.errors > 0} told=${now && `${percent(now.errors, now.total)} of all`} />
    <${Figure} name="Warnings" none=${none} number=${now?.warnings} before=${then?.warnings} href=${logs(["level:warning"])}
      told=${now && `${percent(now.warnings, now.total)} of all`} />
  </section>`;
}

function Figure({ name, none, number, before, href, told, bad = false }) {
  return html`<a class="figure" href=${href}>
    <span class="figure-name">${name}</span>
    <b class=${bad ? "wrong" : ""}>${number === undefined ? none : counted(number)}</b>
    <span class="faint">${told ? `${told} · ` : ""}${number !== undefined && before !== undefined
      ? `${counted(before)} before, ${change(number, before)}` : "\u00a0"}</span></a>`;
}

function summed(answer) {
  if (!answer) return null;
  const of = (name) => answer.values.find(({ value }) => value === name)?.total ?? 0;
  return { total: answer.total, errors: ERRORS.reduce((sum, name) => sum + of(name), 0), warnings: of("warning") };
}
