/** Copying, also where the page did not come by HTTPS and browsers offer no clipboard. */

import { notify } from "./notices.js";

export async function copy(text, what) {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copyBySelection(text);
    notify(`Copied ${what}`);
  } catch {
    notify(`The browser did not let ${what} be copied`);
  }
}

function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
