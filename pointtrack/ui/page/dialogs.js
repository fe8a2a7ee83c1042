/** Dialogs: opening, exporting, many points, and the sheet of keys. */

import * as api from "./api.js";
import { h, icon, iconButton, openDialog, say, size } from "./dom.js";
import { KEYS } from "./keys.js";
import { addMany } from "./points.js";

/** @typedef {import("./app.js").App} App */

/** @param {{commands: string[], notes: string[]}} told @returns {string} commands to copy, and notes as their comments */
const linesOf = (told) => [...told.commands, ...told.notes.map((words) => `# ${words}`)].join("\n") || "# the session files alone";

/**
 * A list of what is in the folders that the server was given.
 * @param {(path: string) => void} chosen
 * @param {((path: string) => void)|null} [folderChosen] where folders are meant
 * @returns {HTMLElement}
 */
export function browser(chosen, folderChosen = null) {
  const where = h("div", { class: "row quiet" });
  const list = h("ul", { class: "files", "aria-label": "Files" });
  const show = async (/** @type {string|null} */ path) => {
    try {
      const folder = await api.get(`/api/browse${path === null ? "" : `?path=${encodeURIComponent(path)}`}`);
      where.replaceChildren(h("code", { class: "grow" }, folder.path ?? "Folders of this server"));
      if (folderChosen && folder.path) where.append(h("button", { type: "button", onclick: () => folderChosen(folder.path) }, "Review this folder"));
      const up = folder.parent ?? (folder.path ? "" : null);
      const rows = folder.entries.map((/** @type {any} */ one) => {
        const opens = one.kind === "video" || one.kind === "pictures";
        const act = () => (opens && !folderChosen ? chosen(one.path) : one.kind === "folder" || folderChosen ? show(one.path) : chosen(one.path));
        return h("li", {}, h("button", { type: "button", onclick: act }, icon(opens ? "film" : "folder"), h("span", { class: "label" }, one.name), h("span", { class: "grow" }), one.bytes ? h("span", { class: "quiet mono" }, size(one.bytes)) : null));
      });
      if (up !== null) rows.unshift(h("li", {}, h("button", { type: "button", onclick: () => show(up === "" ? null : up) }, icon("back"), "up")));
      list.replaceChildren(...rows);
      if (!folder.entries.length) list.append(h("li", { class: "empty" }, "No videos here."));
      if (folder.left_out) list.append(h("li", { class: "empty" }, `${folder.left_out} more are not listed: links to other folders, or too many files.`));
    } catch (error) {
      say(/** @type {Error} */ (error).message, "bad");
    }
  };
  show(null);
  return h("div", {}, where, list);
}

/**
 * Where a session can begin: what was saved, the folders, a file to drop.
 * @param {App} app
 * @param {() => void} done
 * @returns {HTMLElement}
 */
export function opening(app, done) {
  const open = async (/** @type {string} */ path) => {
    try {
      await app.open(path);
      done();
    } catch (error) {
      say(/** @type {Error} */ (error).message, "bad");
    }
  };
  const input = h("input", { type: "file", accept: "video/*", hidden: true, onchange: () => input.files?.[0] && uploadFile(app, input.files[0], done) });
  const saved = (app.boot?.saved ?? []).map((one) =>
    h("li", {}, h("button", { type: "button", disabled: !one.there, onclick: () => open(one.path) }, icon("film"), h("span", { class: "label" }, one.name), h("span", { class: "grow" }), h("span", { class: "quiet" }, `${one.steps} steps · ${new Date(one.saved * 1000).toLocaleDateString()}`))));
  return h("div", { class: "columns" },
    h("div", {}, h("h3", {}, "Open a video of this machine"), browser(open)),
    h("div", {},
      h("h3", {}, "Go on with"),
      saved.length ? h("ul", { class: "files" }, ...saved) : h("p", { class: "quiet" }, "Nothing yet. What you do is saved after every act."),
      h("h3", {}, "Or drop a file onto the page"),
      input,
      h("button", { type: "button", onclick: () => input.click() }, icon("save"), "Choose a file"),
      h("p", { class: "quiet" }, `Up to ${size(app.boot?.most_upload_bytes ?? 0)}; it stays on this machine.`)));
}

