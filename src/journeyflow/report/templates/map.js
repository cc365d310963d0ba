// The map: stages as columns, a row for every question.
const OUTCOMES = [
  ["converted_count", "went on", "converted"],
  ["drop_off_count", "dropped", "dropped"],
  ["pending_count", "pending", "pending"],
];

const rowOf = (map, key) => (map && map.rows[ROWS.findIndex((row) => row.key === key)]) || [];

/** Whether the stage after this one is reached by doing something again: who has not yet is no drop-off. */
const isBeforeRepeat = (at) => {
  const next = MODELS.find((model) => model.key === choice.model).stages[at + 1];
  return Boolean(next && next.repeat);
};
const NOT_AGAIN = "not again yet";

/** The position of the stage at which most people drop out; null where nobody did. */
function worstStage(map) {
  const dropped = rowOf(map, "people").map((cell, at) => (isBeforeRepeat(at) || !cell.items.length ? 0 : (figureIn(cell.items[0], "drop_off_count") || { value: 0 }).value));
  const most = Math.max(0, ...dropped);
  return most ? dropped.indexOf(most) : null;
}

function mapTable(stages, view) {
  const body = el("tbody");
  ROWS.forEach((row, place) => {
    if (isUnknown(place, view)) return;
    const isCurve = row.key === "emotion";
    if (isCurve) body.append(curveRow(row, place, stages));
    body.append(el("tr", { class: `row-${row.key}` }, isCurve ? null : rowHeader(row, 1), stages.map((stage, at) => mapCell(row, place, at, view, stages))));
  });
  return el("table", { class: "map" }, el("caption", { class: "sr" }, `Journey map of ${view.persona.label}: stages as columns`),
    el("colgroup", null, el("col", { class: "col-row" }), stages.map(() => el("col"))), stageHeader(stages), body);
}

/** Whether nothing is known of a row at any stage. */
const isUnknown = (place, { map }) => !map || map.rows[place].every((cell) => cell.evidence === "unknown");

/** The rows that the map leaves out, with the reason where it is the same at each stage. */
function missingRows(view) {
  const missing = ROWS.map((row, place) => ({ row, place })).filter(({ place }) => isUnknown(place, view));
  if (!missing.length) return null;
  const reasonOf = (place) => {
    const notes = new Set(view.map ? view.map.rows[place].map((cell) => cell.note) : []);
    return notes.size === 1 && [...notes][0] ? ` (${[...notes][0]})` : "";
  };
  return el("p", { class: "missing" }, evidenceMark("unknown"), ": ", missing.map(({ row, place }) => `${row.label.toLowerCase()}${reasonOf(place)}`).join(", "));
}

const stageHeader = (stages) => el("thead", null, el("tr", null, el("td", { class: "corner" }), stages.map((stage, at) =>
  el("th", { scope: "col", class: "stage" }, el("span", { class: "stage-number", "aria-hidden": "true" }, at + 1), words(stage.label, 2)))));

const personaChip = (view) => el("span", { class: "chip" }, el("span", { "aria-hidden": "true", class: "chip-mark" }, "●"), words(view.persona.label, 2));

const rowHeader = (row, span) => el("th", { scope: "row", class: "row-name", rowspan: span },
  el("span", { class: "row-label" }, row.label), el("span", { class: "row-hint" }, row.hint));

function mapCell(row, place, at, view, stages) {
  const cell = view.map ? view.map.rows[place][at] : { evidence: "unknown", items: [], rest: 0, note: "nobody entered in this period" };
  const where = `${row.label}, ${stages[at].label}, ${view.persona.label}`;
  const node = el("td", { class: `cell cell-${cell.evidence}` });
  if (cell.items.length) {
    node.append(...[row.key === "people" ? peopleBars(cell.items[0], where, view, isBeforeRepeat(at)) : itemList(row, cell, where)].flat(Infinity).filter(Boolean));
  }
  if (row.key === "people" && at === worstStage(view.map)) node.append(el("p", { class: "worst" }, "most leave here"));
  if (row.key === "people" && cell.items.length && figureIn(cell.items[0], "drop_off_count")) node.append(behindLink(at, "", stages[at].label));
  if (cell.rest) node.append(el("p", { class: "rest" }, `and ${whole(cell.rest)} more in the table`));
  const mixed = new Set(cell.items.map((item) => item.evidence)).size > 1;
  node.append(el("p", { class: "foot" }, cell.note ? el("span", { class: "why" }, cell.note) : null, mixed ? "" : evidenceMark(cell.evidence)));
  if (mixed) node.lastChild.append(el("span", { class: "known" }, "marked one by one"));
  return node;
}

const figureIn = (item, key) => item.figures.find((figure) => figure.key === key && figure.value !== null) || null;

