/** Light or dark: as the system has it, until somebody chooses. */

import { useEffect, useState } from "preact/hooks";

const THEMES = ["system", "light", "dark"];
const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

export function theme() {
  const kept = remembered();
  return THEMES.includes(kept) ? kept : "system";
}

export function setTheme(name) {
  try {
    localStorage.setItem("theme", name);
  } catch { /* then it is forgotten with this page */ }
  apply(name);
}

/** The theme after this one, for a button that goes round. */
export const nextTheme = (name) => THEMES[(THEMES.indexOf(name) + 1) % THEMES.length];

export function apply(name = theme()) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  for (const each of listeners) each(name);
}

/** The theme's name, and whether it is dark now; drawings that have colours of their own need it. */
export function useTheme() {
  const [state, set] = useState(() => ({ name: theme(), dark: isDark() }));
  useEffect(() => {
    const changed = (name = theme()) => set({ name: typeof name === "string" ? name : theme(), dark: isDark() });
    listeners.add(changed);
    dark.addEventListener("change", changed);
    return () => {
      listeners.delete(changed);
      dark.removeEventListener("change", changed);
    };
  }, []);
  return state;
}

/** The colour that a variable of page.css stands for now, as canvas takes it. */
export function color(variable) {
  const probe = document.createElement("i");
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : dark.matches;
}

function remembered() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}
