// The emotion curve: sentiment from -1 to 1 across the stages, with its interval as a band.
const CURVE = { height: 132, pad: 14 };

function sentimentFigures(view, place, stages) {
  return stages.map((stage, at) => {
    const cell = view.map && view.map.rows[place][at];
    const item = cell && cell.items.find((found) => found.figures.some((figure) => figure.unit === "sentiment" && figure.value !== null));
    return item ? item.figures.find((figure) => figure.unit === "sentiment") : null;
  });
}

function drawCurve(holder, stages, view) {
  const width = Math.max(240, Math.round(holder.clientWidth));
  const place = Number(holder.dataset.place);
  const column = width / stages.length;
  const y = (value) => CURVE.pad + ((1 - value) / 2) * (CURVE.height - 2 * CURVE.pad);
  const picture = svg("svg", { class: "curve", viewBox: `0 0 ${width} ${CURVE.height}` });
  for (const value of [1, 0, -1]) {
    picture.append(svg("line", { x1: 0, x2: width, y1: y(value), y2: y(value), class: value ? "grid" : "grid zero" }));
    picture.append(svg("text", { x: 6, y: y(value) + (value < 0 ? -4 : 11), class: "scale" }, ["−1 unhappy", "0", "+1 happy"][value + 1]));
  }
  stages.slice(1).forEach((stage, at) => picture.append(svg("line", { x1: (at + 1) * column, x2: (at + 1) * column, y1: 0, y2: CURVE.height, class: "grid" })));
  const points = sentimentFigures(view, place, stages).map((figure, at) => figure
    && { x: (at + 0.5) * column, y: y(figure.value), low: y(figure.low ?? figure.value), high: y(figure.high ?? figure.value), figure });
  for (const run of runsOf(points)) picture.append(...runShapes(run));
  for (const point of points.filter(Boolean)) picture.append(...pointShapes(point));
  holder.replaceChildren(picture);
}

/** Neighbouring stages that are both known; a gap in what is known is a gap in the curve. */
function runsOf(points) {
  const runs = [];
  points.forEach((point, at) => {
    if (!point) return;
    if (at && points[at - 1]) runs[runs.length - 1].push(point);
    else runs.push([point]);
  });
  return runs;
}

function bent(points, key, start) {
  return points.map((point, at) => {
    if (!at) return `${start}${point.x.toFixed(1)},${point[key].toFixed(1)}`;
    const before = points[at - 1];
    const middle = ((before.x + point.x) / 2).toFixed(1);
    return `C${middle},${before[key].toFixed(1)} ${middle},${point[key].toFixed(1)} ${point.x.toFixed(1)},${point[key].toFixed(1)}`;
  }).join("");
}

function runShapes(run) {
  if (run.length < 2) return [];
  const band = `${bent(run, "high", "M")}${bent([...run].reverse(), "low", "L")}Z`;
  const steps = run.slice(1).map((point, at) => {
    const guessed = [run[at], point].some((end) => end.figure.evidence !== "observed");
    return svg("path", { d: bent([run[at], point], "y", "M"), class: guessed ? "line guessed" : "line" });
  });
  return [svg("path", { d: band, class: "band" }), ...steps];
}

function pointShapes(point) {
  const { x, y } = point;
  const shape = svg("circle", { cx: x, cy: y, r: 5, class: point.figure.evidence === "observed" ? "point" : "point guessed" });
  return [svg("path", { d: `M${x},${point.high} V${point.low} M${x - 4},${point.high} h8 M${x - 4},${point.low} h8`, class: "whisker" }), shape];
}
