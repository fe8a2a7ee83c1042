/** The picture with all that is drawn over it. What a person does to it is in tools.js. */

import { colorOf, css } from "./colors.js";
import { h, icon } from "./dom.js";
import { paint, unpack } from "./masks.js";
import { pickAnswer } from "./objects.js";
import { Tools } from "./tools.js";
import { ViewPort } from "./view.js";

const SEEN = 0.5;

export class Stage {
  /** @param {import("./app.js").App} app @param {HTMLElement} place */
  constructor(app, place) {
    this.app = app;
    this.place = place;
    this.port = new ViewPort();
    this.ground = h("canvas", { "aria-hidden": "true" });
    this.over = h("canvas", { tabindex: "0", role: "application", "aria-label": "Picture. Press question mark for the keys, K for a pointer that the arrow keys move.", id: "picture" });
    this.hint = h("div", { class: "hint" });
    this.corner = h("div", { class: "corner mono" });
    this.answers = h("div", { class: "answers", role: "group", "aria-label": "Other answers of the segmenter", hidden: true });
    place.replaceChildren(this.ground, this.over, this.hint, this.corner, this.answers);
    this.tools = new Tools(app, this);
    this.due = false;
    this.shownFrame = -1;
    /** @type {any} */
    this.shownCandidates = null;
    new ResizeObserver(() => this.resize()).observe(place);
    app.on(["state", "frame", "tool", "selection", "settings", "data"], () => this.draw());
    app.on(["project"], () => {
      this.port.wh = app.state?.wh ?? [1, 1];
      this.port.aspect = app.state?.aspect ?? 1;
      this.port.fit();
      this.draw();
    });
    this.resize();
  }

