// The flow picture: stages in their order, moves on and skips above, returns below, leaving downwards, as wide as they are common.
const FLOW = { box: 56, level: 27, stub: 34, thick: 18, shown: 0.02, most: 18 };

function flowSheet(stages, view, width) {
  const place = new Map(stages.map((stage, at) => [stage.key, at]));
  const links = flowOf(choice.model, view.persona.key).map((link) => ({
    ...link, fromIndex: place.get(link.start) ?? null, toIndex: place.get(link.end) ?? null,
  }));
  if (!links.length) return el("div", { class: "sheet" }, el("p", { class: "nothing" }, personaChip(view), "No visit to a stage was seen."));
  const { picture, rest, restCount, total } = flowPicture(stages, links, width);
  const names = el("div", { class: "flow-names", "aria-hidden": "true" }, stages.map((stage) => el("div", null, words(stage.label, 2))));
  const remainder = rest.length
    ? `Remainder: ${whole(restCount)} of ${whole(total)} moves (${percent(restCount / total)}), on ${rest.length} rarer ways, are not drawn; the table has them.`
    : "Every way that was seen is drawn.";
  return el("div", { class: "sheet flow-sheet" }, el("div", { class: "flow-head" }, personaChip(view), flowKey()), names, picture,
    el("p", { class: "flow-rest" }, remainder), el("details", { class: "table" }, el("summary", null, `All ways as a table (${links.length})`), flowTable(links, view)));
}

const flowKey = () => el("p", { class: "parts" }, [["on", "on to a later stage"], ["back", "back to an earlier stage"], ["leave", "the journey ended"]].map(([kind, text]) =>
  el("span", { class: "part-key" }, svg("svg", { class: "flow-swatch", viewBox: "0 0 26 8", "aria-hidden": "true" },
    svg("g", { class: `flow-move ${kind}` }, svg("path", { d: "M0,4 H26", "stroke-width": 4 }))), ` ${text}`)));

function flowTable(links, view) {
  const label = (link) => `${link.startLabel} → ${link.endLabel}, ${view.persona.label}`;
  const number = (name, key) => ({ name, number: true, value: (link) => valueOf(link[key]), cell: (link) => figureCell(link[key], label(link), false, [link.count, link.rate, link.median].filter(Boolean)) });
  return sortTable("Moves from visit to visit", [
    { name: "From", value: (link) => link.fromIndex ?? -1, cell: (link) => words(link.startLabel) },
    { name: "To", value: (link) => link.toIndex ?? 99, cell: (link) => words(link.endLabel) },
    { name: "Way", value: (link) => wayOf(link), cell: wayOf },
    number("Visits", "count"), number("Of ended visits", "rate"), number("Median until then", "median"),
  ], links, { bare: true });
}

function wayOf(link) {
  if (link.fromIndex === null) return "begin";
  if (link.toIndex === null) return link.end === "exit" ? "exit" : "open";
  return link.back ? "return" : "on";
}

function flowPicture(stages, links, width) {
  const moves = links.filter((link) => link.fromIndex !== null && link.toIndex !== null);
  const total = moves.reduce((sum, link) => sum + (link.count.value || 0), 0);
  const ranked = [...moves].sort((a, b) => b.count.value - a.count.value);
  // Each stage keeps the way that most came by, or it would hang in the air.
  const isMain = (link) => ranked.find((other) => other.toIndex === link.toIndex) === link;
  const drawn = ranked.filter((link, place) => isMain(link) || (place < FLOW.most && link.count.value >= FLOW.shown * total));
  const rest = ranked.filter((link) => !drawn.includes(link));
  const high = Math.max(0, ...drawn.map((link) => (link.toIndex - link.fromIndex > 1 ? link.toIndex - link.fromIndex : 0)));
  const deep = Math.max(0, ...drawn.map((link) => Math.max(0, link.fromIndex - link.toIndex)));
  const frame = {
    width, column: width / stages.length, top: 16 + high * FLOW.level, widest: Math.max(1, ...moves.concat(links.filter((link) => link.end === "exit")).map((link) => link.count.value || 0)),
    half: Math.min(84, (width / stages.length) * 0.34), count: stages.length,
  };
  const height = frame.top + FLOW.box + FLOW.stub + 26 + (deep ? 14 + deep * FLOW.level : 0);
  const picture = svg("svg", {
    class: "flow", viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Moves between stages; the same numbers are in the table below",
  });
  const leaving = links.filter((link) => link.end === "exit" && link.fromIndex !== null);
  for (const link of drawn) picture.append(drawMove(link, frame));
  for (const link of leaving) picture.append(drawExit(link, frame));
  stages.forEach((stage, index) => picture.append(drawStage(stage, index, frame, links)));
  for (const link of drawn) picture.append(labelMove(link, frame));
  for (const link of leaving) picture.append(labelExit(link, frame));
  return { picture, rest, restCount: rest.reduce((sum, link) => sum + link.count.value, 0), total };
}

