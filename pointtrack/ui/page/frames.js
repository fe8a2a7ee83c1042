/** Frames as pictures: the one looked at first, the next ones ahead, and no more than fit. */

import { blob } from "./api.js";

const MOST_PIXELS = 60e6;
const MOST_WIDE = 1920; // of the pictures that are kept
const MOST_AT_ONCE = 3;
const COARSE = 2; // screen pixels for one of such a picture, from which on all pixels of the frame are asked for
const REST = 150; // milliseconds on a frame before that

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
    this.width = wh[0] > MOST_WIDE ? MOST_WIDE : 0;
    this.reduced = this.width ? this.width / wh[0] : 1;
    this.most = Math.max(Math.floor(MOST_PIXELS / (wh[0] * wh[1] * this.reduced ** 2)), 8);
    /** @type {Map<number, ImageBitmap>} */
    this.pictures = new Map();
    /** @type {Map<number, AbortController>} */
    this.asked = new Map();
    this.wanted = 0;
    this.way = 1;
    /** @type {string|null} */
    this.problem = null;
    /** @type {{frame: number, picture: ImageBitmap|null}} the frame of which all pixels are there, or on their way */
    this.whole = { frame: -1, picture: null };
    this.resting = 0;
  }

  /**
   * All pixels of a frame, where those of its kept picture are coarse on the screen.
   * @param {number} frame @param {number} scale screen pixels for a pixel of the frame
   * @returns {ImageBitmap|null} null where the kept picture does, or until they are there
   */
  sharp(frame, scale) {
    if (this.reduced === 1 || scale < COARSE * this.reduced) return null;
    if (frame !== this.whole.frame) {
      this.whole.picture?.close();
      this.whole = { frame, picture: null };
      clearTimeout(this.resting);
      this.resting = window.setTimeout(() => this.fetchWhole(this.whole), REST);
    }
    return this.whole.picture;
  }

  /** @param {{frame: number, picture: ImageBitmap|null}} whole */
  async fetchWhole(whole) {
    try {
      const picture = await createImageBitmap(await blob(this.path(whole.frame)));
      if (whole === this.whole) whole.picture = picture;
      else picture.close();
    } catch {
      await new Promise((done) => setTimeout(done, 500));
      if (whole === this.whole) this.whole = { frame: -1, picture: null }; // the next drawing asks again
    }
    this.changed();
  }

  /** @param {number} frame @returns {string} where its picture is */
  path(frame) {
    return `/api/p/${encodeURIComponent(this.project)}/frame/${frame}`;
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
      const content = await blob(`${this.path(frame)}${this.width ? `?w=${this.width}` : ""}`, controller.signal);
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
