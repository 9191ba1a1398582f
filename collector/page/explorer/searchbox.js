/** The search: coloured while it is typed, with suggestions, and with its mistakes where they are. */

import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { ask, LOGS } from "../api.js";
import { columnOf, indexOf, parts } from "../search.js";

const PAUSE = 60; // milliseconds after a key, before suggestions are asked for
const NONE = { items: [], asked: "", from: 0, at: 0, to: 0 };

/**
 * Props: `q`, the search that is shown; `mistake` in it, or null; `onSearch`, called with a text;
 * `focus`, a ref that is given the function that brings the cursor here.
 */
export function SearchBox({ q, mistake, onSearch, focus }) {
  const [text, setText] = useState(q);
  const [offered, offer] = useState(NONE);
  const [chosen, choose] = useState(-1);
  const [scrolled, scroll] = useState(0);
  const input = useRef();
  const asking = useRef(new AbortController());
  const { items, from, to } = fitting(offered, text); // which may have grown since they were asked for
  useEffect(() => { // another search, by a click or the back button
    setText(q);
    close();
  }, [q]);
  focus.current = () => {
    input.current.focus();
    input.current.select();
  };

  function close() {
    asking.current.abort();
    offer(NONE);
    choose(-1);
  }

  async function suggest() {
    choose(-1);
    asking.current.abort();
    const stop = asking.current = new AbortController();
    const { value: asked, selectionEnd: at } = input.current;
    await new Promise((resolve) => { setTimeout(resolve, PAUSE); });
    if (stop.signal.aborted) return;
    try {
      const { answer } = await ask(`${LOGS}/completion`, { q: asked, at: columnOf(asked, at) }, { signal: stop.signal });
      const from = indexOf(asked, answer.column);
      offer({ items: answer.items, asked, from, at, to: indexOf(asked, answer.column + answer.length) });
    } catch { /* suggestions are a help; that there are none needs no word */ }
  }

  function typed() {
    setText(input.current.value);
    suggest();
  }

  function take({ text: suggestion, kind }) {
    const whole = kind === "value" || kind === "keyword" || suggestion.endsWith(":*");
    const put = whole ? `${suggestion} ` : suggestion;
    const next = text.slice(0, from) + put + text.slice(to).trimStart();
    const at = from + put.length;
    // At once, or the cursor would move while somebody types on.
    const field = input.current;
    field.value = next;
    field.focus();
    field.setSelectionRange(at, at);
    field.scrollLeft = field.scrollWidth;
    setText(next);
    if (whole) close(); // or Tab, which takes what is offered, would never leave the field
    else suggest();
  }

  function search(wanted) {
    close();
    onSearch(wanted.trim());
  }

  function key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && items.length) {
      event.preventDefault();
      asking.current.abort(); // or what comes would take its place
      // Before the first and behind the last none is chosen.
      const next = chosen + step;
      choose(next < -1 ? items.length - 1 : next === items.length ? -1 : next);
    } else if (event.key === "ArrowDown") suggest();
    else if (event.key === "Tab" && items.length && !event.shiftKey) {
      event.preventDefault();
      take(items[Math.max(0, chosen)]);
    } else if (event.key === "Enter" && chosen >= 0) take(items[chosen]);
    else if (event.key === "Enter") search(text);
    else if (event.key === "Escape" && items.length) close();
    else if (event.key === "Escape") input.current.blur();
    else return;
    event.stopPropagation();
  }

  const open = items.length > 0;
  return html`<div class="search">
    <div class="search-field">
      <div class="search-colours" aria-hidden="true"><div style=${{ transform: `translateX(${-scrolled}px)` }}>
        ${underlined(text, text === q ? mistake : null)}</div></div>
      <input ref=${input} value=${text} role="combobox" aria-label="Search" aria-expanded=${open}
        aria-controls="suggestions" aria-autocomplete="list" aria-invalid=${mistake !== null}
        aria-activedescendant=${chosen >= 0 ? `suggestion-${chosen}` : undefined}
        aria-errormessage=${mistake ? "mistake" : undefined}
        autocomplete="off" autocapitalize="off" autocorrect="off" spellcheck="false" enterkeyhint="search"
        placeholder="Search: service:worker level>=warning -stage:retry:* “connection reset”"
        onInput=${typed} onKeyDown=${key} onBlur=${close} onClick=${suggest}
        onScroll=${(event) => scroll(event.target.scrollLeft)} />
      ${text && html`<button type="button" class="quiet clear" aria-label="Clear the search"
        onClick=${() => search("")}>✕</button>`}
    </div>
    <ul id="suggestions" role="listbox" aria-label="Suggestions" hidden=${!open}>
      ${items.map((item, index) => html`<li id="suggestion-${index}" role="option"
        aria-selected=${index === chosen} ref=${(element) => index === chosen && element?.scrollIntoView({ block: "nearest" })}
        onPointerDown=${(event) => { event.preventDefault(); take(item); }}>
        <bdi>${item.text}</bdi><small>${item.count ?? item.kind}</small></li>`)}
    </ul>
    ${mistake && text === q && html`<p class="mistake" id="mistake" role="alert">${mistake.message}
      ${mistake.suggestion && html` <button type="button" onClick=${() => search(mended(text, mistake))}>
        Search for ${mistake.suggestion}</button>`}</p>`}
  </div>`;
}

/**
 * What is offered still, and in place of what, now that *text* stands where *asked* stood.
 *
 * Only what stands before the cursor, from *from* to *at* then, may have changed since, and only to
 * what is in a suggestion: anything else is another question, whose answer is under way.
 */
function fitting({ items, asked, from, at, to }, text) {
  const grown = text.length - asked.length;
  const beginning = text.slice(from, at + grown);
  const same = at + grown >= from && text.startsWith(asked.slice(0, from)) && text.endsWith(asked.slice(at));
  if (!same) return NONE;
  const fits = text === asked ? () => true : (each) => each.toLowerCase().includes(beginning.toLowerCase());
  const stands = text.slice(from, to + grown);
  return { items: items.filter(({ text: each }) => each !== stands && fits(each)), from, to: to + grown };
}

/** The parts of *text* in their colours, and the mistake in it underlined. */
function underlined(text, mistake) {
  const from = mistake ? indexOf(text, mistake.column) : -1;
  const to = mistake ? indexOf(text, mistake.column + Math.max(1, mistake.length)) : -1;
  let at = 0;
  const found = [];
  for (const part of parts(text)) {
    for (const [start, end] of cuts(at, at + part.text.length, from, to)) {
      const wrong = start >= from && end <= to && mistake;
      found.push(html`<span class="part-${part.kind} ${wrong ? "part-wrong" : ""}">${text.slice(start, end)}</span>`);
    }
    at += part.text.length;
  }
  // What is missing at the end has a place too.
  if (mistake && from >= text.length) found.push(html`<span class="part-wrong">${" \u00a0"}</span>`);
  return found;
}

/** The span from *start* to *end*, cut where another begins and ends. */
function cuts(start, end, from, to) {
  const places = [start, from, to, end].filter((each) => each >= start && each <= end).sort((a, b) => a - b);
  return places.slice(1).map((place, index) => [places[index], place]).filter(([a, b]) => a < b);
}

function mended(text, { column, length, suggestion }) {
  return text.slice(0, indexOf(text, column)) + suggestion + text.slice(indexOf(text, column + length));
}