const thickness = (link, frame) => Math.max(1.5, (FLOW.thick * (link.count.value || 0)) / frame.widest);
const centre = (index, frame) => (index + 0.5) * frame.column;

function drawStage(stage, index, frame, links) {
  const visits = links.filter((link) => link.fromIndex === index).reduce((sum, link) => sum + (link.count.value || 0), 0);
  const begun = links.find((link) => link.fromIndex === null && link.toIndex === index);
  const x = centre(index, frame);
  const group = svg("g", { class: "flow-stage" },
    svg("rect", { x: x - frame.half, y: frame.top, width: 2 * frame.half, height: FLOW.box, rx: 7 }),
    svg("text", { x, y: frame.top + (begun ? 19 : 26), class: "flow-big" }, whole(visits)),
    svg("text", { x, y: frame.top + (begun ? 33 : 41), class: "flow-small" }, visits === 1 ? "visit" : "visits"));
  if (begun) group.append(drawnFigure(begun.count, x, frame.top + 48, `${whole(begun.count.value)} begin here`, `Journeys that begin in ${stage.label}`, "flow-small"));
  return group;
}

/** Where a move leaves, arrives and turns: nested by distance, so that arcs of one stage do not cross. */
function course(link, frame) {
  const distance = Math.abs(link.toIndex - link.fromIndex);
  const forward = link.toIndex > link.fromIndex;
  const inset = Math.max(0, frame.half - 44) * ((distance - 1) / Math.max(1, frame.count - 1));
  const side = forward ? 1 : -1;
  const from = centre(link.fromIndex, frame) + side * (frame.half - 8 - inset);
  const to = centre(link.toIndex, frame) - side * (frame.half - 8 - inset);
  const edge = forward ? frame.top : frame.top + FLOW.box;
  const reach = distance * FLOW.level + (forward ? -6 : FLOW.stub + 14);
  return { from, to, edge, turn: forward ? edge - reach : edge + reach, side, straight: forward && distance === 1 };
}

function drawMove(link, frame) {
  const at = course(link, frame);
  const wide = thickness(link, frame);
  const kind = at.side > 0 ? "on" : "back";
  const head = wide / 2 + 4;
  if (at.straight) {
    const [left, right] = [centre(link.fromIndex, frame) + frame.half, centre(link.toIndex, frame) - frame.half];
    const y = frame.top + FLOW.box / 2;
    return svg("g", { class: `flow-move ${kind}` },
      svg("line", { x1: left, y1: y, x2: right - 8, y2: y, "stroke-width": wide }),
      svg("polygon", { points: `${right - 9},${y - head} ${right - 1},${y} ${right - 9},${y + head}` }));
  }
  const bend = at.edge + ((at.turn - at.edge) * 4) / 3;
  const tail = at.edge + (at.side > 0 ? -8 : 8);
  return svg("g", { class: `flow-move ${kind}` },
    svg("path", { d: `M${at.from},${at.edge} C${at.from},${bend} ${at.to},${bend} ${at.to},${tail}`, "stroke-width": wide }),
    svg("polygon", { points: `${at.to - head},${tail} ${at.to},${at.edge} ${at.to + head},${tail}` }));
}

function drawExit(link, frame) {
  const x = centre(link.fromIndex, frame);
  const y = frame.top + FLOW.box;
  const wide = thickness(link, frame);
  const head = wide / 2 + 4;
  return svg("g", { class: "flow-move leave" },
    svg("line", { x1: x, y1: y, x2: x, y2: y + FLOW.stub - 12, "stroke-width": wide }),
    svg("polygon", { points: `${x - head},${y + FLOW.stub - 13} ${x},${y + FLOW.stub - 4} ${x + head},${y + FLOW.stub - 13}` }));
}

function drawnFigure(figure, x, y, text, name, style = "flow-label") {
  const label = svg("text", { x, y, class: style }, text);
  const group = svg("g", { tabindex: 0, role: "button", class: "flow-figure", "aria-label": `${name}: ${text}` }, label);
  return withPanel(group, figure, name);
}

const telling = (link) => link.rate || link.count;

function labelMove(link, frame) {
  const at = course(link, frame);
  const [x, y] = at.straight
    ? [(link.fromIndex + 1) * frame.column, frame.top + FLOW.box / 2 - thickness(link, frame) / 2 - 6]
    : [(at.from + at.to) / 2, at.turn + 4];
  return drawnFigure(telling(link), x, y, figureText(telling(link)), `${link.startLabel} → ${link.endLabel}`);
}

function labelExit(link, frame) {
  const y = frame.top + FLOW.box + FLOW.stub + 10;
  const text = figureText(telling(link)) + (frame.half > 64 ? " leave" : "");
  return drawnFigure(telling(link), centre(link.fromIndex, frame), y, text, `${link.startLabel} → ${link.endLabel}`);
}
