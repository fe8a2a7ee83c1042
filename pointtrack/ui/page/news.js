/** What the server tells: a new state, a run that goes on, an export that is done. */

import * as api from "./api.js";
import { say } from "./dom.js";

/** @typedef {import("./types.js").ProjectState} ProjectState */

/** @param {import("./app.js").App} app @param {any} event of the server */
export function hear(app, event) {
  if (event.type === "state") {
    take(app, event.state);
    if (app.fresh) catchUp(app);
  }
  else if (event.type === "run" && app.state) {
    app.state.run = event.run;
    app.state.versions = event.versions;
    const { points, objects } = event.changed ?? {};
    if (points) app.tracks?.forget(points[0], points[1]);
    if (objects) app.masks?.forget(objects[0], objects[1]);
    if (event.run && app.settings.follow && app.following && !app.playing && event.run.at !== app.frame) app.show(event.run.at, false);
    askLanes(app, event.run ? 900 : 0);
    app.suggestions = [];
    app.emit("run");
    app.emit("data");
  } else if (event.type === "problem") say(event.message, "bad");
  else if (event.type === "export") {
    const ours = app.exporting;
    app.exported = event;
    app.exporting = false;
    if (app.listeners.get("export")?.size) app.emit("export");
    else if (ours) tellExport(event); // the dialog was closed meanwhile
  }
}

/** @param {any} done export, which no dialog shows */
function tellExport(done) {
  if (done.error) say(`Export: ${done.error}`, "bad");
  else say(`Exported ${done.files.length} files to ${done.folder}. The export dialog (Ctrl+E) lists them.`, "good");
}

/**
 * The first state after a break: what was told meanwhile was not heard.
 * @param {import("./app.js").App} app
 */
function catchUp(app) {
  app.fresh = false;
  app.masks?.forget();
  app.tracks?.forget();
  const written = app.state?.export ?? null;
  if (!app.exporting || !app.overdue || written?.running) return;
  hear(app, written ?? { type: "export", done: true, error: "the export was stopped when the server ended; export again" });
}

/** @param {import("./app.js").App} app @param {ProjectState} state that the server told of */
function take(app, state) {
  const before = app.state;
  app.state = state;
  if (before && before.versions.objects !== state.versions.objects) app.masks?.forget();
  if (before && before.versions.points !== state.versions.points) app.tracks?.forget();
  if (!before || before.serial !== state.serial || before.scanned !== state.scanned) askLanes(app, 0);
  const chosen = app.selection;
  const there =
    chosen === null ||
    (chosen.kind === "object" && state.objects.some((one) => one.id === chosen.id)) ||
    (chosen.kind === "point" && state.points.some((one) => one.id === chosen.id)) ||
    (chosen.kind === "group" && state.points.some((one) => one.group === chosen.id));
  if (!there) app.select(null);
  const asked = app.candidates; // of a click that was undone or cleared there are none
  if (asked && !state.objects.some((one) => one.id === asked.object && one.keys.includes(asked.frame))) app.candidates = null;
  app.suggestions = [];
  app.emit("state");
  app.emit("run");
  app.emit("data");
}

/** @param {import("./app.js").App} app @param {number} wait milliseconds after which lanes are read again */
export function askLanes(app, wait) {
  if (app.laneTimer && wait) return;
  clearTimeout(app.laneTimer);
  app.laneTimer = window.setTimeout(async () => {
    app.laneTimer = 0;
    if (!app.state) return;
    try {
      app.lanes = await api.get(`${app.base}/lanes?bins=${Math.min(app.state.frames, 1200)}`);
      app.emit("lanes");
    } catch {
      // The next change asks again.
    }
  }, wait);
}
