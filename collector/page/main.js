/** The page: its frame, and in it the view that the address names. */

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import * as focus from "./focus.js";
import { html } from "./html.js";
import * as keyboard from "./keyboard.js";
import { isOut, Login, useSession, Who } from "./login.js";
import { Notices } from "./notices.js";
import * as router from "./router.js";
import { apply, nextTheme, setTheme, useTheme } from "./theme.js";
import { visible } from "./text.js";
import { load, View, VIEWS } from "./views.js";

const LATER = 3_000; // milliseconds after which the other views are loaded, to be there at once
const THEME_SIGNS = { system: "◐", light: "☀", dark: "☾" };

function Page() {
  const { view, params } = router.useAddress();
  const theme = useTheme();
  const [keys, showKeys] = useState(false);
  const [session, sign] = useSession();
  const shown = VIEWS.find(({ name }) => name === view);
  useEffect(() => {
    const what = [params.q, [shown?.title ?? "Not found", params.id].filter(Boolean).join(" "), "pixsim-collector"];
    document.title = what.filter(Boolean).map(visible).join(" · ");
  }, [shown, params.q, params.id]);
  const turn = () => setTheme(nextTheme(theme));
  keyboard.useKeys("Page", [
    { keys: ["?"], does: "Show these keys", run: () => showKeys(true) },
    { keys: ["T"], does: "Light, dark, or as the system is", run: turn },
    ...VIEWS.filter(({ label }) => label).map(({ name, label, key }) => (
      { keys: [key], does: label, run: () => router.go(name) })),
  ]);
  return html`
    <header class="top">
      <a class="brand" href="./" aria-label="pixsim-collector, start">
        <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M3 4.5h10M3 8h6M3 11.5h8" /></svg>
        <span>pixsim-collector</span></a>
      <nav aria-label="Views">${VIEWS.filter(({ label }) => label).map(({ name, label }) => html`
        <a href=${router.link(name)} aria-current=${[view, shown?.under].includes(name) ? "page" : undefined}>${label}</a>`)}
      </nav>
      <span class="gap"></span>
      <${Who} session=${session} onOut=${sign} />
      <a class="quiet" href="docs">API</a>
      <button type="button" class="quiet" onClick=${turn} title="Theme: ${theme} (T)"
        aria-label="Theme: ${theme}">${THEME_SIGNS[theme]}</button>
      <button type="button" class="quiet" onClick=${() => showKeys(true)} title="Keyboard (?)"
        aria-label="Keyboard">?</button>
    </header>
    <main>${isOut(session) ? html`<${Login} onDone=${sign} />` : shown
      ? html`<${View} key=${view} view=${shown} params=${params} />`
      : html`<p class="message">There is no view “${view}”. <a href="./">To the logs</a></p>`}</main>
    <${Notices} />
    ${keys && html`<${keyboard.Keys} onClose=${() => showKeys(false)} />`}`;
}

apply();
router.listen();
keyboard.listen();
focus.listen();
const root = document.getElementById("page");
root.replaceChildren();
render(html`<${Page} />`, root);
setTimeout(() => Promise.allSettled(VIEWS.map(load)), LATER);
