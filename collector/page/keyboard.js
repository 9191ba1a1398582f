/** Keys: whatever is on the screen says which it knows, and `?` shows them all. */

import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";
import { Dialog } from "./dialog.js";

const groups = new Map(); // of bindings, by the name of what has them

/**
 * Let *bindings* work while the component is shown: a list of { keys, does, run }.
 *
 * `keys` is a list of KeyboardEvent.key; a key is for the page only where nobody is typing.
 */
export function useKeys(group, bindings) {
  const newest = useRef(bindings);
  newest.current = bindings;
  useEffect(() => {
    groups.set(group, newest);
    return () => groups.get(group) === newest && groups.delete(group);
  }, [group]);
}

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    for (const bindings of [...groups.values()].reverse()) {
      const found = bindings.current.find(({ keys }) => keys.includes(event.key));
      if (found && found.run(event) !== false) {
        event.preventDefault();
        return;
      }
    }
  });
}

/** The overlay that shows all keys. */
export function Keys({ onClose }) {
  const [shown] = useState(() => [...groups].map(([group, bindings]) => [group, bindings.current]));
  return html`<${Dialog} title="Keyboard" onClose=${onClose} class="keys">
    ${shown.map(([group, bindings]) => html`<section>
      <h3>${group}</h3>
      <dl>${bindings.map(({ keys, does }) => html`<div>
        <dt>${keys.map((key) => html`<kbd>${NAMES[key] ?? key}</kbd> `)}</dt><dd>${does}</dd>
      </div>`)}</dl>
    </section>`)}
  </>`;
}

const NAMES = {
  ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Enter: "Enter", Escape: "Esc", " ": "Space",
};

function isTyping(target) {
  // A panel has the keys to itself too, until it is closed.
  return target.closest?.(".panel, input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
}
