/** Short notices at the edge of the page, which screen readers say too. */

import { useEffect, useState } from "preact/hooks";
import { html } from "./html.js";

const SHOWN = 3_000; // milliseconds
let show = () => {};

export function notify(text) {
  show(text);
}

export function Notices() {
  const [text, set] = useState("");
  useEffect(() => {
    let timer;
    show = (found) => {
      clearTimeout(timer);
      set(found);
      timer = setTimeout(() => set(""), SHOWN);
    };
    return () => clearTimeout(timer);
  }, []);
  return html`<div class="notice ${text && "notice-shown"}" role="status">${text}</div>`;
}
