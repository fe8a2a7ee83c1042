/** What the page is about: the project, the frame, the tool, what is chosen; and everything a person can do. */

import * as api from "./api.js";
import { listen } from "./connection.js";
import { say } from "./dom.js";
import { Frames } from "./frames.js";
import { Masks } from "./masks.js";
import { Tracks } from "./tracks.js";

/** @typedef {import("./types.js").ProjectState} ProjectState */
/** @typedef {import("./types.js").Selection} Selection */
/** @typedef {"move"|"click"|"beside"|"box"|"brush"|"eraser"|"point"|"grid"} Tool */
/** @typedef {"state"|"frame"|"tool"|"selection"|"settings"|"data"|"run"|"lanes"|"project"|"export"|"connection"} Topic */

const SETTINGS = "pointtrack-settings";
/** @type {import("./types.js").Settings} */
const DEFAULTS = { brightness: 1, opacity: 0.45, trail: 12, size: 5, outline: true, auto: true, follow: true, theme: "" };

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
    this.brush = 12;
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

  /** @returns {boolean} whether changes are heard of */
  get connected() {
    return !this.lost;
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
      this.exporting = Boolean(state.export?.running);
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
      this.close = listen(state.id, (event) => this.hear(event), (lost) => {
        this.fresh = !lost;
        this.lost = lost;
        this.emit("connection");
      });
      document.title = `${state.name} · pointtrack`;
      for (const problem of problems) say(problem, "bad");
      this.emit("project");
      this.emit("state");
      this.emit("frame");
      this.askLanes(0);
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

  /** The first state after a break: what was told meanwhile was not heard. */
  catchUp() {
    this.fresh = false;
    this.masks?.forget();
    this.tracks?.forget();
    const written = this.state?.export ?? null;
    if (!this.exporting || written?.running) return;
    this.hear(written ?? { type: "export", done: true, error: "the export was stopped when the server ended; export again" });
  }

  /** @param {any} event of the server */
  hear(event) {
    if (event.type === "state") {
      this.take(event.state);
      if (this.fresh) this.catchUp();
    }
    else if (event.type === "run" && this.state) {
      this.state.run = event.run;
      this.state.versions = event.versions;
      const { points, objects } = event.changed ?? {};
      if (points) this.tracks?.forget(points[0], points[1]);
      if (objects) this.masks?.forget(objects[0], objects[1]);
      if (event.run && this.settings.follow && this.following && !this.playing && event.run.at !== this.frame) this.show(event.run.at, false);
      this.askLanes(event.run ? 900 : 0);
      this.suggestions = [];
      this.emit("run");
      this.emit("data");
    } else if (event.type === "problem") say(event.message, "bad");
    else if (event.type === "export") {
      this.exported = event;
      this.exporting = false;
      this.emit("export");
    }
  }

  /** @param {ProjectState} state that the server told of */
  take(state) {
    const before = this.state;
    this.state = state;
    if (before && before.versions.objects !== state.versions.objects) this.masks?.forget();
    if (before && before.versions.points !== state.versions.points) this.tracks?.forget();
    if (!before || before.serial !== state.serial || before.scanned !== state.scanned) this.askLanes(0);
    const chosen = this.selection;
    const there =
      chosen === null ||
      (chosen.kind === "object" && state.objects.some((one) => one.id === chosen.id)) ||
      (chosen.kind === "point" && state.points.some((one) => one.id === chosen.id)) ||
      (chosen.kind === "group" && state.points.some((one) => one.group === chosen.id));
    if (!there) this.select(null);
    const asked = this.candidates; // of a click that was undone or cleared there are none
    if (asked && !state.objects.some((one) => one.id === asked.object && one.keys.includes(asked.frame))) this.candidates = null;
    this.suggestions = [];
    this.emit("state");
    this.emit("run");
    this.emit("data");
  }

  /** @param {number} wait milliseconds after which lanes are read again */
  askLanes(wait) {
    if (this.laneTimer && wait) return;
    clearTimeout(this.laneTimer);
    this.laneTimer = window.setTimeout(async () => {
      this.laneTimer = 0;
      if (!this.state) return;
      try {
        this.lanes = await api.get(`${this.base}/lanes?bins=${Math.min(this.state.frames, 1200)}`);
        this.emit("lanes");
      } catch {
        // The next change asks again.
      }
    }, wait);
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

  /**
   * Say something about the chosen object, or begin a new one, which is chosen then. What is said of a new object before
   * it has its number is said of it too; and who chose something else meanwhile keeps that choice.
   * @param {string} act
   * @param {any} args without the object
   * @returns {Promise<any|null>} the answer
   */
  async tellObject(act, args) {
    const { choices, making } = this;
    const chosen = this.selection?.kind === "object" ? this.selection.id : null;
    const tell = async () => {
      const made = chosen === null && making?.choices === choices ? await making.answer : null;
      return this.correctObject(act, { ...args, object: made?.object ?? chosen });
    };
    const answering = tell();
    if (chosen === null) this.making = { choices, answer: answering };
    const answer = await answering;
    if (answer && this.choices === choices) this.choose({ kind: "object", id: answer.object });
    return answer;
  }

  /** @param {number[][]} points @param {number[]} labels clicks on and beside the chosen object, or a new one */
  async click(points, labels) {
    const frame = this.frame;
    const asked = { frame, points, labels };
    this.asked.add(asked);
    this.emit("data");
    try {
      const answer = await this.tellObject("objects.click", asked);
      if (!answer) return;
      const said = (await api.get(`${this.base}/masks/${frame}`)).objects.find((/** @type {any} */ one) => one.id === answer.object)?.said;
      if (said?.clicks.length === 1 && labels[0]) this.askCandidates(answer.object, frame);
      else this.candidates = null;
    } finally {
      this.asked.delete(asked);
      this.emit("data");
    }
  }

  /** @param {number} object @param {number} frame */
  async askCandidates(object, frame) {
    try {
      const answer = await api.get(`${this.base}/candidates?object=${object}&frame=${frame}`);
      if (this.frame === frame && this.selection?.id === object && answer.candidates.length > 1) this.candidates = answer;
      this.emit("data");
    } catch {
      this.candidates = null;
    }
  }

  /** @param {number} place of the answer that is meant */
  async pick(place) {
    const asked = this.candidates;
    if (!asked || place >= asked.candidates.length) return;
    await this.correctObject("objects.choose", { object: asked.object, frame: asked.frame, place: asked.candidates[place].place });
  }

  /** @param {number[]} box of the chosen object, or a new one */
  async box(box) {
    await this.tellObject("objects.box", { frame: this.frame, box });
  }

  /** @param {import("./types.js").CodedMask} mask as it was painted */
  async draw(mask) {
    await this.tellObject("objects.draw", { frame: this.frame, mask });
  }

  /** @param {number[][]} xy */
  async addPoints(xy) {
    const { choices } = this;
    const answer = await this.act("points.add", { frame: this.frame, xy });
    if (!answer) return;
    if (this.choices === choices) this.choose({ kind: "point", id: answer.points[0] });
    this.trackIfWanted();
  }

  /** @param {"grid"|"corners"} kind @param {number} count @param {number[]|null} region @param {number|null} object */
  async addMany(kind, count, region, object) {
    const args = { frame: this.frame, region, object, ...(kind === "grid" ? { size: count } : { count }) };
    const { choices } = this;
    const answer = await this.act(`points.${kind}`, args);
    if (!answer) return;
    const group = this.state?.points.find((one) => one.id === answer.points[0])?.group;
    if (group && this.choices === choices) this.choose({ kind: "group", id: group });
    this.trackIfWanted();
  }

  /** @param {number} point @param {number[]} xy */
  async correct(point, xy) {
    if (await this.act("points.correct", { point, frame: this.frame, xy })) this.trackIfWanted();
  }

  trackIfWanted() {
    if (this.settings.auto) this.run("both", ["points"]);
  }

  /**
   * Frames on which an object was known before a correction: they have to be followed anew.
   * @param {number|null} object
   * @returns {[number, number]|null} the first and the last
   */
  knownRange(object) {
    const lane = object === null ? undefined : this.lanes?.objects[object]?.sure;
    if (!lane || !this.lanes || !this.state) return null;
    const values = atob(lane);
    const known = [...values].flatMap((letter, bin) => (letter.charCodeAt(0) === 255 ? [] : [bin]));
    const wide = this.state.frames / this.lanes.bins;
    return known.length < 2 ? null : [Math.floor(known[0] * wide), Math.min(Math.ceil((known[known.length - 1] + 1) * wide), this.state.frames) - 1];
  }

  /**
   * Say something about an object; what was known around it is followed again, if that is wanted.
   * @param {string} act
   * @param {any} args with the object, or null for a new one
   * @returns {Promise<any|null>}
   */
  async correctObject(act, args) {
    const { base } = this;
    const known = this.knownRange(args.object);
    const answer = await this.act(act, args);
    if (answer && known && this.settings.auto && this.state) {
      const at = args.frame; // the person may be elsewhere by now
      const [start, last] = [Math.min(known[0], at), Math.max(known[1], at)];
      this.following = false;
      await api.post(`${base}/run`, { what: ["objects"], start, stop: last + 1, direction: "both", origin: at }).catch(() => {});
    }
    return answer;
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
    say(`${one.kind} ${one.id} on frame ${one.frame}: certainty ${Math.round(100 * one.sure)} %`, "plain");
  }

  /** Remove what is chosen. */
  async removeChosen() {
    const chosen = this.selection;
    if (!chosen || !this.state) return;
    if (chosen.kind === "object") await this.act("objects.remove", { object: chosen.id });
    else {
      const points = this.state.points.filter((one) => (chosen.kind === "point" ? one.id : one.group) === chosen.id).map((one) => one.id);
      await this.act("points.remove", { points });
    }
  }

  /** Take back what was said of the chosen one on this frame. */
  async clearHere() {
    const chosen = this.selection;
    if (!chosen) return;
    if (chosen.kind === "object") await this.correctObject("objects.clear", { object: chosen.id, frame: this.frame });
    else if (chosen.kind === "point") await this.act("points.forget", { point: chosen.id, frame: this.frame });
  }

  /** The chosen object is not there: on this frame, or in the marked range. */
  async absent() {
    if (this.selection?.kind !== "object" || !this.state) {
      say("Choose an object first: press N for a new one, or click one in the list.", "plain");
      return;
    }
    const { in: first, out: last } = this.state.view;
    const marked = first !== null && last !== null;
    const range = marked ? { frame: first, stop: last + 1 } : { frame: this.frame };
    await this.correctObject("objects.absent", { object: this.selection.id, ...range });
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
