/** Frames as pictures: the one looked at first, the next ones ahead, and no more than fit. */

import { blob } from "./api.js";

const MOST_PIXELS = 60e6;
const MOST_AT_ONCE = 3;

export class Frames {
  /**
   * @param {string} project
   * @param {number} count
   * @param {number[]} wh
   * @param {() => void} changed
   */
  constructor(project, count, wh, changed) {
    this.project = project;
    this.count = count;
    this.changed = changed;
    this.width = wh[0] > 1920 ? 1920 : 0;
    this.most = Math.max(Math.floor(MOST_PIXELS / (wh[0] * wh[1])), 8);
    /** @type {Map<number, ImageBitmap>} */
    this.pictures = new Map();
    /** @type {Map<number, AbortController>} */
    this.asked = new Map();
    this.wanted = 0;
    this.way = 1;
    /** @type {string|null} */
    this.problem = null;
  }

  /**
   * The picture of a frame if it is there; it is asked for in any case, with some behind it.
   * @param {number} frame
   * @returns {ImageBitmap|undefined}
   */
  at(frame) {
    if (frame !== this.wanted) this.way = frame < this.wanted ? -1 : 1;
    this.wanted = frame;
    this.pump();
    return this.pictures.get(frame);
  }

  /** Ask for what is missing, the frame looked at first; what nobody looks at any more is broken off. */
  pump() {
    const next = [0, 1, 2, 3, 4, 5].map((step) => this.wanted + this.way * step);
    for (const [frame, controller] of this.asked) if (!next.includes(frame)) controller.abort();
    for (const frame of next) {
      if (this.asked.size >= MOST_AT_ONCE && frame !== this.wanted) return;
      if (frame < 0 || frame >= this.count || this.pictures.has(frame) || this.asked.has(frame)) continue;
      if (frame !== this.wanted && !this.pictures.has(this.wanted)) return;
      this.fetch(frame);
    }
  }

  /** @param {number} frame */
  async fetch(frame) {
    const controller = new AbortController();
    this.asked.set(frame, controller);
    try {
      const content = await blob(`/api/p/${encodeURIComponent(this.project)}/frame/${frame}${this.width ? `?w=${this.width}` : ""}`, controller.signal);
      this.pictures.set(frame, await createImageBitmap(content));
      this.problem = null;
      if (this.pictures.size > this.most) {
        const far = [...this.pictures.keys()].sort((a, b) => Math.abs(b - this.wanted) - Math.abs(a - this.wanted))[0];
        this.pictures.get(far)?.close();
        this.pictures.delete(far);
      }
    } catch (error) {
      if (/** @type {Error} */ (error).name !== "AbortError") {
        this.problem = /** @type {Error} */ (error).message;
        await new Promise((done) => setTimeout(done, 500));
      }
    }
    this.asked.delete(frame);
    this.changed();
  }
}
