/** Markup as tagged templates: html`<p>${text}</p>`. What stands in ${} is always text, never markup. */

import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);

/** A component that is drawn anew only when one of its props is another. */
export function steady(component) {
  return function Steady(props) {
    this.shouldComponentUpdate ??= (next) => differs(next, this.props);
    return h(component, props);
  };
}

export function differs(next, now) {
  return Object.keys(next).some((name) => next[name] !== now[name]);
}
