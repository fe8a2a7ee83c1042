/** What the page is about: the project, the frame, the tool, what is chosen; and what a person does with frames and runs. */

import * as api from "./api.js";
import { listen } from "./connection.js";
import { say } from "./dom.js";
import { Frames } from "./frames.js";
import { Masks } from "./masks.js";
import { askLanes, hear } from "./news.js";
import { Tracks } from "./tracks.js";

/** @typedef {import("./types.js").ProjectState} ProjectState */
/** @typedef {import("./types.js").Selection} Selection */
/** @typedef {"move"|"click"|"beside"|"box"|"brush"|"eraser"|"point"|"grid"} Tool */
/** @typedef {"state"|"frame"|"tool"|"selection"|"settings"|"data"|"run"|"lanes"|"project"|"export"|"connection"} Topic */

const SETTINGS = "pointtrack-settings";
/** @type {import("./types.js").Settings} */
const DEFAULTS = { brightness: 1, opacity: 0.45, trail: 12, size: 5, brush: 12, outline: true, auto: true, follow: true, theme: "" };

/** @param {NonNullable<Selection>} one @returns {string} what a view calls it: o1, p1 or g1 */
export const keyOf = ({ kind, id }) => `${kind[0]}${id}`;

export class App {
  constructor() {
    /** @type {ProjectState|null} */
    this.state = null;
    /** @type {import("./types.js").Boot|null} */
    this.boot = null;
    this.frame = 0;
    this.playing = false;
    /** @type {Tool} */
    this.tool = "click";
    /** @type {Selection} */
    this.selection = null;
    this.choices = 0; // how often a person chose: an answer that comes later leaves a newer choice alone
    /** @type {{choices: number, answer: Promise<any|null>}|null} */
    this.making = null;
    /** @type {Set<{frame: number, points: number[][], labels: number[]}>} clicks whose masks are on their way */
    this.asked = new Set();
    /** @type {import("./connection.js").Lost} */
    this.lost = ""; // why the page has no connection
    this.fresh = false; // whether the next state is the first of a connection
    /** @type {Float32Array} */
    this.times = new Float32Array();
    /** @type {import("./types.js").Lanes|null} */
    this.lanes = null;
    /** @type {Frames|null} */
    this.frames = null;
    /** @type {Masks|null} */
    this.masks = null;
    /** @type {Tracks|null} */
    this.tracks = null;
    /** @type {{object: number, frame: number, candidates: {place: number, score: number, mask: import("./types.js").CodedMask}[]}|null} */
    this.candidates = null;
    /** @type {any} */
    this.exported = null;
    this.exporting = false;
    this.overdue = false; // whether an export was being written when the connection broke, or the video was opened
    /** @type {import("./types.js").Review|null} */
    this.review = null;
    this.busy = 0;
    /** @type {import("./types.js").Settings} */
    this.settings = { ...DEFAULTS };
    try {
      Object.assign(this.settings, JSON.parse(localStorage.getItem(SETTINGS) ?? "{}"));
    } catch {
      // Settings that cannot be read are those of the first day.
    }
    /** @type {Map<Topic, Set<() => void>>} */
    this.listeners = new Map();
    /** @type {() => void} */
    this.close = () => {};
    this.laneTimer = 0;
    this.following = false;
    /** @type {import("./types.js").Suggestion[]} */
    this.suggestions = [];
    this.nextSuggestion = 0;
  }

  /** @param {Topic[]} topics @param {() => void} heard */
  on(topics, heard) {
    for (const topic of topics) {
      const all = this.listeners.get(topic) ?? new Set();
      all.add(heard);
      this.listeners.set(topic, all);
    }
  }

  /** @param {Topic} topic */
  emit(topic) {
    for (const heard of this.listeners.get(topic) ?? []) heard();
  }

  /** @returns {string} where the project's answers are */
  get base() {
    return `/api/p/${encodeURIComponent(this.state?.id ?? "")}`;
  }

  /** @param {string} path of a video */
  async open(path) {
    this.busy++;
    this.emit("run");
    try {
      const { state, problems } = await api.post("/api/open", { path });
      this.close();
      this.playing = false;
      this.lost = "";
      this.state = state;
      this.exporting = this.overdue = Boolean(state.export?.running);
      this.exported = state.export?.files ? state.export : null;
      this.frame = Math.min(Number(sessionStorage.getItem(`frame-${state.id}`) ?? 0), state.frames - 1);
      this.selection = null;
      this.choices++;
      this.making = null;
      this.candidates = null;
      this.suggestions = [];
      const draw = () => this.emit("data");
      this.frames = new Frames(state.id, state.frames, state.wh, draw);
      this.masks = new Masks(state.id, draw);
      this.tracks = new Tracks(state.id, draw);
      this.times = new Float32Array(await api.bytes(`${this.base}/times`));
      this.close = listen(state.id, (event) => hear(this, event), (lost) => {
        this.fresh = !lost;
        if (lost) this.overdue = this.exporting;
        this.lost = lost;
        this.emit("connection");
      });
      document.title = `${state.name} · pointtrack`;
      for (const problem of problems) say(problem, "bad");
      this.emit("project");
      this.emit("state");
      this.emit("frame");
      askLanes(this, 0);
    } finally {
      this.busy--;
      this.emit("run");
    }
  }

