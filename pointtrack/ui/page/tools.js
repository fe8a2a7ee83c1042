/** What a person does to the picture, with a pointer or with keys alone. */

import { colorOf, css } from "./colors.js";
import { say } from "./dom.js";
import { pack } from "./masks.js";
import { boxObject, clickObject, drawObject } from "./objects.js";
import { Painting } from "./painting.js";
import { Pinch } from "./pinch.js";
import { addPoints, correctPoint } from "./points.js";

/** @type {Record<string, string>} */
const WORDS = {
  move: "Drag to pan, wheel to zoom, click to choose. Drag a point to correct it.",
  click: "Click on an object; Alt-click or right-click what does not belong to it.",
  beside: "Click on what does not belong to the object.",
  box: "Drag a box around an object.",
  brush: "Paint what belongs to the object. [ and ] change the size.",
  eraser: "Paint over what does not belong to the object. [ and ] change the size.",
  point: "Click to track a point. Drag a point to where it is: the track will pass through there.",
  grid: "Drag a region for a grid of points.",
};
/** @type {Record<string, string>} where fingers are the pointers */
const TOUCH_WORDS = {
  move: "Drag to pan, two fingers zoom, tap to choose. Drag a point to correct it.",
  click: "Tap an object; the next tool is for what does not belong to it.",
  beside: "Tap what does not belong to the object.",
  brush: "Paint what belongs to the object. The View panel has the size.",
  eraser: "Paint over what does not belong to the object. The View panel has the size.",
  point: "Tap to track a point. Drag a point to where it is: the track will pass through there.",
};
const NEAR = 11; // stage pixels in which a point is meant
const STILL = 3; // stage pixels that a pointer may move without dragging
const TAP = 12; // the same of a finger that taps

