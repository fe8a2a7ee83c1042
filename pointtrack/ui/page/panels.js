/** The lists at the right: objects, points, how it looks, and the history. */

import { keyOf } from "./app.js";
import { clearHere, markAbsent, removeChosen } from "./chosen.js";
import { colorOf, hex } from "./colors.js";
import { h, iconButton } from "./dom.js";
import { askForPoints } from "./dialogs.js";

const MOST_SINGLE = 200; // points of a group that are listed

const TWICE = 500; // milliseconds between two clicks that rename

export class Panels {
  /** @param {import("./app.js").App} app @param {HTMLElement} place */
  constructor(app, place) {
    this.app = app;
    this.place = place;
    this.objects = section("Objects", true);
    this.points = section("Points", true);
    this.view = section("View", false);
    this.history = section("History", false);
    place.replaceChildren(this.objects.box, this.points.box, this.view.box, this.history.box);
    this.buildView();
    /** @type {Set<number>} */
    this.open = new Set();
    this.lastClick = { what: "", at: 0 };
    this.revealed = ""; // what was chosen when its list was last scrolled to it
    app.on(["state", "selection", "project"], () => this.fill());
    app.on(["frame"], () => this.fillObjectButtons());
    app.on(["settings"], () => this.buildView());
    this.objectButtons = h("div", { class: "buttons" });
    this.fill();
  }

  fill() {
    const state = this.app.state;
    // A name that is being written must not be lost when something else changes.
    if (document.activeElement instanceof HTMLInputElement && document.activeElement.dataset.naming) return;
    const kept = document.activeElement?.id;
    this.fillObjects(state);
    this.fillPoints(state);
    this.fillHistory(state);
    if (kept && document.activeElement?.id !== kept) document.getElementById(kept)?.focus({ preventScroll: true });
    this.reveal();
  }

  /** Scroll the list to what was chosen just now; the page stays where it is, and so does a list that a person scrolls. */
  reveal() {
    const chosen = this.app.selection;
    const name = chosen ? `${chosen.kind} ${chosen.id}` : "";
    if (name === this.revealed) return;
    const row = /** @type {HTMLElement|null} */ (this.place.querySelector(".item.chosen"));
    if (chosen && !row) return; // a new one comes with the next state
    this.revealed = name;
    const list = row?.parentElement;
    if (!row || !list) return;
    const top = row.offsetTop - list.offsetTop;
    list.scrollTop = Math.min(Math.max(list.scrollTop, top + row.offsetHeight - list.clientHeight), top);
  }

  /** @param {import("./types.js").ProjectState|null} state */
  fillObjects(state) {
    const rows = (state?.objects ?? []).map((one) => {
      const words = one.keys.length ? `${one.keys.length} frame${one.keys.length > 1 ? "s" : ""}` : "no click yet";
      return this.item("object", one.id, this.app.nameOf(`o${one.id}`, one.name), words);
    });
    this.objects.count.textContent = String(rows.length || "");
    const list = rows.length ? h("ul", { class: "list" }, ...rows) : h("p", { class: "empty" }, "Click on something in the picture: that makes an object.");
    this.fillObjectButtons();
    refill(this.objects.body, list, this.objectButtons);
  }

  fillObjectButtons() {
    const { app } = this;
    const chosen = app.selection?.kind === "object" ? app.selection.id : null;
    const keys = app.state?.objects.find((one) => one.id === chosen)?.keys ?? [];
    if (!this.objectButtons) return;
    const { in: first, out: last } = app.state?.view ?? { in: null, out: null };
    const range = first !== null && last !== null;
    this.objectButtons.replaceChildren(
      iconButton("plus", "New object (N)", () => { app.select(null); app.use("click"); }, { id: "new-object", "aria-pressed": String(app.selection === null), disabled: !app.state }, "New"),
      iconButton("absent", range ? "Not there in the marked range (X)" : "Not there on this frame (X)", () => markAbsent(app), { disabled: chosen === null, id: "absent" }, range ? "Absent in range" : "Absent here"),
      iconButton("clear", "Take back what was said on this frame (Backspace)", () => clearHere(app), { disabled: chosen === null || !keys.includes(app.frame), id: "clear-here" }, "Clear here"),
      iconButton("grid", "Points on this object", () => askForPoints(app, null, chosen), { disabled: chosen === null, id: "points-on-object" }, "Points on it"),
    );
  }