  /** Open the same video once more, which the server has closed. */
  async reopen() {
    try {
      if (this.state) await this.open(this.state.path);
    } catch (error) {
      say(/** @type {Error} */ (error).message, "bad");
    }
  }

  /** @returns {number} the time of the frame */
  get seconds() {
    return this.times[this.frame] ?? this.frame / (this.state?.fps ?? 1);
  }

  /** @param {number} frame @param {boolean} [byHand] */
  show(frame, byHand = true) {
    if (!this.state) return;
    const within = Math.min(Math.max(Math.round(frame), 0), this.state.frames - 1);
    if (byHand) this.following = false;
    if (within === this.frame) return;
    this.frame = within;
    if (this.candidates && this.candidates.frame !== within) this.candidates = null;
    sessionStorage.setItem(`frame-${this.state.id}`, String(within));
    this.emit("frame");
  }

  /** @param {Tool} tool */
  use(tool) {
    this.tool = tool;
    this.emit("tool");
  }

  /** @param {Selection} selection that a person made */
  select(selection) {
    this.choices++;
    this.choose(selection);
  }

  /** @param {Selection} selection that follows from an answer, and is no choice of a person's */
  choose(selection) {
    this.selection = selection;
    if (this.candidates && this.candidates.object !== selection?.id) this.candidates = null;
    this.emit("selection");
  }

  /** @param {Partial<import("./types.js").Settings>} changes */
  set(changes) {
    Object.assign(this.settings, changes);
    localStorage.setItem(SETTINGS, JSON.stringify(this.settings));
    this.emit("settings");
  }

  /**
   * Do something; what goes wrong is told in words.
   * @param {string} act
   * @param {any} [args]
   * @returns {Promise<any|null>} the answer
   */
  async act(act, args = {}) {
    if (!this.state) return null;
    this.busy++;
    this.emit("run");
    try {
      return await api.post(`${this.base}/act`, { act, args });
    } catch (error) {
      say(/** @type {Error} */ (error).message, "bad");
      return null;
    } finally {
      this.busy--;
      this.emit("run");
    }
  }

  /** @returns {[number, number]} first and last frame in work */
  get range() {
    const view = this.state?.view;
    return [view?.in ?? 0, view?.out ?? (this.state?.frames ?? 1) - 1];
  }

  /** @param {"forward"|"backward"|"both"} direction @param {string[]} [what] */
  async run(direction, what = ["points", "objects"]) {
    if (!this.state) return;
    const [first, last] = this.range;
    const start = direction === "forward" ? Math.max(first, Math.min(this.frame, last)) : first;
    const stop = direction === "backward" ? Math.min(last, Math.max(this.frame, first)) + 1 : last + 1;
    this.following = what.length > 1; // not where a person goes on with something else
    try {
      await api.post(`${this.base}/run`, { what, start, stop, direction, origin: this.frame });
    } catch (error) {
      say(/** @type {Error} */ (error).message, "bad");
    }
  }

  /** @param {"run"|"export"} what */
  async cancel(what) {
    if (this.state) await api.post(`${this.base}/cancel`, { what });
  }

  /** @param {Partial<import("./types.js").View>} changes @param {string} label */
  async view(changes, label) {
    return this.act("view", { changes, label });
  }

  /** @param {"hidden"|"locked"} list @param {string} name @param {string} words */
  async toggle(list, name, words) {
    const now = this.state?.view[list] ?? [];
    const changed = now.includes(name) ? now.filter((one) => one !== name) : [...now, name];
    return this.view({ [list]: changed }, words);
  }

  /**
   * @param {"in"|"out"} end sets it here, or takes it away where it is here
   * @returns {Promise<any|null>}
   */
  async mark(end) {
    const view = this.state?.view;
    if (!view) return null;
    if (view[end] === this.frame) return this.view({ [end]: null }, `range: no ${end}`);
    // A begin behind the end, or an end before the begin, begins another range.
    const other = end === "in" ? "out" : "in";
    const far = view[other];
    const apart = far !== null && (end === "in" ? this.frame > far : this.frame < far);
    return this.view({ [end]: this.frame, ...(apart ? { [other]: null } : {}) }, `range: ${end} at frame ${this.frame}`);
  }

  /** Jump to the next frame where a click helps most. */
  async suggest() {
    if (!this.state) return;
    if (!this.suggestions.length) {
      this.suggestions = await api.get(`${this.base}/suggestions`);
      this.nextSuggestion = 0;
    }
    if (!this.suggestions.length) {
      say("Nothing is known to be worth a correction. Propagate first.", "plain");
      return;
    }
    const one = this.suggestions[this.nextSuggestion % this.suggestions.length];
    this.nextSuggestion++;
    this.select({ kind: one.kind, id: one.id });
    this.show(one.frame);
    say(`${this.nameOf(keyOf(one), `${one.kind} ${one.id}`)} on frame ${one.frame}: certainty ${Math.round(100 * one.sure)} %`, "plain");
  }

  /** @param {string} name as p1, o1 or g1 @param {string} otherwise */
  nameOf(name, otherwise) {
    return this.state?.view.names[name] || otherwise;
  }

  /** @returns {Set<number>} points that are not shown */
  hiddenPoints() {
    const hidden = new Set(this.state?.view.hidden ?? []);
    return new Set(this.state?.points.filter((one) => hidden.has(`p${one.id}`) || hidden.has(`g${one.group}`)).map((one) => one.id));
  }
}
