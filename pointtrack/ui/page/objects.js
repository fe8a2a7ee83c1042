/** What a person says of an object: clicks, a box, a painted mask, or which answer is meant. */

import * as api from "./api.js";
import { UNKNOWN } from "./timeline.js";

/** @param {import("./app.js").App} app @param {number[][]} points @param {number[]} labels clicks on and beside the chosen object, or a new one */
export async function clickObject(app, points, labels) {
  const frame = app.frame;
  const asked = { frame, points, labels };
  app.asked.add(asked);
  app.emit("data");
  try {
    const answer = await tellObject(app, "objects.click", asked);
    if (!answer) return;
    const said = (await api.get(`${app.base}/masks/${frame}`)).objects.find((/** @type {any} */ one) => one.id === answer.object)?.said;
    if (said?.clicks.length === 1 && labels[0]) askCandidates(app, answer.object, frame);
  } finally {
    app.asked.delete(asked);
    app.emit("data");
  }
}

/** @param {import("./app.js").App} app @param {number} object @param {number} frame */
async function askCandidates(app, object, frame) {
  try {
    const answer = await api.get(`${app.base}/candidates?object=${object}&frame=${frame}`);
    if (app.frame === frame && app.selection?.id === object && answer.candidates.length > 1) app.candidates = answer;
    app.emit("data");
  } catch {
    app.candidates = null;
  }
}

/** @param {import("./app.js").App} app @param {number} place of the answer that is meant */
export async function pickAnswer(app, place) {
  const asked = app.candidates;
  if (!asked || place >= asked.candidates.length) return;
  await correctObject(app, "objects.choose", { object: asked.object, frame: asked.frame, place: asked.candidates[place].place });
}

/** @param {import("./app.js").App} app @param {number[]} box of the chosen object, or a new one */
export async function boxObject(app, box) {
  await tellObject(app, "objects.box", { frame: app.frame, box });
}

/** @param {import("./app.js").App} app @param {import("./types.js").CodedMask} mask as it was painted */
export async function drawObject(app, mask) {
  await tellObject(app, "objects.draw", { frame: app.frame, mask });
}

/**
 * Say something about the chosen object, or begin a new one, which is chosen then. What is said of a new object before
 * it has its number is said of it too; and who chose something else meanwhile keeps that choice.
 * @param {import("./app.js").App} app
 * @param {string} act
 * @param {any} args without the object
 * @returns {Promise<any|null>} the answer
 */
async function tellObject(app, act, args) {
  const { choices, making } = app;
  const chosen = app.selection?.kind === "object" ? app.selection.id : null;
  const tell = async () => {
    const made = chosen === null && making?.choices === choices ? await making.answer : null;
    return correctObject(app, act, { ...args, object: made?.object ?? chosen });
  };
  const answering = tell();
  if (chosen === null) app.making = { choices, answer: answering };
  const answer = await answering;
  if (answer && app.choices === choices) app.choose({ kind: "object", id: answer.object });
  return answer;
}

/**
 * Say something about an object; what was known around it is followed again, if that is wanted.
 * @param {import("./app.js").App} app
 * @param {string} act
 * @param {any} args with the object, or null for a new one
 * @returns {Promise<any|null>}
 */
export async function correctObject(app, act, args) {
  const { base } = app;
  const known = knownAround(app, args.object, args.frame);
  const answer = await app.act(act, args);
  if (answer && act !== "objects.choose") { // those on offer answer what was said before
    app.candidates = null;
    app.emit("data");
  }
  if (answer && known && app.settings.auto && app.state) {
    const [start, stop] = known;
    app.following = false;
    await api.post(`${base}/run`, { what: ["objects"], start, stop, direction: "both", origin: args.frame }).catch(() => {}); // the person may be elsewhere by now
  }
  return answer;
}

/**
 * Frames around one on which an object was known before a correction: they have to be followed anew. A click where it
 * was not known corrects nothing, and begins no run: that is for the person to say.
 * @param {import("./app.js").App} app
 * @param {number|null} object
 * @param {number} frame
 * @returns {[number, number]|null} the first one, and the one behind the last; null for one frame alone
 */
function knownAround(app, object, frame) {
  const lane = object === null ? undefined : app.lanes?.objects[object]?.sure;
  if (!lane || !app.lanes || !app.state) return null;
  const known = [...atob(lane)].map((letter) => letter.charCodeAt(0) !== UNKNOWN);
  const wide = app.state.frames / app.lanes.bins;
  const at = Math.floor(frame / wide);
  if (!known[at]) return null;
  const first = known.lastIndexOf(false, at) + 1;
  const behind = known.indexOf(false, at);
  const last = (behind < 0 ? known.length : behind) - 1;
  return last > first ? [Math.floor(first * wide), Math.min(Math.ceil((last + 1) * wide), app.state.frames)] : null;
}
