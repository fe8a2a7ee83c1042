/** A lane for every object and point: how sure what is known is, and what a person said. */

import { colorOf, css } from "./colors.js";
import { clock, h } from "./dom.js";
import { Transport } from "./transport.js";

const LABEL = 136;
const RULER = 24;
const ROW = 19;
export const UNKNOWN = 255; // in a lane
const EDGE = 0.05; // of what is shown lies beyond a frame that the lanes follow

export class Timeline {
  /** @param {import("./app.js").App} app @param {HTMLElement} place */
  constructor(app, place) {
    this.app = app;
    this.first = 0;
    this.last = 1; // shares of the video that are shown
    this.scroll = 0;
    /** Where the names of the lanes were last dragged, as touch screens have no wheel. @type {number | null} */
    this.dragged = null;
    this.revealed = true; // whether the lane of what was chosen has come into view
    this.due = false;
    const transport = h("div", { class: "transport" });
    this.canvas = h("canvas", { tabindex: "0", role: "slider", "aria-label": "Frame", "aria-valuemin": "0", id: "lanes" });
    const lanes = h("div", { class: "lanes" }, this.canvas);
    place.replaceChildren(transport, lanes);
    this.transport = new Transport(app, transport);
    /** @type {Map<string, Uint8Array>} */
    this.unpacked = new Map();
    new ResizeObserver(() => this.draw()).observe(lanes);
    app.on(["frame", "state", "lanes", "run", "selection", "settings"], () => this.draw());
    app.on(["lanes"], () => this.unpacked.clear());
    app.on(["project"], () => {
      [this.first, this.last, this.scroll] = [0, 1, 0];
      this.draw();
    });
    app.on(["frame"], () => this.follow());
    app.on(["frame", "state", "project"], () => this.tell());
    app.on(["selection"], () => { this.revealed = false; });
    this.canvas.addEventListener("pointerdown", (event) => this.down(event));
    this.canvas.addEventListener("pointermove", (event) => this.scrub(event));
    this.canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** @returns {{name: string, kind: "object"|"group"|"point", id: number, color: number[], keys: number[], lane: string|undefined, present?: string, hidden: boolean}[]} */
  rows() {
    const { app } = this;
    const state = app.state;
    if (!state) return [];
    const hidden = new Set(state.view.hidden);
    /** @type {ReturnType<Timeline["rows"]>} */
    const rows = state.objects.map((one) => ({
      name: app.nameOf(`o${one.id}`, one.name),
      kind: "object",
      id: one.id,
      color: colorOf(state.view.colors[`o${one.id}`], one.id),
      keys: one.keys,
      lane: app.lanes?.objects[one.id]?.sure,
      present: app.lanes?.objects[one.id]?.present,
      hidden: hidden.has(`o${one.id}`),
    }));
    const groups = new Map();
    for (const point of state.points) groups.set(point.group, [...(groups.get(point.group) ?? []), point]);
    const few = state.points.length <= 60;
    for (const [group, points] of groups) {
      if (points.length > 1) {
        const keys = [...new Set(points.flatMap((/** @type {any} */ one) => one.fixes))].sort((a, b) => a - b);
        rows.push({ name: app.nameOf(`g${group}`, `${points.length} points`), kind: "group", id: group, color: colorOf(state.view.colors[`g${group}`], points[0].id), keys, lane: app.lanes?.groups[group], hidden: hidden.has(`g${group}`) });
        const open = app.selection?.kind === "group" ? app.selection.id === group : points.some((/** @type {any} */ one) => app.selection?.kind === "point" && one.id === app.selection.id);
        if (!open || !few) continue;
      }
      for (const point of points)
        rows.push({ name: `${points.length > 1 ? "   " : ""}${app.nameOf(`p${point.id}`, `point ${point.id}`)}`, kind: "point", id: point.id, color: colorOf(state.view.colors[`p${point.id}`] ?? state.view.colors[`g${group}`], point.id), keys: point.fixes, lane: app.lanes?.points[point.id] ?? (points.length === 1 ? app.lanes?.groups[group] : undefined), hidden: hidden.has(`p${point.id}`) });
    }
    return rows;
  }

  /** For those who do not see it. */
  tell() {
    const { app } = this;
    if (!app.state) return;
    this.canvas.setAttribute("aria-valuemax", String(app.state.frames - 1));
    this.canvas.setAttribute("aria-valuenow", String(app.frame));
    this.canvas.setAttribute("aria-valuetext", `frame ${app.frame}, ${clock(app.seconds)}`);
  }

  /** Where a part of the video is shown, the frame stays in it. */
  follow() {
    const at = (this.app.frame + 0.5) / (this.app.state?.frames ?? 1);
    const span = this.last - this.first;
    if (at >= this.first && at <= this.last) return;
    const first = at < this.first ? at - EDGE * span : at - (1 - EDGE) * span;
    this.first = Math.min(Math.max(first, 0), 1 - span);
    this.last = this.first + span;
  }

  draw() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.drawNow();
    });
  }

  /** @param {number} frame @returns {number} its middle on the canvas */
  xOf(frame) {
    const frames = this.app.state?.frames ?? 1;
    return LABEL + (((frame + 0.5) / frames - this.first) / (this.last - this.first)) * (this.canvas.clientWidth - LABEL - 8);
  }

  drawNow() {
    const { app, canvas } = this;
    const state = app.state;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const style = getComputedStyle(document.documentElement);
    const ink = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!state) return;
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    const rows = this.rows();
    this.reveal(rows, height);
    this.scroll = Math.min(Math.max(this.scroll, 0), Math.max(rows.length * ROW + RULER + 6 - height, 0));
    context.save();
    context.beginPath();
    context.rect(0, RULER, width, height - RULER);
    context.clip();
    rows.forEach((row, place) => {
      const y = RULER + 3 + place * ROW - this.scroll;
      if (y < RULER - ROW || y > height) return;
      const chosen = app.selection?.kind === row.kind && app.selection.id === row.id;
      if (chosen) {
        context.fillStyle = ink("--accent-soft");
        context.fillRect(0, y - 1, width, ROW);
      }
      context.globalAlpha = row.hidden ? 0.45 : 1;
      context.fillStyle = css(row.color);
      context.beginPath();
      context.arc(14 + (row.name.startsWith(" ") ? 10 : 0), y + ROW / 2 - 1, 4.5, 0, 7);
      context.fill();
      context.fillStyle = ink("--text");
      context.fillText(cut(context, row.name.trim(), LABEL - 34), 24 + (row.name.startsWith(" ") ? 10 : 0), y + ROW / 2 - 1);
      this.drawLane(context, row, y, ink);
      context.globalAlpha = 1;
    });
    if (!rows.length) {
      context.fillStyle = ink("--quiet");
      context.fillText("A lane appears here for every object and point.", LABEL + 20, RULER + 24);
    }
    context.restore();
    this.drawRuler(context, width, height, ink);
  }

  /** Scroll to the lane of what was chosen just now. @param {ReturnType<Timeline["rows"]>} rows @param {number} height */
  reveal(rows, height) {
    const { selection } = this.app;
    const place = rows.findIndex((row) => row.kind === selection?.kind && row.id === selection.id);
    if (this.revealed || (selection && place < 0)) return; // a new one comes with the next state
    this.revealed = true;
    if (selection) this.scroll = Math.min(Math.max(this.scroll, (place + 1) * ROW + RULER + 6 - height), place * ROW);
  }

  /** @param {CanvasRenderingContext2D} context @param {ReturnType<Timeline["rows"]>[0]} row @param {number} y @param {(name: string) => string} ink */
  drawLane(context, row, y, ink) {
    const { app } = this;
    const frames = app.state?.frames ?? 1;
    const [left, right] = [LABEL, this.canvas.clientWidth - 8];
    context.save();
    context.beginPath();
    context.rect(left - 6, y - 2, right - left + 12, ROW);
    context.clip();
    context.fillStyle = ink("--ground");
    context.fillRect(left, y + 1, right - left, ROW - 5);
    const values = row.lane && app.lanes ? this.bytes(row.lane) : null;
    const present = row.present ? this.bytes(row.present) : null;
    if (values && app.lanes) {
      const bin = frames / app.lanes.bins;
      for (let at = 0; at < values.length; at++) {
        if (values[at] === UNKNOWN) continue;
        const [x0, x1] = [Math.round(this.xOf(at * bin - 0.5)), Math.round(this.xOf((at + 1) * bin - 0.5))];
        if (x1 < left || x0 > right) continue;
        const sure = values[at] / 250;
        if (present && present[at] < 125) {
          context.fillStyle = ink("--line-strong");
          context.fillRect(x0, y + ROW / 2 - 2, Math.max(x1 - x0, 1), 2);
          continue;
        }
        // Height says it as well as colour.
        const tall = (ROW - 5) * (0.25 + 0.75 * sure);
        context.fillStyle = sureColor(sure);
        context.fillRect(x0, y + 1 + (ROW - 5 - tall), Math.max(x1 - x0, 1), tall);
      }
    }
    for (const frame of row.keys) {
      const x = this.xOf(frame);
      if (x < left - 6 || x > right + 6) continue;
      context.beginPath();
      context.moveTo(x, y + 1);
      context.lineTo(x + 5, y + ROW / 2 - 1.5);
      context.lineTo(x, y + ROW - 4);
      context.lineTo(x - 5, y + ROW / 2 - 1.5);
      context.closePath();
      context.fillStyle = "#fff";
      context.fill();
      context.lineWidth = 1.2;
      context.strokeStyle = "#14171c";
      context.stroke();
    }
    context.restore();
  }

  /** @param {CanvasRenderingContext2D} context @param {number} width @param {number} height @param {(name: string) => string} ink */
  drawRuler(context, width, height, ink) {
    const { app } = this;
    const state = /** @type {import("./types.js").ProjectState} */ (app.state);
    const shown = (this.last - this.first) * state.frames;
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000].find((one) => ((width - LABEL) / shown) * one > 62) ?? 200000;
    context.fillStyle = ink("--quiet");
    context.strokeStyle = ink("--line");
    context.lineWidth = 1;
    for (let frame = Math.ceil((this.first * state.frames) / step) * step; frame < this.last * state.frames; frame += step) {
      const x = this.xOf(frame);
      context.fillText(String(frame), x + 4, 11);
      context.beginPath();
      context.moveTo(x, 4);
      context.lineTo(x, RULER - 2);
      context.stroke();
    }
    const half = (this.xOf(1) - this.xOf(0)) / 2;
    const { in: first, out: last } = state.view;
    context.fillStyle = "rgb(128 140 155 / .28)";
    if (first !== null) context.fillRect(LABEL, 0, Math.max(this.xOf(first) - half - LABEL, 0), height);
    if (last !== null) context.fillRect(this.xOf(last) + half, 0, Math.max(width - 8 - this.xOf(last) - half, 0), height);
    context.setLineDash([3, 3]);
    context.strokeStyle = ink("--warn");
    for (const cut of state.cuts) {
      const x = this.xOf(cut) - half;
      if (x < LABEL) continue;
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, height);
      context.stroke();
    }
    context.setLineDash([]);
    if (state.run) {
      const [x0, x1] = [this.xOf(state.run.start) - half, this.xOf(state.run.stop - 1) + half];
      context.fillStyle = ink("--accent");
      context.globalAlpha = 0.5;
      context.fillRect(x0, RULER - 3, x1 - x0, 2);
      context.globalAlpha = 1;
      const x = this.xOf(state.run.at);
      context.beginPath();
      context.arc(x, RULER - 2, 4, 0, 7);
      context.fill();
    }
    const x = this.xOf(app.frame);
    if (x < LABEL - 1) return;
    context.strokeStyle = ink("--accent");
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x, 2);
    context.lineTo(x, height);
    context.stroke();
    context.fillStyle = ink("--accent");
    context.beginPath();
    context.moveTo(x - 6, 0);
    context.lineTo(x + 6, 0);
    context.lineTo(x, 9);
    context.fill();
  }

  /** @param {string} text base64 @returns {Uint8Array} */
  bytes(text) {
    const found = this.unpacked.get(text);
    if (found) return found;
    const content = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    this.unpacked.set(text, content);
    return content;
  }

  /** @param {PointerEvent} event */
  down(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    if (y > RULER) {
      const row = this.rows()[Math.floor((y - RULER - 3 + this.scroll) / ROW)];
      if (row) this.app.select({ kind: row.kind, id: row.id });
    }
    this.dragged = x < LABEL - 4 ? event.clientY : null;
    this.canvas.setPointerCapture(event.pointerId);
    this.scrub(event);
  }

  /** @param {PointerEvent} event */
  scrub(event) {
    if (!this.canvas.hasPointerCapture(event.pointerId) || !this.app.state) return;
    if (this.dragged !== null) {
      this.scroll += this.dragged - event.clientY;
      this.dragged = event.clientY;
      this.draw();
      return;
    }
    const box = this.canvas.getBoundingClientRect();
    const share = (event.clientX - box.left - LABEL) / (box.width - LABEL - 8);
    this.app.show(Math.floor((this.first + share * (this.last - this.first)) * this.app.state.frames));
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const frames = this.app.state?.frames ?? 1;
    if (event.ctrlKey || event.altKey) {
      const box = this.canvas.getBoundingClientRect();
      const share = Math.min(Math.max((event.clientX - box.left - LABEL) / (box.width - LABEL), 0), 1);
      const at = this.first + share * (this.last - this.first);
      const span = Math.min(Math.max((this.last - this.first) * Math.exp(event.deltaY * 0.003), Math.min(12 / frames, 1)), 1);
      this.first = Math.min(Math.max(at - share * span, 0), 1 - span);
      this.last = this.first + span;
    } else if (event.shiftKey || event.deltaX) {
      const span = this.last - this.first;
      this.first = Math.min(Math.max(this.first + ((event.deltaX || event.deltaY) / 1000) * span, 0), 1 - span);
      this.last = this.first + span;
    } else this.scroll += event.deltaY * 0.5;
    this.draw();
  }
}

/** @param {number} sure @returns {string} red, amber, green */
function sureColor(sure) {
  return `hsl(${Math.round(8 + 140 * Math.min(Math.max((sure - 0.2) / 0.7, 0), 1))} 62% 50%)`;
}

/** @param {CanvasRenderingContext2D} context @param {string} text @param {number} width @returns {string} */
function cut(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let short = text;
  while (short.length > 1 && context.measureText(`${short}…`).width > width) short = short.slice(0, -1);
  return `${short}…`;
}
