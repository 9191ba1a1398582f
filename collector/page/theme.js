/** Light or dark: as the system has it, until somebody chooses. */

import { useEffect, useState } from "preact/hooks";

const THEMES = ["system", "light", "dark"];
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

/** The theme's name, in a component that is drawn anew when it changes. */
export function useTheme() {
  const [name, set] = useState(theme);
  useEffect(() => {
    listeners.add(set);
    return () => listeners.delete(set);
  }, []);
  return name;
}

function remembered() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}
