/** Masks of frames: unpacked from run lengths, painted once, and kept while they are valid. */

import { get } from "./api.js";

/** @typedef {import("./types.js").CodedMask} CodedMask */
/** @typedef {import("./types.js").MaskAnswer} MaskAnswer */
/** @typedef {{x: number, y: number, fill: HTMLCanvasElement, edge: HTMLCanvasElement}} Painted */

const MOST_FRAMES = 120;

/**
 * @param {CodedMask} coded
 * @returns {Uint8Array} 0 and 1, row by row inside the box
 */
export function unpack(coded) {
  const [, , w, h] = coded.box;
  const pixels = new Uint8Array(w * h);
  let at = 0;
  coded.runs.forEach((run, place) => {
    if (place % 2) pixels.fill(1, at, at + run);
    at += run;
  });
  return pixels;
}

/**
 * @param {Uint8Array} pixels 0 and 1 of a whole frame
 * @param {number} width
 * @param {number} height
 * @returns {CodedMask|null}
 */
export function pack(pixels, width, height) {
  let [x0, y0, x1, y1] = [width, height, -1, -1];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (pixels[y * width + x]) {
        x0 = Math.min(x0, x);
        x1 = Math.max(x1, x);
        y0 = Math.min(y0, y);
        y1 = Math.max(y1, y);
      }
  if (x1 < 0) return null;
  const runs = [];
  let [value, count] = [0, 0];
  for (let y = y0; y <= y1; y++)
    for (let x = x0; x <= x1; x++) {
      const here = pixels[y * width + x];
      if (here !== value) {
        runs.push(count);
        [value, count] = [here, 0];
      }
      count++;
    }
  runs.push(count);
  return { box: [x0, y0, x1 - x0 + 1, y1 - y0 + 1], runs };
}

/**
 * A mask in a colour: its area, and the line around it.
 * @param {CodedMask} coded
 * @param {number[]} color
 * @returns {Painted}
 */
export function paint(coded, color) {
  const [x, y, w, h] = coded.box;
  const pixels = unpack(coded);
  const fill = new ImageData(w, h);
  const edge = new ImageData(w, h);
  const ink = new Uint32Array(new Uint8Array([...color, 255]).buffer)[0];
  const [filled, edged] = [new Uint32Array(fill.data.buffer), new Uint32Array(edge.data.buffer)];
  for (let row = 0; row < h; row++)
    for (let column = 0; column < w; column++) {
      const at = row * w + column;
      if (!pixels[at]) continue;
      filled[at] = ink;
      const inner =
        column > 0 && column < w - 1 && row > 0 && row < h - 1 && pixels[at - 1] && pixels[at + 1] && pixels[at - w] && pixels[at + w];
      if (!inner) edged[at] = ink;
    }
  return { x, y, fill: canvasOf(fill), edge: canvasOf(edge) };
}

/**
 * @param {ImageData} data
 * @returns {HTMLCanvasElement}
 */
function canvasOf(data) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [data.width, data.height];
  canvas.getContext("2d")?.putImageData(data, 0, 0);
  return canvas;
}

export class Masks {
  /**
   * @param {string} project
   * @param {() => void} changed
   */
  constructor(project, changed) {
    this.project = project;
    this.changed = changed;
    /** @type {Map<number, {answer: MaskAnswer, painted: Map<string, Painted>}>} */
    this.frames = new Map();
    /** @type {Map<number, {answer: MaskAnswer, painted: Map<string, Painted>}>} shown until the new ones are there */
    this.stale = new Map();
    /** @type {Map<number, object>} frame -> the request that is on its way, unless its answer is out of date already */
    this.asked = new Map();
  }

  /** @param {number} [first] @param {number} [last] frames whose masks have changed; all of them without */
  forget(first = 0, last = Infinity) {
    for (const [frame, kept] of this.frames)
      if (frame >= first && frame <= last) {
        this.stale.set(frame, kept);
        this.frames.delete(frame);
      }
    for (const frame of this.asked.keys()) if (frame >= first && frame <= last) this.asked.delete(frame);
    while (this.stale.size > 16) this.stale.delete(/** @type {number} */ (this.stale.keys().next().value));
  }

  /**
   * What is known of a frame now; asks for it where that is nothing.
   * @param {number} frame
   * @returns {{answer: MaskAnswer, painted: Map<string, Painted>}|undefined}
   */
  at(frame) {
    const kept = this.frames.get(frame);
    if (!kept) this.ask(frame);
    return kept ?? this.stale.get(frame);
  }

  /** @param {number} frame */
  async ask(frame) {
    if (this.asked.has(frame) || this.asked.size > 6) return;
    const request = {};
    this.asked.set(frame, request);
    try {
      const answer = await get(`/api/p/${encodeURIComponent(this.project)}/masks/${frame}`);
      const old = this.stale.get(frame);
      if (this.asked.get(frame) !== request) {
        // A run changes masks faster than they come: the newest is shown until the next is there.
        if (!old || old.answer.version <= answer.version) this.stale.set(frame, { answer, painted: new Map() });
      } else {
        this.frames.set(frame, { answer, painted: new Map() });
        this.stale.delete(frame);
        if (this.frames.size > MOST_FRAMES) this.frames.delete(/** @type {number} */ (this.frames.keys().next().value));
      }
    } catch {
      // The socket tells of a server that has gone; the next drawing asks again.
      await new Promise((done) => setTimeout(done, 500));
    }
    if (this.asked.get(frame) === request) this.asked.delete(frame);
    this.changed();
  }
}