export class Tools {
  /** @param {import("./app.js").App} app @param {import("./stage.js").Stage} stage */
  constructor(app, stage) {
    this.app = app;
    this.stage = stage;
    /** @type {number[]|null} pixels of the frame */
    this.pointer = null;
    /** @type {{kind: "pan"|"box"|"grid"|"point"|"paint"|"tap", from: number[], to: number[], id: number, painting?: Painting, tap?: () => void, moved: boolean}|null} */
    this.gesture = null;
    this.keyPointer = false;
    this.space = false;
    this.pinch = new Pinch();
    /** @type {(region: number[]) => void} */
    this.onRegion = () => {};
    const over = stage.over;
    over.addEventListener("pointerdown", (event) => this.down(event));
    over.addEventListener("pointermove", (event) => this.move(event));
    over.addEventListener("pointerup", (event) => this.up(event));
    over.addEventListener("pointercancel", (event) => {
      this.pinch.up(event);
      this.drop();
    });
    over.addEventListener("pointerleave", () => {
      if (!this.gesture && !this.keyPointer) this.pointer = null;
      stage.draw();
    });
    over.addEventListener("contextmenu", (event) => event.preventDefault());
    over.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { x, y } = this.on(event);
      if (event.shiftKey || (event.deltaX && !event.ctrlKey)) stage.port.pan(-event.deltaX - (event.shiftKey ? event.deltaY : 0), event.shiftKey ? 0 : -event.deltaY);
      else stage.port.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0018)), x, y);
      stage.draw();
    }, { passive: false });
    app.on(["frame", "tool", "project"], () => this.drop());
  }

  /** @param {MouseEvent} event @returns {{x: number, y: number}} on the stage */
  on(event) {
    const box = this.stage.over.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  /** @returns {string} what can be done now */
  words() {
    const { app } = this;
    if (!app.state) return "";
    const chosen = app.selection;
    const touch = matchMedia("(pointer: coarse)").matches;
    const words = (touch && TOUCH_WORDS[app.tool]) || WORDS[app.tool];
    if (this.keyPointer) return "Arrow keys move the pointer (Shift: by 10), Enter clicks, Alt+Enter clicks beside, K ends.";
    if (["click", "beside", "box", "brush"].includes(app.tool)) {
      const another = touch ? "New in the list: another object" : "N: another object";
      const whom = chosen?.kind === "object" ? `${app.nameOf(`o${chosen.id}`, `object ${chosen.id}`)}  (${another})` : app.tool === "beside" ? "choose one first" : "a new object";
      return `${words}  →  ${whom}`;
    }
    return words;
  }

  /** @param {number} id @returns {number[]|null} where a dragged point is */
  dragged(id) {
    return this.gesture?.kind === "point" && this.gesture.id === id && this.gesture.moved ? this.gesture.to : null;
  }

  /** @param {number} object @returns {boolean} whether it is being painted */
  paints(object) {
    return this.gesture?.kind === "paint" && this.gesture.id === object;
  }

  drop() {
    this.gesture = null;
    this.stage.draw();
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (!this.app.state) return;
    this.stage.over.focus();
    this.stage.over.setPointerCapture(event.pointerId);
    const { x, y } = this.on(event);
    this.pointer = this.stage.port.toFrame(x, y);
    if (this.pinch.down(event, [x, y])) {
      this.drop(); // what one finger began was not meant
      return;
    }
    if (event.button === 1 || this.space) {
      this.gesture = { kind: "pan", from: [x, y], to: [x, y], id: -1, moved: false };
      return;
    }
    if (event.button === 2 && this.app.tool !== "click" && this.app.tool !== "beside") return;
    this.begin(this.pointer, event.button === 2 || event.altKey, [x, y], event.pointerType === "touch");
  }

  /**
   * Something begins at a place.
   * @param {number[]} at in the frame
   * @param {boolean} beside
   * @param {number[]} on the stage
   * @param {boolean} touch a tap counts when the finger is lifted: a second one may follow
   */
  begin(at, beside, on, touch) {
    const { app, stage } = this;
    const port = stage.port;
    const within = at[0] > -0.5 && at[1] > -0.5 && at[0] < port.wh[0] - 0.5 && at[1] < port.wh[1] - 0.5;
    const place = port.inside(at);
    const tool = app.tool;
    const tapped = (/** @type {() => void} */ tap) => {
      if (touch) this.gesture = { kind: "tap", from: place, to: place, id: -1, tap, moved: false };
      else tap();
    };
    if (tool === "move" || tool === "point") {
      const near = this.pointNear(on);
      if (near !== null) {
        app.select({ kind: "point", id: near });
        if (!this.locked(`p${near}`)) this.gesture = { kind: "point", from: place, to: place, id: near, moved: false };
        return;
      }
    }
    if (tool === "move") {
      const object = this.objectAt(place);
      if (object !== null) app.select({ kind: "object", id: object });
      this.gesture = { kind: "pan", from: on, to: on, id: -1, moved: false };
      return;
    }
    if (!within && tool !== "box" && tool !== "grid") return;
    if (tool === "click" || tool === "beside") {
      beside ||= tool === "beside"; // a touch screen has no second button
      if (beside && app.selection?.kind !== "object") {
        say("Click on the object first; then what does not belong to it.", "plain");
        return;
      }
      if (app.selection?.kind === "object" && this.locked(`o${app.selection.id}`)) return;
      tapped(() => clickObject(app, [place], [beside ? 0 : 1]));
    } else if (tool === "point") tapped(() => addPoints(app, [place]));
    else if (tool === "box" || tool === "grid") this.gesture = { kind: tool, from: place, to: place, id: -1, moved: false };
    else this.beginPainting(place, tool === "brush" && !beside);
  }

  /** @param {number[]} place @param {boolean} add */
  beginPainting(place, add) {
    const { app, stage } = this;
    const id = app.selection?.kind === "object" ? app.selection.id : 0;
    if (!add && !id) {
      say("Choose the object that is to be corrected first.", "plain");
      return;
    }
    if (id && this.locked(`o${id}`)) return;
    if (id && !app.masks?.at(app.frame)) {
      say("The mask of this frame is still on its way: paint again in a moment.", "plain");
      return;
    }
    const number = id || this.nextObject();
    const color = colorOf(app.state?.view.colors[`o${number}`], number);
    const painting = new Painting(stage.pixelsOf(id), stage.port.wh, color, add);
    painting.line(place, place, app.settings.brush);
    this.gesture = { kind: "paint", from: place, to: place, id, painting, moved: true };
    stage.draw();
  }

  /** @returns {number} */
  nextObject() {
    return 1 + Math.max(0, ...(this.app.state?.objects.map((one) => one.id) ?? []));
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { x, y } = this.on(event);
    this.pointer = this.stage.port.toFrame(x, y);
    this.keyPointer = false;
    const gesture = this.gesture;
    if (this.pinch.move(event, [x, y], this.stage.port)) {
      this.stage.draw();
      return;
    }
    if (gesture?.kind === "pan") {
      this.stage.port.pan(x - gesture.to[0], y - gesture.to[1]);
      gesture.to = [x, y];
      gesture.moved = true;
    } else if (gesture) this.drag(this.pointer);
    this.stage.over.style.cursor = this.cursor([x, y]);
    this.stage.draw();
  }

  /** @param {number[]} on the stage @returns {string} */
  cursor(on) {
    const tool = this.app.tool;
    if (this.space || this.gesture?.kind === "pan") return "grabbing";
    if ((tool === "move" || tool === "point") && this.pointNear(on) !== null) return "move";
    if (tool === "brush" || tool === "eraser") return "none";
    return tool === "move" ? "grab" : "crosshair";
  }

  /** @param {number[]} at */
  drag(at) {
    const gesture = this.gesture;
    if (!gesture) return;
    const place = this.stage.port.inside(at);
    gesture.painting?.line(gesture.to, place, this.app.settings.brush);
    const far = (Math.abs(place[0] - gesture.from[0]) + Math.abs(place[1] - gesture.from[1])) * this.stage.port.scale;
    gesture.moved = gesture.moved || far > (gesture.kind === "tap" ? TAP : STILL);
    gesture.to = place;
  }

  /** @param {PointerEvent} event */
  up(event) {
    this.pinch.up(event);
    if (this.stage.over.hasPointerCapture(event.pointerId)) this.stage.over.releasePointerCapture(event.pointerId);
    this.end();
  }

  /** What began comes to its end. */
  end() {
    const gesture = this.gesture;
    this.gesture = null;
    if (!gesture) return;
    const [x0, x1] = [gesture.from[0], gesture.to[0]].sort((a, b) => a - b);
    const [y0, y1] = [gesture.from[1], gesture.to[1]].sort((a, b) => a - b);
    if (gesture.kind === "tap" && !gesture.moved) gesture.tap?.();
    else if (gesture.kind === "point" && gesture.moved) correctPoint(this.app, gesture.id, gesture.to);
    else if (gesture.kind === "box" && x1 - x0 > 1 && y1 - y0 > 1) boxObject(this.app, [x0, y0, x1, y1]);
    else if (gesture.kind === "grid" && x1 - x0 > 1 && y1 - y0 > 1) this.onRegion([x0, y0, x1, y1]);
    else if (gesture.painting) {
      const coded = pack(gesture.painting.pixels, this.stage.port.wh[0], this.stage.port.wh[1]);
      if (coded) drawObject(this.app, coded);
      else say("An empty mask says nothing. Mark the object as absent instead (key X).", "plain");
    }
    this.stage.draw();
  }

  /** @param {string} name @returns {boolean} tells the person, too */
  locked(name) {
    const locked = this.app.state?.view.locked.includes(name) ?? false;
    if (locked) say("It is locked. Unlock it in the list first.", "plain");
    return locked;
  }

  /** @param {number[]} on the stage @returns {number|null} the point that is meant */
  pointNear([x, y]) {
    const { app, stage } = this;
    const now = app.state?.points.length ? app.tracks?.at(app.frame) : null;
    if (!now) return null;
    const hidden = app.hiddenPoints();
    let [best, distance] = [/** @type {number|null} */ (null), NEAR];
    now.ids.forEach((id, place) => {
      const [px, py] = stage.port.toStage(now.values[3 * place], now.values[3 * place + 1]);
      const far = Math.hypot(px - x, py - y);
      if (far < distance && !hidden.has(id)) [best, distance] = [id, far];
    });
    return best;
  }

  /** @param {number[]} place in the frame @returns {number|null} */
  objectAt([x, y]) {
    const rows = this.app.masks?.at(this.app.frame)?.answer.objects ?? [];
    const width = this.stage.port.wh[0];
    const found = rows.find((row) => row.mask && this.stage.pixelsOf(row.id)[Math.round(y) * width + Math.round(x)]);
    return found ? found.id : null;
  }

  /**
   * A key of the pointer that keys move.
   * @param {KeyboardEvent} event
   * @returns {boolean} whether it was one
   */
  key(event) {
    if (event.key === "k" || event.key === "K") {
      this.keyPointer = !this.keyPointer;
      if (this.keyPointer && !this.pointer) this.pointer = [this.stage.port.wh[0] / 2, this.stage.port.wh[1] / 2].map(Math.round);
      if (this.keyPointer) this.stage.over.focus();
      else this.drop();
      this.stage.draw();
      return true;
    }
    if (!this.keyPointer || !this.pointer) return false;
    const far = event.shiftKey ? 10 : 1;
    /** @type {Record<string, number[]>} */
    const ways = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
    const way = ways[event.key];
    if (way) {
      this.pointer = this.stage.port.inside([this.pointer[0] + way[0], this.pointer[1] + way[1]]);
      if (this.gesture) this.drag(this.pointer);
    } else if (event.key === "Enter") {
      const on = this.stage.port.toStage(this.pointer[0], this.pointer[1]);
      if (this.gesture) this.end();
      else this.begin(this.pointer, event.altKey, on, false);
    } else if (event.key === "Escape") {
      this.keyPointer = false;
      this.drop();
    } else return false;
    this.stage.draw();
    return true;
  }

  /** @param {CanvasRenderingContext2D} over */
  draw(over) {
    const { app, stage } = this;
    const port = stage.port;
    const gesture = this.gesture;
    over.globalAlpha = 1;
    if (gesture?.kind === "box" || gesture?.kind === "grid") {
      const [x0, y0] = port.toStage(gesture.from[0], gesture.from[1]);
      const [x1, y1] = port.toStage(gesture.to[0], gesture.to[1]);
      over.fillStyle = "rgb(76 195 138 / .15)";
      over.fillRect(x0, y0, x1 - x0, y1 - y0);
      over.strokeStyle = "#4cc38a";
      over.lineWidth = 2;
      over.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
    if (gesture?.painting) {
      over.globalAlpha = Math.max(app.settings.opacity, 0.35);
      over.imageSmoothingEnabled = port.scale < 2.5;
      over.drawImage(gesture.painting.canvas, port.x, port.y, port.wh[0] * port.across, port.wh[1] * port.scale);
      over.globalAlpha = 1;
    }
    if (!this.pointer) return;
    const [x, y] = port.toStage(this.pointer[0], this.pointer[1]);
    if (app.tool === "brush" || app.tool === "eraser") {
      for (const [width, color] of /** @type {[number, string][]} */ ([[3, "rgb(0 0 0 / .6)"], [1.4, app.tool === "brush" ? "#fff" : "#ff9a8f"]])) {
        over.lineWidth = width;
        over.strokeStyle = color;
        over.beginPath();
        over.ellipse(x, y, Math.max(app.settings.brush * port.across, 2), Math.max(app.settings.brush * port.scale, 2), 0, 0, 7);
        over.stroke();
      }
    }
    if (this.keyPointer) {
      for (const [width, color] of /** @type {[number, string][]} */ ([[4, "rgb(0 0 0 / .7)"], [1.8, css([255, 255, 255])]])) {
        over.lineWidth = width;
        over.strokeStyle = color;
        over.beginPath();
        for (const [dx, dy] of [[-1, 0], [1, 0], [0, -1], [0, 1]]) {
          over.moveTo(x + 5 * dx, y + 5 * dy);
          over.lineTo(x + 17 * dx, y + 17 * dy);
        }
        over.stroke();
      }
    }
  }
}