/** @param {App} app */
export async function askForVideo(app) {
  app.boot = await api.get("/api/boot");
  const dialog = openDialog("Open", [opening(app, () => dialog.close())]);
  dialog.style.width = "min(860px, 94vw)";
}

/** @param {App} app @param {File} file @param {() => void} [done] */
export async function uploadFile(app, file, done = () => {}) {
  const bar = h("progress", { max: "1", value: 0, "aria-label": "Upload" });
  const words = h("p", {}, `${file.name} · ${size(file.size)}`);
  const dialog = openDialog("Upload", [words, bar]);
  if (file.size > (app.boot?.most_upload_bytes ?? Infinity)) {
    dialog.close();
    say(`${file.name}: expected at most ${size(app.boot?.most_upload_bytes ?? 0)}, got ${size(file.size)}. Open it from a folder of this machine instead.`, "bad");
    return;
  }
  const sending = api.upload(file, (share) => {
    bar.value = share;
    if (share === 1) words.textContent = "Looking into the file …";
  });
  dialog.addEventListener("close", () => sending.cancel());
  try {
    const { path } = await sending.done;
    await app.open(path);
    done();
  } catch (error) {
    say(/** @type {Error} */ (error).message, "bad");
  }
  dialog.close();
}

/**
 * How many points, and which.
 * @param {App} app
 * @param {number[]|null} region
 * @param {number|null} object
 */
export function askForPoints(app, region, object) {
  if (!app.state) return;
  const where = object !== null ? `on object ${object}` : region ? "in the region" : "over the whole frame";
  const side = h("input", { type: "number", min: "1", max: "60", value: "8", "aria-label": "Points per side", id: "grid-size" });
  const count = h("input", { type: "number", min: "1", max: "2000", value: "40", "aria-label": "Number of corners", id: "corner-count" });
  const add = (/** @type {"grid"|"corners"} */ kind) => {
    dialog.close();
    addMany(app, kind, Number(kind === "grid" ? side.value : count.value), region, object);
  };
  const dialog = openDialog(`Points ${where}, frame ${app.frame}`, [
    h("h3", {}, "A regular grid"),
    h("div", { class: "row" }, side, h("span", { class: "quiet grow" }, "points per side"), h("button", { type: "button", class: "main", id: "add-grid", onclick: () => add("grid") }, "Add the grid")),
    h("h3", {}, "Corners: what is easiest to follow"),
    h("div", { class: "row" }, count, h("span", { class: "quiet grow" }, "at most"), h("button", { type: "button", id: "add-corners", onclick: () => add("corners") }, "Add the corners")),
  ]);
  dialog.style.width = "min(460px, 94vw)";
}

/**
 * What becomes of the background, or of the objects, in the edited video.
 * @param {string} id
 * @param {string} title
 * @param {string} untouched words for no effect
 * @param {string} color the colour to begin with
 * @param {() => void} tell
 * @param {boolean} enabled
 * @returns {{ element: HTMLElement, value: () => string }}
 */
function effect(id, title, untouched, color, tell, enabled) {
  const names = { "": untouched, blur: "blurred", pixelate: "pixelated", color: "one colour" };
  const changed = () => {
    input.hidden = select.value !== "color";
    tell();
  };
  const select = h("select", { id, disabled: !enabled, onchange: changed }, ...Object.entries(names).map(([value, words]) => h("option", { value }, words)));
  const input = h("input", { type: "color", id: `${id}-color`, value: color, hidden: true, "aria-label": `${title}: colour`, onchange: tell });
  return { element: h("label", {}, `${title} `, select, input), value: () => (select.value === "color" ? input.value.slice(1) : select.value) };
}

