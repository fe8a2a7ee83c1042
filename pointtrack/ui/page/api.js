/** Talking to the server: requests that tell of mistakes in words. */

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") throw error;
    throw new Error("The server does not answer: what you do now is not kept. Start it again with `pointtrack ui`; what you did before is not lost.");
  }
  if (answer.ok) return answer;
  let words = `${answer.status} ${answer.statusText}`;
  try {
    words = (await answer.json()).error ?? words;
  } catch {
    // It was not JSON: the status will do.
  }
  if (answer.status === 401) words = "This page has lost its token. Open the address that the command printed.";
  throw new Error(words);
}

/**
 * @param {string} path
 * @returns {Promise<any>}
 */
export async function get(path) {
  return (await ask(path)).json();
}

/**
 * @param {string} path
 * @param {any} [content]
 * @returns {Promise<any>}
 */
export async function post(path, content = {}) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) };
  return (await ask(path, options)).json();
}

/**
 * @param {string} path
 * @returns {Promise<ArrayBuffer>}
 */
export async function bytes(path) {
  return (await ask(path)).arrayBuffer();
}

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<Blob>}
 */
export async function blob(path, signal) {
  return (await ask(path, { signal })).blob();
}

/**
 * Send a file, and tell how far it is.
 * @param {File} file
 * @param {(share: number) => void} progress
 * @returns {{done: Promise<{path: string}>, cancel: () => void}}
 */
export function upload(file, progress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.open("POST", `/api/upload?name=${encodeURIComponent(file.name)}`);
    request.upload.onprogress = (event) => progress(event.total ? event.loaded / event.total : 0);
    request.onload = () => {
      let answer = { error: `${request.status}`, path: "" };
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        answer.error = request.responseText || answer.error;
      }
      if (request.status === 200) resolve(answer);
      else reject(new Error(answer.error));
    };
    request.onerror = () => reject(new Error("The upload was broken off: the file is too large, or the server has ended."));
    request.onabort = () => reject(new Error("The upload was stopped."));
    request.send(file);
  });
  return { done, cancel: () => request.abort() };
}