  /** @param {import("./types.js").ProjectState|null} state */
  fillPoints(state) {
    const { app } = this;
    /** @type {Map<number, import("./types.js").PointRow[]>} */
    const groups = new Map();
    for (const point of state?.points ?? []) groups.set(point.group, [...(groups.get(point.group) ?? []), point]);
    /** @type {HTMLElement[]} */
    const rows = [];
    for (const [group, points] of groups) {
      if (points.length > 1) {
        rows.push(this.item("group", group, app.nameOf(`g${group}`, `${points.length} points`), `frame ${points[0].fixes[0]}`));
        if (!this.open.has(group)) continue;
      }
      for (const point of points.slice(0, MOST_SINGLE)) {
        const words = point.fixes.length > 1 ? `${point.fixes.length} frames` : `frame ${point.fixes[0]}`;
        const row = this.item("point", point.id, app.nameOf(`p${point.id}`, `point ${point.id}`), words);
        if (points.length > 1) row.classList.add("part");
        rows.push(row);
      }
      if (points.length > MOST_SINGLE) rows.push(h("li", { class: "empty" }, `${points.length - MOST_SINGLE} more`));
    }
    this.points.count.textContent = String(state?.points.length || "");
    const list = rows.length ? h("ul", { class: "list" }, ...rows) : h("p", { class: "empty" }, "Take the point tool (P) and click, or add many at once.");
    const chosen = app.selection?.kind === "point" ? app.selection.id : null;
    const fixed = state?.points.find((one) => one.id === chosen)?.fixes.includes(app.frame);
    refill(
      this.points.body,
      list,
      h("div", { class: "buttons" },
        iconButton("grid", "Many points on this frame (G)", () => askForPoints(app, null, null), { id: "many-points", disabled: !state }, "Grid or corners"),
        iconButton("clear", "Take back the correction on this frame (Backspace)", () => clearHere(app), { disabled: !fixed, id: "clear-point" }, "Clear here"),
        h("label", { class: "row", title: "Points as soon as they are there; objects again after a correction" }, h("input", { type: "checkbox", id: "auto", checked: app.settings.auto, onchange: (/** @type {Event} */ event) => app.set({ auto: /** @type {HTMLInputElement} */ (event.target).checked }) }), "Follow at once"),
      ),
    );
  }

  /**
   * A line of a list.
   * @param {"object"|"point"|"group"} kind @param {number} id @param {string} name @param {string} words
   * @returns {HTMLLIElement}
   */
  item(kind, id, name, words) {
    const { app } = this;
    const key = keyOf({ kind, id });
    const view = app.state?.view;
    const [hidden, locked] = [view?.hidden.includes(key) ?? false, view?.locked.includes(key) ?? false];
    const chosen = app.selection?.kind === kind && app.selection.id === id;
    const first = kind === "group" ? (app.state?.points.find((one) => one.group === id)?.id ?? 0) : id;
    const color = hex(colorOf(view?.colors[key], first));
    const label = h("button", { type: "button", class: "name plain", id: `name-${key}`, "aria-pressed": String(chosen), title: `${name} (${words})\nChoose; double-click or F2 renames`, onclick: (/** @type {MouseEvent} */ event) => this.clicked(event, kind, id, () => this.rename(key, name, label)), onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === "F2" && this.rename(key, name, label) }, name, h("small", {}, words));
    return h("li", { class: `item${chosen ? " chosen" : ""}${hidden ? " away" : ""}` },
      h("input", { type: "color", value: color, "aria-label": `Colour of ${name}`, onchange: (/** @type {Event} */ event) => app.view({ colors: { [key]: /** @type {HTMLInputElement} */ (event.target).value } }, `colour of ${name}`) }),
      label,
      iconButton(hidden ? "hidden" : "eye", `${hidden ? "Show" : "Hide"} ${name}`, () => app.toggle("hidden", key, `${name} ${hidden ? "shown" : "hidden"}`), { class: "plain", "aria-pressed": String(hidden), id: `hide-${key}` }),
      kind !== "group" && iconButton(locked ? "lock" : "open", `${locked ? "Unlock" : "Lock"} ${name}`, () => app.toggle("locked", key, `${name} ${locked ? "unlocked" : "locked"}`), { class: "plain", "aria-pressed": String(locked), id: `lock-${key}` }),
      iconButton("trash", `Remove ${name}`, () => { app.select({ kind, id }); removeChosen(app); }, { class: "plain", id: `remove-${key}` }),
    );
  }

  /**
   * The first click of two fills the list anew, so that the browser sees no double-click on one element.
   * @param {MouseEvent} event @param {"object"|"point"|"group"} kind @param {number} id @param {() => void} rename
   */
  clicked(event, kind, id, rename) {
    const { what, at } = this.lastClick;
    const here = `${kind} ${id}`;
    const twice = event.detail > 0 && what === here && event.timeStamp - at < TWICE; // a key's click has no detail
    this.lastClick = twice ? { what: "", at: 0 } : { what: here, at: event.timeStamp };
    if (twice) rename();
    else this.choose(kind, id);
  }

