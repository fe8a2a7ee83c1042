/** Keys for everything; the sheet of keys is made from the same table. */

import { keyOf } from "./app.js";
import { clearHere, markAbsent, removeChosen } from "./chosen.js";
import { pickAnswer } from "./objects.js";

/** @type {{title: string, keys: [string, string][]}[]} */
export const KEYS = [
  { title: "Frames", keys: [["Space", "Play or pause"], ["← →", "One frame back or on"], ["Shift ← →", "Ten frames"], ["Home End", "First, last frame"], [", .", "Last or next frame with a click of yours"], ["I U", "Range begins, ends here"], ["W", "Next frame worth a correction"]] },
  { title: "Tools", keys: [["V", "Move and choose"], ["C", "Click on objects"], ["M", "Click on what does not belong"], ["B", "Box"], ["D", "Brush"], ["E", "Eraser"], ["[ ]", "Smaller, larger brush"], ["P", "Points"], ["R", "Region of points"], ["G", "Grid or corners"]] },
  { title: "Objects and points", keys: [["N", "New object"], ["1 2 3", "Choose an answer"], ["X", "Absent here, or in the range"], ["Tab", "Through buttons and lists"], ["PgUp PgDn", "Choose the one before, the next"], ["H", "Hide or show the chosen one"], ["L", "Lock or unlock it"], ["Backspace", "Take back what was said here"], ["Delete", "Remove the chosen one"]] },
  { title: "Runs", keys: [["Shift P", "Propagate both ways"], ["Shift F", "Propagate forward"], ["Shift B", "Propagate backward"], ["Esc", "Stop"]] },
  { title: "Picture", keys: [["+ −", "Zoom"], ["0", "Whole frame"], ["O", "Masks: full, light, none"], ["K", "Pointer moved by arrow keys"], ["Enter", "Click there (Alt: beside)"]] },
  { title: "Page", keys: [["Ctrl Z", "Undo"], ["Ctrl Shift Z", "Redo"], ["Ctrl O", "Open"], ["Ctrl E", "Export"], ["T", "Light or dark"], ["?", "This sheet"]] },
  { title: "Review", keys: [["A", "Accept and next"], ["Q", "Reject with a reason"], ["J", "Next without a verdict"]] },
];

/**
 * @param {import("./app.js").App} app
 * @param {{stage: import("./stage.js").Stage, timeline: import("./timeline.js").Timeline, help: () => void, open: () => void, save: () => void, points: () => void, theme: () => void, review: (verdict: string) => void}} parts
 */
