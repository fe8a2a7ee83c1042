/** Colours of points and objects: the same for the same id as in drawn videos. */

/** @type {Map<number, number[]>} */
const known = new Map();

/**
 * The colour of an id, as `pointtrack.viz.colors.id_colors` gives it.
 * @param {number} id
 * @returns {number[]} red, green, blue in 0..255
 */
export function idColor(id) {
  const found = known.get(id);
  if (found) return found;
  const lightness = 0.76 - 0.08 * ((id % 3) - 1);
  const angle = ((25 + 137.508 * id) * Math.PI) / 180;
  const [a, b] = [0.18 * Math.cos(angle), 0.18 * Math.sin(angle)];
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
    -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
    -0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short,
  ];
  const color = linear.map((value) => {
    const within = Math.min(Math.max(value, 0), 1);
    return Math.round(255 * (within <= 0.0031308 ? 12.92 * within : 1.055 * within ** (1 / 2.4) - 0.055));
  });
  known.set(id, color);
  return color;
}

/**
 * @param {string|undefined} chosen "#rrggbb" that a person chose
 * @param {number} id
 * @returns {number[]}
 */
export function colorOf(chosen, id) {
  if (!chosen || !/^#[0-9a-f]{6}$/i.test(chosen)) return idColor(id);
  return [1, 3, 5].map((at) => parseInt(chosen.slice(at, at + 2), 16));
}

/**
 * @param {number[]} color
 * @param {number} [alpha]
 * @returns {string}
 */
export function css(color, alpha = 1) {
  return `rgb(${color[0]} ${color[1]} ${color[2]} / ${alpha})`;
}

/**
 * @param {number[]} color
 * @returns {string}
 */
export function hex(color) {
  return `#${color.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}
