/** The queue: one video after the other, accepted, corrected, or rejected with a reason. */

import * as api from "./api.js";
import { h, icon, openDialog, say } from "./dom.js";
import { browser } from "./dialogs.js";

export class Reviewing {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.began = Date.now();
    this.bar = h("div", { class: "row", id: "review-bar", hidden: true });
  }

  /** Begin with what the server was started with, if it was. */
  async begin() {
    const review = await api.get("/api/review");
    if (!review.items.length) return false;
    this.app.review = review;
    await this.next();
    return true;
  }

  ask() {
    const dialog = openDialog("Review a folder", [h("p", { class: "quiet" }, "Every video of the folder comes up, one after the other. Accept it (A), correct it and accept it, or reject it with a reason (Q)."), browser(() => {}, async (path) => {
      try {
        this.app.review = await api.post("/api/review/open", { path });
        dialog.close();
        await this.next();
      } catch (error) {
        say(/** @type {Error} */ (error).message, "bad");
      }
    })]);
  }

  /** @returns {import("./types.js").ReviewItem|undefined} the one that is open */
  get current() {
    return this.app.review?.items.find((one) => one.path === this.app.state?.path);
  }

  /** Open the next one without a verdict. */
  async next() {
    const items = this.app.review?.items ?? [];
    const at = items.findIndex((one) => one.path === this.app.state?.path);
    const order = [...items.slice(at + 1), ...items.slice(0, at + 1)];
    const item = order.find((one) => one.verdict === "todo" && one.path !== this.app.state?.path) ?? order.find((one) => one.verdict === "todo");
    if (!item) {
      say("All videos of the queue have a verdict. Training set writes the accepted ones; any can be opened again.", "good");
      if (!this.app.state && items.length) await this.app.open(items[0].path).catch((error) => say(error.message, "bad"));
      this.tell();
      return;
    }
    try {
      await this.app.open(item.path);
      this.app.review = await api.post("/api/review", { path: item.path, verdict: "begin" });
      this.began = Date.now();
    } catch (error) {
      say(/** @type {Error} */ (error).message, "bad");
    }
    this.tell();
  }

  /** @param {string} verdict */
  async judge(verdict) {
    const item = this.current;
    if (!this.app.review || !item) return;
    if (verdict === "skip") return this.next();
    if (verdict === "rejected") return this.reject(item);
    await this.send(item, verdict, "");
  }

  /** @param {import("./types.js").ReviewItem} item */
  reject(item) {
    const reason = h("input", { type: "text", class: "grow", maxlength: "200", "aria-label": "Reason", placeholder: "blurred, wrong scene, …", id: "reject-reason" });
    const go = () => {
      if (!reason.value.trim()) return say("Write a reason: it helps to find such videos again.", "plain");
      dialog.close();
      this.send(item, "rejected", reason.value);
    };
    reason.addEventListener("keydown", (event) => event.key === "Enter" && go());
    const dialog = openDialog(`Reject ${item.name}`, [h("div", { class: "row" }, reason, h("button", { type: "button", class: "main", onclick: go, id: "reject-go" }, "Reject"))]);
    dialog.style.width = "min(520px, 94vw)";
    reason.focus();
  }

  /** @param {import("./types.js").ReviewItem} item @param {string} verdict @param {string} reason */
  async send(item, verdict, reason) {
    try {
      this.app.review = await api.post("/api/review", { path: item.path, verdict, reason, seconds: (Date.now() - this.began) / 1000 });
      await this.next();
    } catch (error) {
      say(/** @type {Error} */ (error).message, "bad");
    }
  }

  async export() {
    try {
      const answer = await api.post("/api/review/export");
      const rows = answer.left_out.map((/** @type {any} */ one) => h("li", {}, `${one.name}: ${one.reason}`));
      openDialog("Training set", [h("p", {}, `${answer.clips.length} clip${answer.clips.length === 1 ? "" : "s"} in `, h("code", {}, answer.folder)), rows.length ? h("ul", {}, ...rows) : "", h("h3", {}, "What teaches the tracker with them"), h("div", { class: "command" }, h("code", {}, answer.command))]);
    } catch (error) {
      say(/** @type {Error} */ (error).message, "bad");
    }
  }

  tell() {
    const review = this.app.review;
    this.bar.hidden = !review;
    if (!review) return;
    const done = review.items.length - (review.counts.todo ?? 0);
    this.bar.replaceChildren(
      h("span", { class: "quiet mono", title: `accepted ${review.counts.accepted}, corrected ${review.counts.edited}, rejected ${review.counts.rejected}; ${review.clicks ?? 0} clicks` }, `${done} / ${review.items.length}`),
      h("button", { type: "button", title: "Accept and next (A)", onclick: () => this.judge("accepted"), id: "accept" }, icon("check"), "Accept"),
      h("button", { type: "button", title: "Reject with a reason (Q)", onclick: () => this.judge("rejected"), id: "reject" }, icon("close"), "Reject"),
      h("button", { type: "button", title: "Next without a verdict (J)", onclick: () => this.judge("skip"), id: "skip" }, icon("next"), "Later"),
      h("button", { type: "button", title: "Write the accepted videos as clips for pointtrack finetune", onclick: () => this.export(), id: "training-set" }, "Training set"),
    );
  }
}
