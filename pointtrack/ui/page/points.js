/** What a person says of points: new ones, and where one is. */

/** @param {import("./app.js").App} app @param {number[][]} xy */
export async function addPoints(app, xy) {
  const { choices } = app;
  const answer = await app.act("points.add", { frame: app.frame, xy });
  if (!answer) return;
  if (app.choices === choices) app.choose({ kind: "point", id: answer.points[0] });
  trackIfWanted(app);
}

/** @param {import("./app.js").App} app @param {"grid"|"corners"} kind @param {number} count @param {number[]|null} region @param {number|null} object */
export async function addMany(app, kind, count, region, object) {
  const args = { frame: app.frame, region, object, ...(kind === "grid" ? { size: count } : { count }) };
  const { choices } = app;
  const answer = await app.act(`points.${kind}`, args);
  if (!answer) return;
  const group = app.state?.points.find((one) => one.id === answer.points[0])?.group;
  if (group && app.choices === choices) app.choose({ kind: "group", id: group });
  trackIfWanted(app);
}

/** @param {import("./app.js").App} app @param {number} point @param {number[]} xy */
export async function correctPoint(app, point, xy) {
  if (await app.act("points.correct", { point, frame: app.frame, xy })) trackIfWanted(app);
}

/** @param {import("./app.js").App} app */
function trackIfWanted(app) {
  if (app.settings.auto) app.run("both", ["points"]);
}
