/** Where the picture is on the screen: zoom and pan, between the whole frame and single pixels. */

export class ViewPort {
  constructor() {
    this.scale = 1; // of heights
    this.aspect = 1; // of a pixel: its width by its height
    this.x = 0;
    this.y = 0;
    this.width = 1;
    this.height = 1;
    this.wh = [1, 1];
    this.fitted = true;
  }

  /** The scale of widths. */
  get across() {
    return this.scale * this.aspect;
  }

  /** @param {number} width @param {number} height of the stage, in its own pixels */
  resize(width, height) {
    [this.width, this.height] = [Math.max(width, 1), Math.max(height, 1)];
    if (this.fitted) this.fit();
  }

  /** The whole frame, in the middle. */
  fit() {
    this.scale = Math.min((this.width - 16) / (this.wh[0] * this.aspect), (this.height - 16) / this.wh[1]);
    this.x = (this.width - this.wh[0] * this.across) / 2;
    this.y = (this.height - this.wh[1] * this.scale) / 2;
    this.fitted = true;
  }

  /** @param {number} factor @param {number} x @param {number} y of the stage that stays where it is */
  zoom(factor, x, y) {
    const least = Math.min(this.width / (this.wh[0] * this.aspect), this.height / this.wh[1]) / 2;
    const scale = Math.min(Math.max(this.scale * factor, least), 64);
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
  }

  /** @param {number} dx @param {number} dy */
  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
  }

  /**
   * Stage -> pixels of the frame; (0, 0) is the centre of the first pixel.
   * @param {number} x @param {number} y
   * @returns {number[]}
   */
  toFrame(x, y) {
    return [(x - this.x) / this.across - 0.5, (y - this.y) / this.scale - 0.5];
  }

  /**
   * @param {number} x @param {number} y
   * @returns {number[]}
   */
  toStage(x, y) {
    return [this.x + (x + 0.5) * this.across, this.y + (y + 0.5) * this.scale];
  }

  /** @param {number[]} xy @returns {number[]} the same inside the frame */
  inside([x, y]) {
    return [Math.min(Math.max(x, 0), this.wh[0] - 1), Math.min(Math.max(y, 0), this.wh[1] - 1)];
  }
}
