/** Two fingers on the picture: they zoom it, and move it. */

export class Pinch {
  constructor() {
    /** @type {Map<number, number[]>} finger -> where it is on the stage */
    this.fingers = new Map();
  }

  /** @param {PointerEvent} event @param {number[]} at on the stage @returns {boolean} whether another finger was there already */
  down(event, at) {
    if (event.pointerType !== "touch") return false;
    if (event.isPrimary) this.fingers.clear(); // a finger whose end was not told of
    this.fingers.set(event.pointerId, at);
    return this.fingers.size > 1;
  }

  /**
   * A finger moves.
   * @param {PointerEvent} event @param {number[]} at on the stage @param {import("./view.js").ViewPort} port that follows two of them
   * @returns {boolean} whether there are two
   */
  move(event, at, port) {
    if (!this.fingers.has(event.pointerId)) return false;
    const before = this.fingers.size > 1 ? this.spread() : null;
    this.fingers.set(event.pointerId, at);
    if (!before) return false;
    const now = this.spread();
    port.pan(now.x - before.x, now.y - before.y);
    port.zoom(now.far / before.far, now.x, now.y);
    return true;
  }

  /** @param {PointerEvent} event */
  up(event) {
    this.fingers.delete(event.pointerId);
  }

  /** @returns {{x: number, y: number, far: number}} the middle of the first two, and how far they are apart */
  spread() {
    const [[x0, y0], [x1, y1]] = this.fingers.values();
    return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, far: Math.max(Math.hypot(x1 - x0, y1 - y0), 1) };
  }
}