/** @param {App} app */
export function askForExport(app) {
  const { boot, state } = app;
  if (!boot || !state) return;
  /** @type {Record<string, string>} */
  const words = { npz: "pointtrack .npz", csv: "CSV", json: "JSON", dlc: "DeepLabCut CSV", "dlc-h5": "DeepLabCut H5", napari: "napari", cvat: "CVAT", tapvid: "TAP-Vid", davis: "DAVIS PNGs", ytvos: "YouTube-VOS", coco: "COCO", ytvis: "YouTube-VIS", yolo: "YOLO", mot: "MOT", cutout: "cut-out video", "cutout-png": "cut-out PNGs", sleap: "SLEAP", parquet: "Parquet", rerun: "Rerun", "napari-tracks": "napari tracks", nuke: "Nuke", "after-effects": "After Effects", fusion: "Fusion", "3de": "3DEqualizer", blender: "Blender", comfyui: "ComfyUI", plot: "plot of curves", mp4: ".mp4", m4v: ".m4v", mov: ".mov", mkv: ".mkv", webm: ".webm", gif: ".gif", png: "PNGs" };
  /** @type {Record<string, HTMLInputElement[]>} */
  const boxes = {};
  const choices = (/** @type {string} */ kind, /** @type {string[]} */ names, /** @type {string[]} */ ticked, /** @type {string} */ missing) => {
    boxes[kind] = names.map((name) => h("input", { type: "checkbox", value: name, checked: !missing && ticked.includes(name), disabled: missing !== "", onchange: tell, id: `export-${kind}-${name}` }));
    return h("div", { class: "choices" }, ...names.map((name, place) => h("label", {}, boxes[kind][place], words[name] ?? name)), h("span", { class: "quiet" }, missing));
  };
  const number = (/** @type {string} */ id, /** @type {number} */ value, /** @type {number} */ most, /** @type {string} */ step = "1") => h("input", { type: "number", id, value, min: "0", max: most, step, onchange: tell });
  const [smooth, trail, opacity] = [number("export-smooth", 0, 100), number("export-trail", app.settings.trail, 256), number("export-opacity", app.settings.opacity, 1, "0.05")];
  const sound = h("input", { type: "checkbox", checked: true, id: "export-sound", onchange: tell });
  const labels = h("input", { type: "checkbox", id: "export-labels", onchange: tell });
  const sessions = h("input", { type: "checkbox", checked: true, id: "export-sessions", onchange: tell });
  const ranged = h("input", { type: "checkbox", id: "export-range", checked: state.view.in !== null || state.view.out !== null, disabled: state.view.in === null && state.view.out === null, onchange: tell });
  const noPoints = state.points.length ? "" : "There are no points yet.";
  const noObjects = state.objects.length ? "" : "There are no objects yet.";
  const background = effect("export-background", "Background", "as it is", "#00c800", tell, state.objects.length > 0);
  const hide = effect("export-hide", "Objects", "as they are", "#000000", tell, state.objects.length > 0);
  const command = h("div", { class: "command", role: "group", tabindex: "0", "aria-label": "Command line" }, h("code", {}));
  const results = h("div", { id: "export-results" });
  const go = h("button", { type: "button", class: "main", id: "export-go", onclick: begin }, "Export");
  /** @returns {any} */
  function options() {
    const chosen = (/** @type {string} */ kind) => boxes[kind].filter((box) => box.checked).map((box) => box.value);
    const [first, last] = ranged.checked ? app.range : [0, (state?.frames ?? 1) - 1];
    return { tracks: chosen("tracks"), masks: chosen("masks"), videos: chosen("videos"), sessions: sessions.checked, start: first, stop: last + 1, smooth: Number(smooth.value), trail: Number(trail.value), opacity: Number(opacity.value), labels: labels.checked, sound: sound.checked, background: background.value(), hide: hide.value() };
  }
  async function tell() {
    try {
      command.replaceChildren(h("code", {}, linesOf(await api.post(`${app.base}/commands`, options()))));
    } catch (error) {
      command.replaceChildren(h("code", {}, `# ${/** @type {Error} */ (error).message}`));
    }
  }
  async function begin() {
    writing();
    try {
      await api.post(`${app.base}/export`, options());
    } catch (error) {
      app.exporting = false;
      results.replaceChildren();
      say(/** @type {Error} */ (error).message, "bad");
      go.disabled = false;
    }
  }
  function writing() {
    go.disabled = app.exporting = true;
    app.exported = null;
    results.replaceChildren(h("p", {}, "Writing … ", iconButton("stop", "Stop", () => app.cancel("export"), { id: "export-stop" }, "Stop")));
    results.scrollIntoView({ block: "nearest" });
  }
  function show() {
    const done = app.exported;
    if (!done) return;
    go.disabled = false;
    if (done.error) {
      results.replaceChildren(h("p", { class: "bad" }, done.error));
      return;
    }
    const rows = done.files.map((/** @type {any} */ file) => h("li", {}, h("a", { href: `${app.base}/exports/${encodeURIComponent(done.id)}/${encodeURIComponent(file.name)}`, download: file.folder ? `${file.name}.zip` : file.name }, file.name), " ", h("span", { class: "quiet" }, size(file.bytes))));
    const gaps = done.unknown > done.waiting && h("p", { class: "bad" }, `${done.unknown - done.waiting} frames were not followed yet: what is written of them is empty. Propagate and export again, or mark a range.`);
    const old = done.waiting > 0 && h("p", { class: "bad" }, `A correction has not reached ${done.waiting} frames yet: their masks are written as they were before it. Propagate and export again.`);
    const seen = done.unhidden.map((/** @type {any} */ one) => h("p", { class: "bad" }, `${app.nameOf(`o${one.object}`, `object ${one.object}`)} has no mask on ${one.count} frame${one.count > 1 ? "s" : ""}, so nothing is hidden there in the edited video: ${one.frames}`));
    results.replaceChildren(h("h3", {}, "Written"), gaps || "", old || "", ...seen, h("ul", {}, ...rows), h("p", { class: "quiet" }, "In ", h("code", {}, done.folder)));
  }
  function finished() {
    show();
    if (app.exported?.commands) command.replaceChildren(h("code", {}, linesOf(app.exported))); // now with the paths of the session files
    results.scrollIntoView({ block: "nearest" });
  }
  app.on(["export"], finished);
  const dialog = openDialog("Export", [
    h("h3", {}, "Tracks of points"),
    choices("tracks", boot.formats.tracks, ["npz"], noPoints),
    h("h3", {}, "Masks of objects"),
    choices("masks", boot.formats.masks, ["npz"], noObjects),
    h("h3", {}, "Drawn video"),
    choices("videos", boot.formats.videos, ["mp4"], noPoints && noObjects && "There is nothing to draw yet."),
    h("h3", {}, "Edited video"),
    h("div", { class: "choices" }, background.element, hide.element, h("span", { class: "quiet" }, noObjects)),
    h("h3", {}, "How"),
    h("div", { class: "choices" },
      h("label", {}, sessions, "session files"),
      h("label", {}, ranged, "marked range only"),
      h("label", {}, sound, "sound of the original"),
      h("label", {}, labels, "names in the video"),
      h("label", {}, "smooth ", smooth),
      h("label", {}, "trail ", trail),
      h("label", {}, "opacity ", opacity)),
    h("h3", {}, "The same on the command line"),
    command,
    results,
  ], [go]);
  dialog.addEventListener("close", () => app.listeners.get("export")?.delete(finished));
  if (app.exporting) writing();
  else show();
  tell();
}

/** The sheet of keys. */
export function showKeys() {
  const rows = KEYS.flatMap((group) => [h("h3", {}, group.title), h("div", { class: "keys" }, ...group.keys.map(([keys, words]) => h("div", {}, h("span", { class: "what" }, words), h("span", {}, ...keys.split(" ").map((key) => h("kbd", {}, key))))))]);
  openDialog("Keys", rows);
}

/** @param {App} app @returns {HTMLElement} what is shown while no video is open */
export function welcome(app) {
  return h("div", { class: "welcome" }, h("div", { class: "card" }, h("h1", {}, "Open a video"), h("p", { class: "quiet" }, "Click what you want to follow, let it run, correct where it goes wrong, take the masks and tracks with you."), opening(app, () => {})));
}
