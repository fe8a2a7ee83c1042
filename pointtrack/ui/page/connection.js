/** Events of a project over a socket that comes back, and what a person is told while it does not. */

const PATIENCE = 3000; // milliseconds without a server before the page speaks of it

/**
 * Why there is no socket: "away" if the server does not answer, which may change by itself; "closed" if it does not have
 * the project open; "token" if it is another one than the page was opened by.
 * @typedef {""|"away"|"closed"|"token"} Lost
 */

/**
 * @param {string} project
 * @returns {Promise<Lost>}
 */
async function reasonOf(project) {
  try {
    const { status } = await fetch(`/api/p/${encodeURIComponent(project)}/state`, { credentials: "same-origin" });
    return status === 404 ? "closed" : status === 401 ? "token" : "away";
  } catch {
    return "away";
  }
}

/**
 * Events of a project until it is closed; after a break it begins anew with the whole state. What does not change by
 * itself is tried again only when a person comes back to the page.
 * @param {string} project
 * @param {(event: any) => void} heard
 * @param {(lost: Lost) => void} changed "" once there is a socket
 * @returns {() => void} closes it
 */
export function listen(project, heard, changed) {
  let closed = false;
  let wait = 300;
  /** @type {WebSocket|null} */
  let socket = null;
  const connect = () => {
    if (closed) return;
    let told = false; // of the state, which comes first
    socket = new WebSocket(`${location.origin.replace("http", "ws")}/api/ws?p=${encodeURIComponent(project)}`);
    socket.onmessage = (event) => {
      if (closed) return;
      if (!told) changed("");
      told = true;
      wait = 300;
      heard(JSON.parse(event.data));
    };
    socket.onclose = async () => {
      if (closed) return;
      const lost = told ? "away" : await reasonOf(project);
      if (closed) return;
      changed(lost);
      if (lost === "away") setTimeout(connect, wait);
      else window.addEventListener("focus", connect, { once: true });
      wait = Math.min(wait * 1.7, 5000);
    };
  };
  connect();
  return () => {
    closed = true;
    window.removeEventListener("focus", connect);
    socket?.close();
  };
}

/**
 * A line about a lost connection, with what a person can do.
 * @param {import("./app.js").App} app
 * @param {typeof import("./dom.js").h} h
 * @returns {HTMLElement}
 */
export function lostLine(app, h) {
  const words = h("span", { class: "grow" });
  const again = h("button", { type: "button", id: "open-again", hidden: true, onclick: () => app.reopen() }, "Open it again");
  const line = h("div", { id: "lost", class: "message", role: "alert", hidden: true }, words, again);
  let timer = 0;
  const tell = () => {
    clearTimeout(timer);
    const { lost, state } = app;
    line.hidden = !lost || lost === "away";
    again.hidden = lost !== "closed";
    if (lost === "closed") words.textContent = `${state?.name ?? "The video"} is no longer open: the server was started anew, or closed it for other videos. Nothing you did is lost.`;
    else if (lost === "token") words.textContent = "The server was started anew and does not know this page. Open the address that its command printed; nothing you did is lost.";
    else if (lost === "away") {
      words.textContent = "The server does not answer; the page tries again. If it has ended, start it with `pointtrack ui` and open the address that it prints; nothing you did is lost.";
      timer = window.setTimeout(() => { line.hidden = app.lost !== "away"; }, PATIENCE);
    }
  };
  let told = app.lost;
  app.on(["connection", "project"], () => {
    if (told === app.lost) return;
    told = app.lost;
    tell();
  });
  return line;
}
