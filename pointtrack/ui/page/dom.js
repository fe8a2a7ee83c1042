/** Elements made in code: texts from outside never become HTML. */

/** @type {Record<string, string>} */
const ICONS = {
  move: "M5 3l14 9-6 1.5L10 20z",
  click: "M12 3v4M12 17v4M3 12h4M17 12h4M12 10a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
  beside: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM8 12h8",
  box: "M4 6h16v12H4zM4 6h.01M20 6h.01M4 18h.01M20 18h.01",
  brush: "M19 4c-4 2-8 6-9 9l2 2c3-1 7-5 9-9zM9 14c-3 0-2 4-6 5 3 2 8 1 8-3z",
  eraser: "M8 19h11M5 15l8-9 6 5-7 8H8z",
  point: "M12 5a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM12 11.5v1",
  grid: "M5 5h.01M12 5h.01M19 5h.01M5 12h.01M12 12h.01M19 12h.01M5 19h.01M12 19h.01M19 19h.01",
  eye: "M2 12s4-6.5 10-6.5S22 12 22 12s-4 6.5-10 6.5S2 12 2 12zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z",
  hidden: "M4 4l16 16M2 12s4-6.5 10-6.5c1.500 0 2.900.4 4.100 1M22 12s-4 6.500-10 6.500c-1.500 0-2.900-.4-4.100-1",
  lock: "M6 11h12v9H6zM9 11V8a3 3 0 0 1 6 0v3",
  open: "M6 11h12v9H6zM9 11V8a3 3 0 0 1 5.600-1.500",
  trash: "M4 7h16M9 7V4h6v3M6.500 7l1 13h9l1-13",
  plus: "M12 5v14M5 12h14",
  undo: "M9 14L4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
  redo: "M15 14l5-5-5-5M20 9H10a6 6 0 0 0 0 12h3",
  play: "M7 4l13 8-13 8z",
  pause: "M7 5v14M17 5v14",
  first: "M6 5v14M19 5l-10 7 10 7z",
  last: "M18 5v14M5 5l10 7-10 7z",
  back: "M15 5l-8 7 8 7",
  next: "M9 5l8 7-8 7",
  forward: "M4 5l8 7-8 7M12 5l8 7-8 7",
  backward: "M20 5l-8 7 8 7M12 5l-8 7 8 7",
  both: "M9 6l-6 6 6 6M15 6l6 6-6 6M3 12h18",
  stop: "M6 6h12v12H6z",
  folder: "M3 6h6l2 2h10v11H3z",
  film: "M4 5h16v14H4zM8 5v14M16 5v14M4 10h4M4 14h4M16 10h4M16 14h4",
  save: "M12 4v11M7 11l5 5 5-5M5 20h14",
  live: "M12 10a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM7.500 7.500a6.500 6.500 0 0 0 0 9M16.500 7.500a6.500 6.500 0 0 1 0 9M4.500 4.500a10.500 10.500 0 0 0 0 15M19.500 4.500a10.500 10.500 0 0 1 0 15",
  review: "M4 6h10M4 12h7M4 18h5M14 16l3 3 5-7",
  help: "M9 9a3 3 0 1 1 4.500 2.600c-1 .6-1.500 1.200-1.500 2.400M12 18v.01",
  theme: "M12 3a9 9 0 1 0 9 9 7 7 0 0 1-9-9z",
  close: "M6 6l12 12M18 6L6 18",
  spark: "M12 3l2 7 7 2-7 2-2 7-2-7-7-2 7-2z",
  warn: "M12 4l9 16H3zM12 10v4M12 17v.01",
  check: "M4 12l5 5L20 6",
  absent: "M5 5l14 14M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16z",
  clear: "M4 7h16M8 12h8M10 17h4",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  in: "M8 4H5v16h3M9 12h11M15 7l5 5-5 5",
  out: "M16 4h3v16h-3M15 12H4M9 7l-5 5 5 5",
};

/**
 * @param {string} name of an icon
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name] ?? "");
  if (name === "grid") path.setAttribute("stroke-width", "3");
  svg.append(path);
  return svg;
}

/**
 * An element: properties that begin with `on` are listeners, the rest attributes; false and null leave one out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node|string|null|false|undefined)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") /** @type {any} */ (element).value = value;
    else if (name === "checked") /** @type {any} */ (element).checked = Boolean(value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/**
 * A button with an icon.
 * @param {string} name of the icon
 * @param {string} label said to all, shown as a tooltip
 * @param {(event: MouseEvent) => void} act
 * @param {Record<string, any>} [more] attributes
 * @param {string} [text] shown beside the icon
 * @returns {HTMLButtonElement}
 */
export function iconButton(name, label, act, more = {}, text = "") {
  return h("button", { type: "button", "aria-label": label, title: label, onclick: act, ...more }, icon(name), text);
}

/**
 * A modal dialog, removed when it is closed.
 * @param {string} title
 * @param {(Node|string)[]} inside
 * @param {(Node|string)[]} [foot]
 * @returns {HTMLDialogElement}
 */
export function openDialog(title, inside, foot = []) {
  const dialog = h("dialog", { "aria-label": title });
  dialog.append(
    h("div", { class: "head" }, h("h2", {}, title), iconButton("close", "Close", () => dialog.close(), { class: "plain" })),
    h("div", { class: "inside", tabindex: "0" }, ...inside),
  );
  if (foot.length) dialog.append(h("div", { class: "foot" }, ...foot));
  // What is said while a dialog is open is said in it, as it covers everything else.
  const messages = /** @type {HTMLElement} */ (document.getElementById("messages"));
  dialog.append(messages);
  dialog.addEventListener("close", () => {
    ([...document.querySelectorAll("dialog[open]")].pop() ?? document.body).append(messages);
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Tell a person something; mistakes, and what was waited for, stay longer.
 * @param {string} text
 * @param {"good"|"bad"|"plain"} [kind]
 */
export function say(text, kind = "plain") {
  const place = /** @type {HTMLElement} */ (document.getElementById("messages"));
  const box = h("div", { class: `message ${kind}` }, kind !== "plain" && icon(kind === "bad" ? "warn" : "check"), h("span", { class: "grow" }, text));
  box.append(iconButton("close", "Dismiss", () => box.remove(), { class: "plain" }));
  for (const old of [...place.querySelectorAll(".message:not(#lost)")].slice(0, -2)) old.remove();
  place.append(box);
  setTimeout(() => box.remove(), kind === "plain" ? 4000 : 12000);
}

/**
 * @param {number} bytes
 * @returns {string}
 */
export function size(bytes) {
  if (bytes > 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return bytes > 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(Math.round(bytes / 1e3), 1)} kB`;
}

/**
 * @param {number} seconds
 * @returns {string}
 */
export function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const rest = (seconds % 60).toFixed(2).padStart(5, "0");
  return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}