  resize() {
    const { clientWidth, clientHeight } = this.place;
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.ground, this.over]) {
      canvas.width = Math.round(clientWidth * ratio);
      canvas.height = Math.round(clientHeight * ratio);
    }
    this.port.resize(clientWidth, clientHeight);
    this.draw();
  }

  /** Draw soon, once. */
  draw() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.drawNow();
    });
  }

  drawNow() {
    const { app, port } = this;
    const ratio = window.devicePixelRatio || 1;
    const ground = /** @type {CanvasRenderingContext2D} */ (this.ground.getContext("2d"));
    const over = /** @type {CanvasRenderingContext2D} */ (this.over.getContext("2d"));
    over.setTransform(ratio, 0, 0, ratio, 0, 0);
    over.clearRect(0, 0, port.width, port.height);
    if (!app.state || !app.frames) return;
    const picture = app.frames.at(app.frame);
    if (picture) {
      ground.setTransform(ratio, 0, 0, ratio, 0, 0);
      ground.clearRect(0, 0, port.width, port.height);
      ground.imageSmoothingEnabled = port.scale < 2.5;
      ground.drawImage(app.frames.sharp(app.frame, ratio * port.across) ?? picture, port.x, port.y, port.wh[0] * port.across, port.wh[1] * port.scale);
      this.shownFrame = app.frame;
    }
    this.ground.style.filter = app.settings.brightness === 1 ? "" : `brightness(${app.settings.brightness})`;
    this.drawMasks(over);
    this.drawPoints(over);
    this.drawSaid(over);
    this.tools.draw(over);
    this.tell();
    this.showAnswers();
  }

  /** @param {CanvasRenderingContext2D} over */
  drawMasks(over) {
    const { app, port } = this;
    const kept = app.state?.objects.length ? app.masks?.at(app.frame) : null;
    if (!kept) return;
    const hidden = new Set(app.state?.view.hidden);
    over.imageSmoothingEnabled = port.scale < 2.5;
    for (const row of kept.answer.objects) {
      if (!row.mask || hidden.has(`o${row.id}`)) continue;
      if (this.tools.paints(row.id)) continue; // what is being painted is drawn there
      const color = colorOf(app.state?.view.colors[`o${row.id}`], row.id);
      const key = `${row.id} ${color}`;
      const painted = kept.painted.get(key) ?? paint(row.mask, color);
      kept.painted.set(key, painted);
      const [x, y] = [port.x + painted.x * port.across, port.y + painted.y * port.scale];
      const [w, height] = [painted.fill.width * port.across, painted.fill.height * port.scale];
      over.globalAlpha = app.settings.opacity;
      over.drawImage(painted.fill, x, y, w, height);
      over.globalAlpha = 1;
      if (app.settings.outline) over.drawImage(painted.edge, x, y, w, height);
    }
  }

  /** @param {CanvasRenderingContext2D} over */
  drawPoints(over) {
    const { app, port } = this;
    const state = app.state;
    if (!state?.points.length || !app.tracks) return;
    const hidden = app.hiddenPoints();
    const groups = new Map(state.points.map((one) => [one.id, one.group]));
    const fixed = new Set(state.points.filter((one) => one.fixes.includes(app.frame)).map((one) => one.id));
    /** @type {({ids: number[], values: Float32Array}|null)[]} */
    const trail = [];
    for (let frame = Math.max(app.frame - app.settings.trail, 0); frame <= app.frame; frame++) trail.push(app.tracks.at(frame));
    const now = trail[trail.length - 1];
    if (!now) return;
    now.ids.forEach((id, place) => {
      if (hidden.has(id) || !groups.has(id)) return;
      const color = colorOf(state.view.colors[`p${id}`] ?? state.view.colors[`g${groups.get(id)}`], id);
      const chosen = app.selection?.kind === "point" ? app.selection.id === id : app.selection?.kind === "group" && app.selection.id === groups.get(id);
      this.drawTrail(over, trail, id, place, color);
      let [x, y, seen] = now.values.subarray(3 * place, 3 * place + 3);
      const dragged = this.tools.dragged(id);
      if (dragged) [x, y, seen] = [...dragged, 1];
      if (Number.isNaN(x)) return;
      const [sx, sy] = port.toStage(x, y);
      const radius = app.settings.size;
      over.lineWidth = 1.5;
      over.beginPath();
      over.arc(sx, sy, radius, 0, 7);
      if (seen > SEEN) {
        over.fillStyle = css(color);
        over.fill();
        over.strokeStyle = "rgb(0 0 0 / .75)";
        over.stroke();
      } else {
        over.strokeStyle = "rgb(0 0 0 / .6)";
        over.lineWidth = 3.5;
        over.stroke();
        over.strokeStyle = css(color);
        over.lineWidth = 1.8;
        over.setLineDash([2.5, 2.5]);
        over.stroke();
        over.setLineDash([]);
      }
      if (fixed.has(id)) {
        over.strokeStyle = "#fff";
        over.lineWidth = chosen && app.selection?.kind === "point" ? 2 : 1;
        over.strokeRect(sx - radius - 2.5, sy - radius - 2.5, 2 * radius + 5, 2 * radius + 5);
      }
      if (chosen) {
        over.strokeStyle = "#fff";
        const alone = app.selection?.kind === "point";
        over.lineWidth = alone ? 2 : 1;
        over.beginPath();
        over.arc(sx, sy, radius + (alone ? 6 : 2), 0, 7);
        over.stroke();
      }
    });
  }

  /**
   * @param {CanvasRenderingContext2D} over
   * @param {({ids: number[], values: Float32Array}|null)[]} trail
   * @param {number} id @param {number} place @param {number[]} color
   */
  drawTrail(over, trail, id, place, color) {
    over.lineWidth = 1.6;
    /** @type {number[]|null} */
    let last = null;
    trail.forEach((row, step) => {
      const at = row && row.ids[place] === id ? place : -1;
      const [x, y, seen] = at < 0 || !row ? [NaN, NaN, 0] : row.values.subarray(3 * at, 3 * at + 3);
      const here = Number.isNaN(x) || seen <= SEEN ? null : this.port.toStage(x, y);
      if (last && here) {
        over.strokeStyle = css(color, 0.15 + (0.75 * step) / trail.length);
        over.beginPath();
        over.moveTo(last[0], last[1]);
        over.lineTo(here[0], here[1]);
        over.stroke();
      }
      last = here;
    });
  }

  /** The clicks and the box of this frame. @param {CanvasRenderingContext2D} over */
  drawSaid(over) {
    const { app, port } = this;
    const kept = app.state?.objects.length ? app.masks?.at(app.frame) : null;
    for (const row of kept?.answer.objects ?? []) {
      if (!row.said || app.state?.view.hidden.includes(`o${row.id}`)) continue;
      const chosen = app.selection?.kind === "object" && app.selection.id === row.id;
      over.globalAlpha = chosen ? 1 : 0.55;
      if (row.said.box) {
        const [x0, y0] = port.toStage(row.said.box[0] - 0.5, row.said.box[1] - 0.5);
        const [x1, y1] = port.toStage(row.said.box[2] + 0.5, row.said.box[3] + 0.5);
        over.strokeStyle = css(colorOf(app.state?.view.colors[`o${row.id}`], row.id));
        over.lineWidth = 2;
        over.setLineDash([6, 4]);
        over.strokeRect(x0, y0, x1 - x0, y1 - y0);
        over.setLineDash([]);
      }
      for (const [x, y, on] of row.said.clicks) this.mark(over, port.toStage(x, y), on > 0);
      over.globalAlpha = 1;
    }
    over.globalAlpha = 0.55;
    for (const { frame, points, labels } of app.asked)
      if (frame === app.frame) points.forEach(([x, y], at) => this.mark(over, port.toStage(x, y), labels[at] > 0));
    over.globalAlpha = 1;
  }

  /** A click: a plus or a minus on a disc. @param {CanvasRenderingContext2D} over @param {number[]} at @param {boolean} on */
  mark(over, [x, y], on) {
    over.beginPath();
    over.arc(x, y, 7.5, 0, 7);
    over.fillStyle = on ? "#1f9d61" : "#d33d31";
    over.fill();
    over.lineWidth = 2;
    over.strokeStyle = "#fff";
    over.stroke();
    over.beginPath();
    over.moveTo(x - 3.5, y);
    over.lineTo(x + 3.5, y);
    if (on) {
      over.moveTo(x, y - 3.5);
      over.lineTo(x, y + 3.5);
    }
    over.stroke();
  }

  /** Words in the corners. */
  tell() {
    const { app } = this;
    this.hint.textContent = app.frames?.problem ?? this.tools.words();
    const zoom = `${Math.round(100 * this.port.scale)} %`;
    const place = this.tools.pointer;
    this.corner.textContent = place ? `${place[0].toFixed(1)}, ${place[1].toFixed(1)}  ·  ${zoom}` : zoom;
  }

  /** The other answers to a click, as small pictures. */
  showAnswers() {
    const { app } = this;
    if (app.candidates === this.shownCandidates) return;
    this.shownCandidates = app.candidates;
    this.answers.hidden = !app.candidates;
    const asked = app.candidates;
    if (!asked) return;
    const picture = app.frames?.at(asked.frame);
    // All show the same place, so that they can be compared: where the largest one is, with some room around it.
    const boxes = asked.candidates.map((one) => one.mask.box);
    const [left, top] = [Math.min(...boxes.map((box) => box[0])), Math.min(...boxes.map((box) => box[1]))];
    const [right, bottom] = [Math.max(...boxes.map((box) => box[0] + box[2])), Math.max(...boxes.map((box) => box[1] + box[3]))];
    const middle = [(left + right) / 2, (top + bottom) / 2];
    const aspect = this.port.aspect;
    const scale = Math.min(192 / (1.25 * (right - left) * aspect), 124 / (1.25 * (bottom - top)), 4);
    const buttons = asked.candidates.map((candidate, place) => {
      const canvas = h("canvas", { width: 192, height: 124 });
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
      const [w, height] = app.state?.wh ?? [1, 1];
      const fit = Math.max(scale, 192 / (w * aspect), 124 / height); // never more than the frame
      const across = fit * aspect;
      const [x, y] = [Math.min(Math.max(96 - middle[0] * across, 192 - w * across), 0), Math.min(Math.max(62 - middle[1] * fit, 124 - height * fit), 0)];
      if (picture) {
        context.drawImage(picture, x, y, w * across, height * fit);
        context.globalAlpha = 0.65;
      }
      const painted = paint(candidate.mask, colorOf(app.state?.view.colors[`o${asked.object}`], asked.object));
      context.drawImage(painted.fill, x + painted.x * across, y + painted.y * fit, painted.fill.width * across, painted.fill.height * fit);
      const share = Math.round(100 * candidate.score);
      return h("button", { type: "button", "aria-label": `Answer ${place + 1}, predicted overlap ${share} %`, onclick: () => pickAnswer(app, place) }, canvas, `${place + 1} · ${share} %`);
    });
    const close = h("button", { type: "button", class: "plain", "aria-label": "Keep the mask as it is", onclick: () => { app.candidates = null; this.draw(); } }, icon("close"));
    this.answers.replaceChildren(...buttons, close);
  }

  /**
   * The mask of an object on this frame as pixels of the whole frame.
   * @param {number} object
   * @returns {Uint8Array}
   */
  pixelsOf(object) {
    const [w, height] = this.port.wh;
    const pixels = new Uint8Array(w * height);
    const coded = this.app.masks?.at(this.app.frame)?.answer.objects.find((one) => one.id === object)?.mask;
    if (!coded) return pixels;
    const [x, y, bw, bh] = coded.box;
    const inside = unpack(coded);
    for (let row = 0; row < bh; row++) pixels.set(inside.subarray(row * bw, (row + 1) * bw), (y + row) * w + x);
    return pixels;
  }
}
