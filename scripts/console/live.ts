/** Seconds between two looks at a page that is open; more where the database takes long to answer. */
const EVERY_S = 5;
/** So much of the time at most the database is busy with it. */
const SHARE = 0.05;

/**
 * The only script of the console: replaces what the page shows by what it shows now, unless somebody is in the
 * middle of it. The button that pauses it is there only when the script is. Without it the pages are as they were loaded.
 */
export const LIVE_SCRIPT = `
{
  const button = document.getElementById("live");
  const region = () => document.querySelector("[data-live]");
  const isPaused = () => sessionStorage.getItem("paused") === "yes";
  const show = (text) => {
    button.textContent = text ?? (isPaused() ? "Resume updates" : "Pause updates");
  };
  const isTouched = (field) => field.checked !== field.defaultChecked || field.value !== field.defaultValue;
  const isBusy = () =>
    document.hidden || !getSelection().isCollapsed || document.activeElement.closest("[data-live], nav") ||
    [...region().querySelectorAll("input")].some(isTouched);
  const update = async () => {
    if (isPaused() || isBusy()) return;
    const started = performance.now();
    try {
      const response = await fetch(location.href);
      if (!response.ok) throw new Error();
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      if (isPaused() || isBusy()) return show();
      for (const { id } of region().querySelectorAll("details[open][id]")) {
        page.getElementById(id)?.setAttribute("open", "");
      }
      region().replaceWith(page.querySelector("[data-live]"));
      document.querySelector("header nav").replaceWith(page.querySelector("header nav"));
      document.querySelector(".mode")?.replaceWith(page.querySelector(".mode") ?? "");
      show();
    } catch {
      show("Not connected");
    }
    return performance.now() - started;
  };
  const soon = (took = 0) => setTimeout(async () => soon(await update()), Math.max(${
  EVERY_S * 1000
}, took / ${SHARE}));
  button.addEventListener("click", () => {
    sessionStorage.setItem("paused", isPaused() ? "no" : "yes");
    show();
  });
  button.hidden = false;
  show();
  soon();
}`;
