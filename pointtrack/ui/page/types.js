/**
 * What the server and the modules of the page speak about.
 *
 * @typedef {{box: number[], runs: number[]}} CodedMask
 * @typedef {{kind: "prompt"|"mask"|"absent", clicks: number[][], box: number[]|null}} Said
 * @typedef {{id: number, known: boolean, score: number, mask: CodedMask|null, said: Said|null}} ObjectRow
 * @typedef {{frame: number, version: number, objects: ObjectRow[]}} MaskAnswer
 * @typedef {{id: number, group: number, fixes: number[]}} PointRow
 * @typedef {{id: number, name: string, keys: number[]}} ObjectInfo
 * @typedef {{names: Record<string, string>, colors: Record<string, string>, hidden: string[], locked: string[], in: number|null, out: number|null}} View
 * @typedef {{what: string[], start: number, stop: number, direction: string, at: number, fraction: number, left: number|null}} RunInfo
 * @typedef {{points: number, objects: number}} Versions
 * @typedef {object} ProjectState
 * @property {string} id
 * @property {string} name
 * @property {string} path
 * @property {string} folder
 * @property {number} frames
 * @property {number[]} wh
 * @property {number} aspect width of a pixel by its height
 * @property {number} fps
 * @property {string} tracker
 * @property {string} engine
 * @property {PointRow[]} points
 * @property {ObjectInfo[]} objects
 * @property {View} view
 * @property {{labels: string[], now: number}} history
 * @property {RunInfo|null} run
 * @property {number[]} cuts
 * @property {number} scanned
 * @property {Versions} versions
 * @property {number} serial
 * @property {any} export the one that is being written, or what was told of the last one
 *
 * @typedef {{sure: string, present: string}} ObjectLane
 * @typedef {{start: number, stop: number, bins: number, objects: Record<string, ObjectLane>, points: Record<string, string>, groups: Record<string, string>}} Lanes
 * @typedef {{kind: "object"|"point", id: number, frame: number, sure: number}} Suggestion
 * @typedef {{start: number, stop: number, ids: number[], version: number, values: Float32Array}} TrackChunk
 * @typedef {{kind: "object"|"point"|"group", id: number}|null} Selection
 * @typedef {{brightness: number, opacity: number, trail: number, size: number, brush: number, outline: boolean, auto: boolean, follow: boolean, theme: string}} Settings
 * @typedef {{path: string, name: string, verdict: string, reason: string}} ReviewItem
 * @typedef {{items: ReviewItem[], folder: string|null, counts: Record<string, number>, source?: string, seconds?: number, clicks?: number}} Review
 * @typedef {{saved: {id: string, name: string, path: string, saved: number, steps: number, there: boolean}[], models: {tracker: string, segmenter: string, engine: string|null}, formats: {tracks: string[], masks: string[], videos: string[]}, roots: string[], first: string|null, most_upload_bytes: number, review: boolean}} Boot
 */
export {};
