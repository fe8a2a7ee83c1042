/** A camera or a stream: frames as they come, points added by a click. */

import * as api from "./api.js";
import { css, idColor } from "./colors.js";
import { h, openDialog, say } from "./dom.js";

/** Ask for a source, and show it. */
export function openLive() {
  const source = h("input", { type: "text", placeholder: "0, rtsp://camera/stream, or a video file", class: "grow", "aria-label": "Source", id: "live-source" });
  const words = h("p", { class: "quiet", id: "live-words" }, "The number of a camera of this machine, the address of a stream, or a file that is played at its own speed. Then click into the picture: every click is a point.");
  const canvas = h("canvas", { tabindex: "0", role: "application", "aria-label": "Live picture; click adds a point", width: 640, height: 360, id: "live-picture" });
  /** @type {WebSocket|null} */
  let socket = null;
  /** @type {any} */
  let head = null;
  const send = (/** @type {any} */ command) => socket?.readyState === 1 && socket.send(JSON.stringify(command));
  const add = (/** @type {number} */ x, /** @type {number} */ y) => head && send({ add: [x, y], frame: head.frame });
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    add(((event.clientX - box.left) / box.width) * (head?.wh[0] ?? 1) - 0.5, ((event.clientY - box.top) / box.height) * canvas.height - 0.5);
  });
  let pointer = [320, 180];
  canvas.addEventListener("keydown", (event) => {
    /** @type {Record<string, number[]>} */
    const ways = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] };
    if (ways[event.key]) pointer = [Math.min(Math.max(pointer[0] + ways[event.key][0], 0), canvas.width - 1), Math.min(Math.max(pointer[1] + ways[event.key][1], 0), canvas.height - 1)];
    else if (event.key === "Enter") add(pointer[0] / (head?.aspect ?? 1), pointer[1]);
    else return;
    event.preventDefault();
  });
  const begin = async () => {
    socket?.close();
    try {
      const opened = await api.post("/api/live", { source: source.value });
      words.textContent = `${opened.name}: waiting for frames`;
    } catch (error) {
      say(/** @type {Error} */ (error).message, "bad");
      return;
    }
    socket = new WebSocket(`${location.origin.replace("http", "ws")}/api/live/ws`);
    socket.binaryType = "arraybuffer";
    socket.onmessage = async (event) => {
      if (typeof event.data === "string") {
        const told = JSON.parse(event.data);
        words.textContent = told.problem ?? told.message ?? "over";
        return;
      }
      const length = new DataView(event.data).getUint32(0, true);
      head = JSON.parse(new TextDecoder().decode(new Uint8Array(event.data, 4, length)));
      const picture = await createImageBitmap(new Blob([new Uint8Array(event.data, 4 + length)], { type: "image/jpeg" }));
      const width = Math.round(head.wh[0] * head.aspect); // as pixels that are not square are shown
      if (canvas.width !== width || canvas.height !== head.wh[1]) [canvas.width, canvas.height] = [width, head.wh[1]];
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
      context.drawImage(picture, 0, 0, canvas.width, canvas.height);
      picture.close();
      const radius = Math.max(canvas.width / 130, 4);
      for (const [id, x, y, seen] of head.points) {
        context.beginPath();
        context.arc(x * head.aspect, y, radius, 0, 7);
        context.lineWidth = radius / 3;
        context.fillStyle = css(idColor(id));
        context.strokeStyle = seen > 0.5 ? "rgb(0 0 0 / .7)" : css(idColor(id));
        if (seen > 0.5) context.fill();
        context.stroke();
      }
      if (document.activeElement === canvas) {
        context.strokeStyle = "#fff";
        context.strokeRect(pointer[0] - radius, pointer[1] - radius, 2 * radius, 2 * radius);
      }
      words.textContent = `frame ${head.frame} · ${head.points.length} points · ${head.latency} ms · ${head.dropped} dropped · ${head.state}`;
      send({ next: true });
    };
    canvas.focus();
  };
  source.addEventListener("keydown", (event) => event.key === "Enter" && begin());
  const dialog = openDialog("Live", [h("div", { class: "row" }, source, h("button", { type: "button", class: "main", onclick: begin, id: "live-begin" }, "Begin"), h("button", { type: "button", onclick: () => send({ clear: true }), id: "live-clear" }, "Clear points")), words, canvas]);
  dialog.style.width = "min(900px, 94vw)";
  dialog.addEventListener("close", () => socket?.close());
}
