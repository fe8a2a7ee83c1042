/** Tracks in pieces of some frames, read when they are looked at. */

import { bytes } from "./api.js";

/** @typedef {import("./types.js").TrackChunk} TrackChunk */

export const CHUNK = 48;
const MOST_CHUNKS = 60;

export class Tracks {
  /**
   * @param {string} project
   * @param {() => void} changed
   */
  constructor(project, changed) {
    this.project = project;
    this.changed = changed;
    /** @type {Map<number, TrackChunk>} */
    this.chunks = new Map();
    /** @type {Set<number>} */
    this.old = new Set();
    /** @type {Map<number, object>} piece -> the request that is on its way, unless its answer is out of date already */
    this.asked = new Map();
  }

  /** @param {number} [first] @param {number} [last] frames whose tracks have changed; all of them without */
  forget(first = 0, last = Infinity) {
    const changed = (/** @type {number} */ number) => (number + 1) * CHUNK > first && number * CHUNK <= last;
    for (const number of this.chunks.keys()) if (changed(number)) this.old.add(number);
    for (const number of this.asked.keys()) if (changed(number)) this.asked.delete(number);
  }

  /**
   * Where all points are on a frame: three numbers each, x, y, and whether it is seen.
   * @param {number} frame
   * @returns {{ids: number[], values: Float32Array}|null}
   */
  at(frame) {
    const number = Math.floor(frame / CHUNK);
    const chunk = this.chunks.get(number);
    if (!chunk || this.old.has(number)) this.ask(number);
    if (!chunk) return null;
    const row = frame - chunk.start;
    const width = chunk.ids.length * 3;
    return { ids: chunk.ids, values: chunk.values.subarray(row * width, (row + 1) * width) };
  }

  /** @param {number} number */
  async ask(number) {
    if (this.asked.has(number)) return;
    const request = {};
    this.asked.set(number, request);
    try {
      const content = await bytes(`/api/p/${encodeURIComponent(this.project)}/tracks?start=${number * CHUNK}&stop=${(number + 1) * CHUNK}`);
      const length = new DataView(content).getUint32(0, true);
      const head = JSON.parse(new TextDecoder().decode(new Uint8Array(content, 4, length)));
      const valid = this.asked.get(number) === request;
      // A run changes tracks faster than they come: the newest are shown until the next are there.
      if (valid || head.version >= (this.chunks.get(number)?.version ?? 0)) {
        this.chunks.set(number, { ...head, values: new Float32Array(content, 4 + length) });
        if (valid) this.old.delete(number);
        else this.old.add(number);
        if (this.chunks.size > MOST_CHUNKS) this.chunks.delete(/** @type {number} */ (this.chunks.keys().next().value));
      }
    } catch {
      await new Promise((done) => setTimeout(done, 500));
    }
    if (this.asked.get(number) === request) this.asked.delete(number);
    this.changed();
  }
}
