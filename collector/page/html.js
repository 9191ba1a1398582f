/** Markup as tagged templates: html`<p>${text}</p>`. What stands in ${} is always text, never markup. */

import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);