  /** @param {"object"|"point"|"group"} kind @param {number} id */
  choose(kind, id) {
    const { app } = this;
    const again = app.selection?.kind === kind && app.selection.id === id;
    if (kind === "group") {
      if (this.open.has(id)) this.open.delete(id);
      else this.open.add(id);
    }
    app.select({ kind, id });
    if (again && kind !== "group") {
      const keys = kind === "object" ? app.state?.objects.find((one) => one.id === id)?.keys : app.state?.points.find((one) => one.id === id)?.fixes;
      if (keys?.length) app.show(keys.find((frame) => frame > app.frame) ?? keys[0]);
    }
  }

  /** @param {string} key @param {string} name @param {HTMLElement} label */
  rename(key, name, label) {
    const input = h("input", { type: "text", value: name, maxlength: "80", class: "grow", "aria-label": "Name" });
    input.dataset.naming = "yes";
    let over = false;
    const done = (/** @type {boolean} */ kept) => {
      if (over) return;
      over = true;
      delete input.dataset.naming;
      if (kept && input.value.trim() !== name) this.app.view({ names: { [key]: input.value.trim() } }, `renamed to ${input.value.trim()}`);
      this.fill();
    };
    input.addEventListener("blur", () => done(true));
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key !== "Enter" && event.key !== "Escape") return;
      done(event.key === "Enter");
      document.getElementById(`name-${key}`)?.focus(); // keys go on from there
    });
    label.replaceWith(input);
    input.focus();
    input.select();
  }

  buildView() {
    const { app } = this;
    const { settings } = app;
    const kept = this.view.body.contains(document.activeElement) ? document.activeElement?.id : "";
    /** @param {string} words @param {"brightness"|"opacity"|"trail"|"size"|"brush"} name @param {number[]} range @param {(value: number) => string} shown */
    const slider = (words, name, [least, most, step], shown) => {
      const output = h("output", {}, shown(settings[name]));
      const input = h("input", { type: "range", min: least, max: most, step, value: settings[name], id: `set-${name}` });
      input.addEventListener("input", () => {
        output.textContent = shown(Number(input.value));
        settings[name] = Number(input.value);
        app.emit("data");
      });
      input.addEventListener("change", () => app.set({ [name]: Number(input.value) }));
      return h("div", { class: "setting" }, h("label", { for: `set-${name}` }, words), input, output);
    };
    /** @param {string} words @param {"outline"|"follow"} name */
    const box = (words, name) => h("label", { class: "row setting-box" }, h("input", { type: "checkbox", id: `set-${name}`, checked: settings[name], onchange: (/** @type {Event} */ event) => app.set({ [name]: /** @type {HTMLInputElement} */ (event.target).checked }) }), words);
    const percent = (/** @type {number} */ value) => `${Math.round(100 * value)} %`;
    this.view.body.replaceChildren(
      slider("Brightness", "brightness", [0.3, 8, 0.05], percent),
      slider("Mask opacity", "opacity", [0, 1, 0.05], percent),
      slider("Trails", "trail", [0, 60, 1], (value) => `${value} fr`),
      slider("Point size", "size", [2, 12, 0.5], (value) => `${value} px`),
      slider("Brush size", "brush", [1, 200, 1], (value) => `${Math.round(value)} px`),
      h("div", { class: "buttons" }, box("Outlines", "outline"), box("Follow a run", "follow")),
    );
    if (kept) document.getElementById(kept)?.focus({ preventScroll: true }); // a slider that keys move
  }

  /** @param {import("./types.js").ProjectState|null} state */
  fillHistory(state) {
    const { app } = this;
    const now = state?.history.now ?? 0;
    const labels = ["the video as it is", ...(state?.history.labels ?? [])];
    const rows = labels.map((label, place) => h("li", { class: place > now ? "undone" : place === now ? "now" : "" }, h("button", { type: "button", "aria-current": place === now ? "step" : false, title: label, onclick: () => app.act("go", { position: place }) }, label)));
    this.history.count.textContent = String((state?.history.labels.length ?? 0) || "");
    const list = h("ol", { class: "history" }, ...rows);
    this.history.body.replaceChildren(list);
    const current = list.children[now];
    if (current instanceof HTMLElement) list.scrollTop = current.offsetTop - list.offsetTop - 60;
  }
}

/**
 * Fill a section anew; its list stays as far scrolled as it was.
 * @param {HTMLElement} body @param {HTMLElement} list @param {HTMLElement} buttons
 */
function refill(body, list, buttons) {
  const scrolled = body.querySelector(".list")?.scrollTop ?? 0;
  body.replaceChildren(list, buttons);
  list.scrollTop = scrolled;
}

/** @param {string} title @param {boolean} open */
function section(title, open) {
  const count = h("span", { class: "count" });
  const body = h("div", { class: "body" });
  const box = h("details", { open }, h("summary", {}, title, count), body);
  return { box, count, body };
}