export function bindKeys(app, parts) {
  const { stage, timeline } = parts;
  /** @type {Record<string, () => void>} */
  const plain = {
    " ": () => timeline.transport.toggle(),
    ArrowLeft: () => app.show(app.frame - 1),
    ArrowRight: () => app.show(app.frame + 1),
    Home: () => app.show(0),
    End: () => app.show((app.state?.frames ?? 1) - 1),
    ",": () => app.show(nextKey(app, -1)),
    ".": () => app.show(nextKey(app, 1)),
    i: () => app.mark("in"),
    u: () => app.mark("out"),
    w: () => app.suggest(),
    v: () => app.use("move"),
    c: () => app.use("click"),
    m: () => app.use("beside"),
    b: () => app.use("box"),
    d: () => app.use("brush"),
    e: () => app.use("eraser"),
    p: () => app.use("point"),
    r: () => app.use("grid"),
    g: () => parts.points(),
    "[": () => app.set({ brush: Math.max(app.settings.brush * 0.8, 1) }),
    "]": () => app.set({ brush: Math.min(app.settings.brush * 1.25, 200) }),
    n: () => { app.select(null); app.use("click"); },
    1: () => pickAnswer(app, 0),
    2: () => pickAnswer(app, 1),
    3: () => pickAnswer(app, 2),
    x: () => markAbsent(app),
    h: () => toggle(app, "hidden"),
    l: () => toggle(app, "locked"),
    PageUp: () => step(app, -1),
    PageDown: () => step(app, 1),
    Backspace: () => clearHere(app),
    Delete: () => removeChosen(app),
    Escape: () => { app.candidates = null; if (app.state?.run) app.cancel("run"); stage.draw(); },
    "+": () => { stage.port.zoom(1.25, stage.port.width / 2, stage.port.height / 2); stage.draw(); },
    "=": () => { stage.port.zoom(1.25, stage.port.width / 2, stage.port.height / 2); stage.draw(); },
    "-": () => { stage.port.zoom(0.8, stage.port.width / 2, stage.port.height / 2); stage.draw(); },
    0: () => { stage.port.fit(); stage.draw(); },
    o: () => app.set({ opacity: app.settings.opacity > 0.3 ? 0.2 : app.settings.opacity > 0 ? 0 : 0.45 }),
    t: () => parts.theme(),
    "?": () => parts.help(),
    a: () => parts.review("accepted"),
    q: () => parts.review("rejected"),
    j: () => parts.review("skip"),
  };
  /** @type {Record<string, () => void>} */
  const shifted = {
    P: () => app.run("both"),
    F: () => app.run("forward"),
    B: () => app.run("backward"),
    ArrowLeft: () => app.show(app.frame - 10),
    ArrowRight: () => app.show(app.frame + 10),
  };
  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (document.querySelector("dialog[open]") || target.matches("input:not([type=checkbox]):not([type=range]), textarea, select")) return;
    const command = event.ctrlKey || event.metaKey;
    let act = null;
    if (command) {
      const key = event.key.toLowerCase();
      if (key === "z") act = event.shiftKey ? () => app.act("redo") : () => app.act("undo");
      else if (key === "y") act = () => app.act("redo");
      else if (key === "o") act = parts.open;
      else if (key === "e") act = parts.save;
    } else if (stage.tools.key(event)) act = () => {};
    else if (event.altKey) return;
    else {
      if ((event.key === " " || event.key === "Enter") && target.matches("button, summary, a, input")) return; // its own key
      if (target.matches("input[type=range]") && event.key.startsWith("Arrow")) return;
      act = (event.shiftKey ? shifted[event.key] : undefined) ?? plain[event.key] ?? plain[event.key.toLowerCase()];
      if (event.shiftKey && /^[a-z]$/i.test(event.key) && !shifted[event.key]) act = null;
    }
    if (!act) return;
    event.preventDefault();
    act();
  });
}

/** @param {import("./app.js").App} app @param {number} way @returns {number} the next frame with something said, of the chosen one or of all */
function nextKey(app, way) {
  const state = app.state;
  if (!state) return 0;
  const chosen = app.selection;
  const objects = state.objects.filter((one) => !chosen || chosen.kind !== "object" || one.id === chosen.id).flatMap((one) => one.keys);
  const points = state.points.filter((one) => !chosen || (chosen.kind === "point" && one.id === chosen.id) || (chosen.kind === "group" && one.group === chosen.id)).flatMap((one) => one.fixes);
  const keys = chosen?.kind === "object" ? objects : chosen ? points : [...objects, ...points];
  const found = keys.filter((frame) => (way > 0 ? frame > app.frame : frame < app.frame)).sort((a, b) => (a - b) * way);
  return found[0] ?? app.frame;
}

/** @param {import("./app.js").App} app @param {number} way */
function step(app, way) {
  const state = app.state;
  if (!state) return;
  /** @type {NonNullable<import("./types.js").Selection>[]} */
  const all = [...state.objects.map((one) => ({ kind: /** @type {"object"} */ ("object"), id: one.id })), ...state.points.map((one) => ({ kind: /** @type {"point"} */ ("point"), id: one.id }))];
  if (!all.length) return;
  const now = all.findIndex((one) => one.kind === app.selection?.kind && one.id === app.selection.id);
  app.select(all[(now + way + all.length) % all.length]);
}

/** @param {import("./app.js").App} app @param {"hidden"|"locked"} list */
function toggle(app, list) {
  const chosen = app.selection;
  if (!chosen || (list === "locked" && chosen.kind === "group")) return;
  const key = keyOf(chosen);
  const now = app.state?.view[list].includes(key);
  const words = list === "hidden" ? (now ? "shown" : "hidden") : now ? "unlocked" : "locked";
  app.toggle(list, key, `${chosen.kind} ${chosen.id} ${words}`);
}