/** How many reached the stage, as a bar against the first stage, in parts that differ by pattern as well as colour. */
function peopleBars(item, where, view, again) {
  const reached = figureIn(item, "person_count");
  // The last stage has no next one, whatever the table counts as converted.
  const isLast = !figureIn(item, "drop_off_count");
  const parts = isLast ? [] : OUTCOMES.map(([key, name, style]) => ({ name: again && style === "dropped" ? NOT_AGAIN : name, style: again && style === "dropped" ? "again" : style, figure: figureIn(item, key) })).filter((part) => part.figure);
  const drop = figureIn(item, "drop_off_rate");
  const node = el("div", { class: "people" });
  if (reached) {
    node.append(el("p", { class: "people-count" }, figureButton(reached, where, null, item.figures), " ",
      drop ? el("span", { class: "aside" }, figureButton(drop, where, null, item.figures), again ? ` ${NOT_AGAIN}` : " drop off") : null));
    // None is no sliver of a bar either.
    const shown = (parts.length ? parts : [{ style: "converted", figure: reached }]).filter((part) => part.figure.value);
    node.append(share(el("div", { class: "stack", "aria-hidden": "true" },
      shown.map((part) => share(el("i", { class: `seg seg-${part.style}` }), "--part", part.figure.value / (reached.value || 1)))),
    "--whole", reached.value / (view.most || 1)));
  }
  node.append(el("ul", { class: "parts" }, parts.map((part) => el("li", null, el("i", { class: `swatch seg-${part.style}`, "aria-hidden": "true" }),
    el("span", null, figureButton(part.figure, where, null, item.figures), ` ${part.name}`)))));
  return node;
}

/** Which figures of an entry stand in its cell: at its head, then below it. The panel of each lists the others. */
const SHOWN = {
  touchpoints: { head: ["reach_rate"], tail: ["lift"] },
  channels: { head: ["reach_rate"], tail: [] },
  next: { head: ["transition_rate", "share_rate", "transition_count"], tail: [] },
  time: { head: ["p50_seconds_to_next"], tail: [], range: true },
  emotion: { head: ["sentiment"], tail: [], range: true },
  pain_points: { head: [], tail: ["lost_count", "person_count"], range: true },
  promises: { head: ["kept_rate"], tail: ["due_count", "broken_count", "pending_count", "gap"] },
  desired: { head: [], tail: ["desired", "measured", "gap"] },
  opportunities: { head: [], tail: ["worth_amount", "lost_count"], range: true },
};
const QUOTED = { quotes: (text) => `“${text}”` };
/** Entries of one cell that answer different questions, by their note. */
const GROUPS = { next: (item) => (item.note === "after dropping" ? "Those who dropped then did" : "Visits led to") };
/** Notes that the heading of the group says already; that of a small group stands beside its head. */
const DULL = new Set(["next", "after dropping"]);

function itemList(row, cell, where) {
  const mixed = new Set(cell.items.map((item) => item.evidence)).size > 1;
  const grouped = GROUPS[row.key];
  const groups = new Map();
  for (const item of cell.items) {
    const name = grouped ? grouped(item) : "";
    groups.set(name, [...(groups.get(name) || []), item]);
  }
  return [...groups].map(([name, items]) => [name ? el("p", { class: "group" }, name) : null,
    el("ul", { class: `items items-${row.key}` }, items.map((item) => itemNode(row, item, where, mixed)))]);
}

function itemNode(row, item, where, mixed) {
  const label = item.text ? `${where}: ${item.text}` : where;
  const shown = SHOWN[row.key] || { head: [], tail: [] };
  const button = (figure) => figureButton(figure, label, [figureText(figure), direction(figure)], item.figures);
  const head = shown.head.map((key) => figureIn(item, key)).find(Boolean) || null;
  const text = item.text && (QUOTED[row.key] ? QUOTED[row.key](item.text) : item.text);
  const range = (figure) => (shown.range && rangeText(figure) ? el("span", { class: "range" }, ` ${shortRange(figure)}`) : null);
  const bar = itemBar(item, head);
  const first = head && el("span", { class: "item-first" }, button(head), text ? null : range(head));
  const tail = shown.tail.map((key) => figureIn(item, key)).filter((figure) => figure && figure !== head).map((figure) =>
    el("span", { class: "pair" }, COUNTED.has(figure.unit) ? [button(figure), ` ${figure.label}`] : [`${figure.label} `, button(figure)], range(figure)));
  if (item.note && !DULL.has(item.note) && !(head && head.small)) tail.push(el("span", { class: "pair" }, words(item.note, 3)));
  if (mixed) tail.push(evidenceMark(item.evidence));
  // One short thing more has room beside the name, where the column is wide enough.
  const beside = bar && head && tail.length === 1;
  return el("li", null, el("div", { class: "item-head" },
    text ? el("span", { class: "item-text" }, words(text, row.key in SHOWN ? 3 : 6)) : null, " ",
    beside ? el("span", { class: "item-tail" }, tail) : null, bar ? null : first),
  bar && el("div", { class: "item-bar" }, bar, first), tail.length && !beside ? el("p", { class: "item-tail" }, tail) : null);
}

/** A rate as a bar; where a rate is desired, the measured one with a mark at the desired one. */
function itemBar(item, head) {
  const [desired, measured] = ["desired", "measured"].map((key) => figureIn(item, key));
  const isGap = !head && desired && desired.unit === "rate";
  const rate = isGap ? measured : head && head.unit === "rate" ? head : null;
  if (!isGap && !rate) return null;
  const bar = el("div", { class: "mini", "aria-hidden": "true" }, rate ? share(el("i"), "--part", rate.value) : null);
  if (isGap) bar.append(share(el("b"), "--part", desired.value));
  return bar;
}

/** Whether a ratio's interval is above or below one. */
function direction(figure) {
  if (figure.unit !== "ratio" || figure.low === null || figure.high === null) return null;
  if (figure.low > 1) return " ▲";
  return figure.high < 1 ? " ▼" : null;
}

function curveRow(row, place, stages) {
  const holder = el("td", { class: "curve-holder", colspan: stages.length, "aria-hidden": "true" });
  holder.dataset.place = place;
  return el("tr", { class: "row-curve" }, rowHeader(row, 2), holder);
}
