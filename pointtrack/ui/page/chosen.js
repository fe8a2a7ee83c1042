/** What a person does with what is chosen: removes it, clears it here, says that it is absent. */

import { say } from "./dom.js";
import { correctObject } from "./objects.js";

/**
 * Remove what is chosen.
 * @param {import("./app.js").App} app
 */
export async function removeChosen(app) {
  const chosen = app.selection;
  if (!chosen || !app.state) return;
  if (chosen.kind === "object") await app.act("objects.remove", { object: chosen.id });
  else {
    const points = app.state.points.filter((one) => (chosen.kind === "point" ? one.id : one.group) === chosen.id).map((one) => one.id);
    await app.act("points.remove", { points });
  }
}

/**
 * Take back what was said of the chosen one on this frame.
 * @param {import("./app.js").App} app
 */
export async function clearHere(app) {
  const chosen = app.selection;
  if (!chosen) return;
  if (chosen.kind === "object") await correctObject(app, "objects.clear", { object: chosen.id, frame: app.frame });
  else if (chosen.kind === "point") await app.act("points.forget", { point: chosen.id, frame: app.frame });
}

/**
 * The chosen object is not there: on this frame, or in the marked range.
 * @param {import("./app.js").App} app
 */
export async function markAbsent(app) {
  if (app.selection?.kind !== "object" || !app.state) {
    say("Choose an object first: press N for a new one, or click one in the list.", "plain");
    return;
  }
  const { in: first, out: last } = app.state.view;
  const marked = first !== null && last !== null;
  const range = marked ? { frame: first, stop: last + 1 } : { frame: app.frame };
  await correctObject(app, "objects.absent", { object: app.selection.id, ...range });
}
