/** A mask while a person paints it. */

export class Painting {
  /**
   * @param {Uint8Array} pixels 0 and 1 of the whole frame, which are painted on
   * @param {number[]} wh of the frame
   * @param {number[]} color of the mask
   * @param {boolean} add whether paint belongs to the mask, or is taken from it
   */
  constructor(pixels, wh, color, add) {
    this.pixels = pixels;
    this.wh = wh;
    this.add = add;
    this.ink = new Uint32Array(new Uint8Array([...color, 255]).buffer)[0];
    /** What it looks like. */
    this.canvas = document.createElement("canvas");
    [this.canvas.width, this.canvas.height] = wh;
    this.show(0, 0, wh[0], wh[1]);
  }

  /** Paint a line of discs. @param {number[]} from @param {number[]} to @param {number} radius */
  line(from, to, radius) {
    const [w, height] = this.wh;
    const steps = Math.max(Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / Math.max(radius / 3, 1)), 1);
    for (let step = 0; step <= steps; step++) {
      const x = from[0] + ((to[0] - from[0]) * step) / steps;
      const y = from[1] + ((to[1] - from[1]) * step) / steps;
      for (let row = Math.max(Math.ceil(y - radius), 0); row <= Math.min(y + radius, height - 1); row++) {
        const half = Math.sqrt(Math.max(radius * radius - (row - y) ** 2, 0));
        const [first, last] = [Math.max(Math.ceil(x - half), 0), Math.min(Math.floor(x + half), w - 1)];
        if (first <= last) this.pixels.fill(this.add ? 1 : 0, row * w + first, row * w + last + 1);
      }
    }
    const x0 = Math.max(Math.floor(Math.min(from[0], to[0]) - radius), 0);
    const y0 = Math.max(Math.floor(Math.min(from[1], to[1]) - radius), 0);
    const x1 = Math.min(Math.ceil(Math.max(from[0], to[0]) + radius) + 1, w);
    const y1 = Math.min(Math.ceil(Math.max(from[1], to[1]) + radius) + 1, height);
    this.show(x0, y0, x1 - x0, y1 - y0);
  }

  /** Bring the pixels of a box onto the canvas. @param {number} x @param {number} y @param {number} w @param {number} height */
  show(x, y, w, height) {
    const context = this.canvas.getContext("2d");
    if (!context || w < 1 || height < 1) return;
    const data = context.createImageData(w, height);
    const target = new Uint32Array(data.data.buffer);
    const width = this.wh[0];
    for (let row = 0; row < height; row++) for (let column = 0; column < w; column++) if (this.pixels[(y + row) * width + x + column]) target[row * w + column] = this.ink;
    context.putImageData(data, x, y);
  }
}
