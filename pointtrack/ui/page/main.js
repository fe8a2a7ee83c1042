/** The page is put together here. */

import * as api from "./api.js";
import { App } from "./app.js";
import { lostLine } from "./connection.js";
import { askForExport, askForPoints, askForVideo, showKeys, uploadFile, welcome } from "./dialogs.js";
import { h, iconButton, say } from "./dom.js";
import { bindKeys } from "./keys.js";
import { openLive } from "./live.js";
import { Panels } from "./panels.js";
import { Reviewing } from "./review.js";
import { Stage } from "./stage.js";
import { Timeline } from "./timeline.js";

const place = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const app = new App();

/** @type {[import("./app.js").Tool, string, string, string][]} */
const TOOLS = [
  ["move", "V", "Move and choose", "move"],
  ["click", "C", "Click on objects", "click"],
  ["beside", "M", "Click on what does not belong to the object", "beside"],
  ["box", "B", "Box around an object", "box"],
  ["brush", "D", "Brush", "brush"],
  ["eraser", "E", "Eraser", "eraser"],
  ["point", "P", "Points", "point"],
  ["grid", "R", "Points in a region", "grid"],
];

function theme() {
  const wanted = app.settings.theme || (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
  document.documentElement.dataset.theme = wanted;
}

function switchTheme() {
  app.set({ theme: document.documentElement.dataset.theme === "light" ? "dark" : "light" });
}

theme();
app.on(["settings"], theme);

const stage = new Stage(app, place("stage"));
const timeline = new Timeline(app, place("timeline"));
new Panels(app, place("panels"));
const reviewing = new Reviewing(app);
stage.tools.onRegion = (/** @type {number[]} */ region) => askForPoints(app, region, null);

/* The bar. */
const file = h("span", { class: "file" });
const undo = iconButton("undo", "Undo (Ctrl+Z)", () => app.act("undo"), { class: "plain", id: "undo" });
const redo = iconButton("redo", "Redo (Ctrl+Shift+Z)", () => app.act("redo"), { class: "plain", id: "redo" });
const run = h("div", { id: "run", hidden: true });
const away = h("span", { class: "quiet", hidden: true }, "not connected …");
const save = iconButton("save", "Export (Ctrl+E)", () => askForExport(app), { id: "export", class: "main" }, "Export");
place("bar").append(
  h("span", { class: "mark" }, h("img", { src: "/page/icon.svg", alt: "" }), "pointtrack"),
  iconButton("folder", "Open a video (Ctrl+O)", () => askForVideo(app), { id: "open" }, "Open"),
  iconButton("review", "Review a folder of videos", () => reviewing.ask(), { id: "review" }, "Review"),
  iconButton("live", "A camera or a stream", () => openLive(), { id: "live" }, "Live"),
  h("span", { class: "gap" }),
  file,
  undo,
  redo,
  reviewing.bar,
  h("span", { class: "grow" }),
  away,
  run,
  iconButton("theme", "Light or dark (T)", switchTheme, { class: "plain", id: "theme" }),
  iconButton("help", "Keys (?)", showKeys, { class: "plain", id: "help" }),
  save,
);

place("messages").append(lostLine(app, h));

function tellBar() {
  const state = app.state;
  file.textContent = state ? state.name : "";
  file.title = state ? `${state.path}\n${state.frames} frames of ${state.wh.join(" × ")}\nfollowed by ${state.engine}` : "";
  undo.disabled = !state || state.history.now === 0;
  redo.disabled = !state || state.history.now === state.history.labels.length;
  save.disabled = !state;
  reviewing.tell();
  away.hidden = !app.lost;
}

function tellRun() {
  const now = (!app.lost && app.state?.run) || null;
  run.hidden = !now && !app.busy;
  document.body.toggleAttribute("data-busy", app.busy > 0 || now !== null);
  if (now) {
    const left = now.left === null ? "" : now.left > 90 ? ` · ${Math.round(now.left / 60)} min left` : ` · ${Math.max(Math.round(now.left), 1)} s left`;
    run.replaceChildren(
      h("div", { class: "track", role: "progressbar", "aria-label": "Run", "aria-valuenow": Math.round(100 * now.fraction), "aria-valuemin": "0", "aria-valuemax": "100" }, fillOf(now.fraction)),
      h("span", { class: "quiet mono" }, `frame ${now.at}${left}`),
      iconButton("stop", "Stop (Esc)", () => app.cancel("run"), { id: "stop" }, "Stop"),
    );
  } else if (app.busy) run.replaceChildren(h("span", { class: "quiet" }, "working …"));
}

/** @param {number} fraction @returns {HTMLElement} */
function fillOf(fraction) {
  const fill = h("div", { class: "fill" });
  fill.style.width = `${Math.round(100 * fraction)}%`;
  return fill;
}

app.on(["state", "connection", "project"], tellBar);
app.on(["run", "state", "connection"], tellRun);

/* The tools. */
const buttons = TOOLS.map(([tool, key, words, name]) => {
  const button = iconButton(name, `${words} (${key})`, () => app.use(tool), { id: `tool-${tool}` });
  button.append(h("span", { class: "key", "aria-hidden": "true" }, key));
  return button;
});
place("tools").append(...buttons, h("hr"), iconButton("fit", "Whole frame (0)", () => { stage.port.fit(); stage.draw(); }, { id: "fit" }));
const tellTools = () => buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(TOOLS[at][0] === app.tool)));
app.on(["tool"], tellTools);
tellTools();
tellBar();

bindKeys(app, { stage, timeline, help: showKeys, open: () => askForVideo(app), save: () => askForExport(app), points: () => askForPoints(app, null, app.selection?.kind === "object" ? app.selection.id : null), theme: switchTheme, review: (verdict) => reviewing.judge(verdict) });

/* Files that are dropped. */
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  place("stage").classList.add("drop");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) place("stage").classList.remove("drop");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  place("stage").classList.remove("drop");
  const dropped = event.dataTransfer?.files[0];
  if (dropped) uploadFile(app, dropped);
});

/* What is open at the beginning. */
async function begin() {
  try {
    app.boot = await api.get("/api/boot");
    const cover = welcome(app);
    app.on(["project"], () => cover.remove());
    if (app.boot?.review && (await reviewing.begin())) return;
    // What this tab had open, unless the server was started with another video since.
    const first = app.boot?.first ?? "";
    const wanted = sessionStorage.getItem("first") === first ? (sessionStorage.getItem("video") ?? first) : first;
    sessionStorage.setItem("first", first);
    if (wanted) {
      try {
        await app.open(wanted);
      } catch (error) {
        sessionStorage.removeItem("video");
        say(/** @type {Error} */ (error).message, "bad");
      }
    }
    if (!app.state) place("stage").append(cover);
  } catch (error) {
    say(/** @type {Error} */ (error).message, "bad");
  }
}
app.on(["project"], () => app.state && sessionStorage.setItem("video", app.state.path));
begin();
/* For tests. */
Object.assign(window, { pointtrack: { app, stage } });
