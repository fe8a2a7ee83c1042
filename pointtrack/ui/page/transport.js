/** What plays and steps through the frames, marks a range, and begins runs. */

import { clock, h, iconButton } from "./dom.js";

export class Transport {
  /** @param {import("./app.js").App} app @param {HTMLElement} place */
  constructor(app, place) {
    this.app = app;
    const step = (/** @type {number} */ by) => () => app.show(app.frame + by);
    this.play = iconButton("play", "Play or pause (Space)", () => this.toggle());
    this.clock = h("span", { class: "clock mono quiet" });
    const number = h("input", { type: "number", min: "0", "aria-label": "Frame number", class: "mono", id: "frame-number", onchange: () => { app.show(Number(number.value)); this.tell(); }, onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && number.blur() });
    this.number = number;
    this.total = h("span", { class: "quiet mono" });
    this.runButtons = [
      iconButton("backward", "Propagate backward from here (Shift+B)", () => app.run("backward"), { id: "run-backward" }),
      iconButton("both", "Propagate both ways (Shift+P)", () => app.run("both"), { id: "run-both", class: "main" }, "Propagate"),
      iconButton("forward", "Propagate forward from here (Shift+F)", () => app.run("forward"), { id: "run-forward" }),
    ];
    this.marks = [
      iconButton("in", "Range begins here, or not (I)", () => app.mark("in")),
      iconButton("out", "Range ends here, or not (U)", () => app.mark("out")),
    ];
    place.replaceChildren(
      iconButton("first", "First frame (Home)", () => app.show(0), { class: "plain" }),
      iconButton("back", "One frame back (Left)", step(-1), { class: "plain" }),
      this.play,
      iconButton("next", "One frame on (Right)", step(1), { class: "plain" }),
      iconButton("last", "Last frame (End)", () => app.show((app.state?.frames ?? 1) - 1), { class: "plain" }),
      this.number,
      this.total,
      this.clock,
      h("span", { class: "grow" }),
      ...this.marks,
      iconButton("spark", "Next frame worth a correction (W)", () => app.suggest(), { id: "suggest" }, "Worth a look"),
      ...this.runButtons,
    );
    app.on(["frame", "state", "project"], () => this.tell());
  }

  tell() {
    const { app } = this;
    const state = app.state;
    if (!state) return;
    this.number.value = String(app.frame);
    this.number.max = String(state.frames - 1);
    this.total.textContent = `/ ${state.frames - 1}`;
    this.clock.textContent = clock(app.seconds);
    this.marks[0].setAttribute("aria-pressed", String(state.view.in !== null));
    this.marks[1].setAttribute("aria-pressed", String(state.view.out !== null));
  }

  toggle() {
    const { app } = this;
    app.playing = !app.playing;
    this.play.replaceChildren(...iconButton(app.playing ? "pause" : "play", "", () => {}).childNodes);
    if (!app.playing || !app.state) return;
    const [first, last] = app.range;
    if (app.frame >= last) app.show(first);
    let shown = performance.now();
    let at = app.times[app.frame] ?? 0;
    const next = (/** @type {number} */ now) => {
      if (!app.playing || !app.state) return;
      at += Math.min((now - shown) / 1000, 0.1);
      shown = now;
      let frame = app.frame;
      while (frame < last && (app.times[frame + 1] ?? Infinity) <= at) frame++;
      if (frame !== app.frame) {
        if (app.frames?.at(app.frame)) app.show(frame);
        else at = app.times[app.frame] ?? 0; // pictures are late: time waits for them
      }
      if (frame >= last) this.toggle();
      else requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  }
}
