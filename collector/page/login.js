/** Who is signed in, where the collector asks for keys: the browser has a cookie, and no script a key. */

import { useEffect, useRef, useState } from "preact/hooks";
import { ask, UNAUTHORIZED } from "./api.js";
import { html } from "./html.js";
import { visible } from "./text.js";

const SESSION = "api/v1/session";
const NOBODY = { required: true, name: null };

/** Who asks, null until that is known, and a function that says so. */
export function useSession() {
  const [session, set] = useState(null);
  useEffect(() => {
    const out = () => set(NOBODY);
    addEventListener(UNAUTHORIZED, out);
    ask(SESSION).then(({ answer }) => set(answer), () => {}); // what is away is told by all else
    return () => removeEventListener(UNAUTHORIZED, out);
  }, []);
  return [session, set];
}

export const isOut = (session) => session !== null && session.required && !session.name;

export function Login({ onDone }) {
  const field = useRef();
  const [failure, fail] = useState("");
  useEffect(() => field.current.focus(), []);
  const begin = (event) => {
    event.preventDefault();
    ask(SESSION, {}, { method: "POST", body: { key: field.current.value } }).then(
      ({ answer }) => onDone(answer),
      ({ message }) => fail(message),
    );
  };
  return html`<form class="message login" onSubmit=${begin}>
    <h2>Sign in</h2>
    <label for="key">This collector asks for a key: <code>pxc_…</code></label>
    <input id="key" ref=${field} type="password" autocomplete="current-password" required
      aria-invalid=${Boolean(failure)} aria-describedby="key-failure" />
    <p id="key-failure" role="alert">${failure}</p>
    <button>Sign in</button>
  </form>`;
}

/** The name of the key, and the way out; nothing where nobody asks for keys. */
export function Who({ session, onOut }) {
  if (!session?.name) return null;
  const name = visible(session.name);
  const end = () => ask(SESSION, {}, { method: "DELETE" }).then(() => onOut(NOBODY), () => {});
  return html`<button type="button" class="quiet" onClick=${end}
    title="Signed in with key ${name}" aria-label="Sign out, key ${name}">Sign out</button>`;
}
