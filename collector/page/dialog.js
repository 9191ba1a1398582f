/** Things that open over the page: a dialog, and a panel below its button. */

import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.js";

/** A dialog that has the page to itself until it is closed. */
export function Dialog({ title, onClose, children, class: name = "" }) {
  const dialog = useRef();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.focus?.();
  }, []);
  const outside = (event) => event.target === dialog.current && onClose();
  return html`<dialog ref=${dialog} class=${name} aria-label=${title} onClose=${onClose} onClick=${outside}>
    <div class="dialog">
      <header><h2>${title}</h2>
        <button type="button" class="quiet" aria-label="Close" onClick=${onClose}>✕</button></header>
      ${children}
    </div>
  </dialog>`;
}

/**
 * A button with a panel below it, which closes by Escape, and by a click or the focus elsewhere.
 *
 * `children` is a function from `close` to what stands in the panel. `opener`, a ref, is given
 * the function that opens it, for a key.
 */
export function Panel({ label, title, children, opener, class: name = "", align = "right" }) {
  const [open, set] = useState(false);
  const place = useRef();
  const button = useRef();
  const close = () => {
    set(false);
    button.current?.focus();
  };
  if (opener) opener.current = () => set(true);
  useEffect(() => {
    if (!open) return undefined;
    place.current.querySelector(".panel :is(input, button, select, a):not(:disabled)")?.focus();
    const outside = (event) => place.current.contains(event.target) || set(false);
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  const key = (event) => {
    if (event.key !== "Escape" || !open) return;
    event.stopPropagation();
    close();
  };
  const left = ({ relatedTarget: now }) => now && !place.current.contains(now) && set(false);
  return html`<div class="has-panel ${name}" ref=${place} onKeyDown=${key} onFocusOut=${left}>
    <button type="button" ref=${button} aria-expanded=${open} aria-haspopup="dialog" title=${title}
      onClick=${() => set(!open)}>${label}</button>
    ${open && html`<div class="panel panel-${align}" role="dialog" aria-label=${title}>${children(close)}</div>`}
  </div>`;
}
