// The theme: the one that the person chose, else that of the system.
const key = "ringhook-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

export function applyTheme() {
  document.documentElement.dataset.theme = localStorage.getItem(key) ?? (dark.matches ? "dark" : "light");
}

dark.addEventListener("change", applyTheme);
applyTheme();
