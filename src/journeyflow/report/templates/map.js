// The map: stages as columns, a row for every question, one or two personas beside each other.
const OUTCOMES = [
  ["converted_count", "went on", "converted"],
  ["drop_off_count", "dropped", "dropped"],
  ["pending_count", "pending", "pending"],
];

/** The table of a map. `views` are one or two of {persona, map, mark}; `paired` puts two side by side under each stage. */
function mapTable(stages, views, paired) {
  const double = views.length > 1;
  const columns = paired ? stages.flatMap((stage, at) => views.map((view) => ({ at, view }))) : null;
  const table = el("table", { class: `map${double ? " double" : ""}${paired ? " paired" : ""}` });
  table.append(el("caption", { class: "sr" }, `Journey map of ${views.map((view) => view.persona.label).join(" and ")}: stages as columns`));
  const split = double && !paired;
  table.append(el("colgroup", null, el("col", { class: "col-row" }), split ? el("col", { class: "col-persona" }) : null,
    (columns || stages).map(() => el("col"))));
  table.append(stageHeader(stages, views, paired, split));
  const body = el("tbody");
  ROWS.forEach((row, place) => {
    if (row.key === "emotion") body.append(curveRow(row, place, stages, views, paired, split));
    if (paired) body.append(el("tr", { class: `row-${row.key}` }, row.key === "emotion" ? null : rowHeader(row, 1),
      columns.map(({ at, view }) => mapCell(row, place, at, view, stages))));
    else views.forEach((view, number) => body.append(el("tr", { class: `row-${row.key}${number ? " second" : ""}` },
      number || row.key === "emotion" ? null : rowHeader(row, views.length),
      split ? el("th", { scope: "row", class: "persona" }, personaChip(view)) : null,
      stages.map((stage, at) => mapCell(row, place, at, view, stages)))));
  });
  table.append(body);
  return table;
}

function stageHeader(stages, views, paired, split) {
  const first = el("tr", null, el("td", { colspan: split ? 2 : 1, rowspan: paired ? 2 : 1, class: "corner" }));
  stages.forEach((stage, at) => first.append(el("th", { scope: paired ? "colgroup" : "col", colspan: paired ? views.length : 1, class: "stage" },
    el("span", { class: "stage-number", "aria-hidden": "true" }, at + 1), words(stage.label, 2))));
  const second = paired && el("tr", null, stages.map(() => views.map((view) => el("th", { scope: "col", class: "persona" }, personaChip(view)))));
  return el("thead", null, first, second);
}

const personaChip = (view) => el("span", { class: `chip chip-${view.mark}` },
  el("span", { "aria-hidden": "true", class: "chip-mark" }, view.mark === "a" ? "●" : "◆"), words(view.persona.label, 2));

const rowHeader = (row, span) => el("th", { scope: "row", class: "row-name", rowspan: span },
  el("span", { class: "row-label" }, row.label), el("span", { class: "row-hint" }, row.hint));

function mapCell(row, place, at, view, stages) {
  const cell = view.map ? view.map.rows[place][at] : { evidence: "unknown", items: [], rest: 0, note: "nobody entered in this period" };
  const where = `${row.label}, ${stages[at].label}, ${view.persona.label}`;
  const node = el("td", { class: `cell cell-${cell.evidence} of-${view.mark}` });
  if (cell.items.length) {
    node.append(row.key === "people" ? peopleBars(cell.items[0], where, view) : itemList(row, cell, where));
  }
  if (cell.rest) node.append(el("p", { class: "rest" }, `and ${whole(cell.rest)} more in the table`));
  const mixed = new Set(cell.items.map((item) => item.evidence)).size > 1;
  node.append(el("p", { class: "foot" }, cell.note ? el("span", { class: "why" }, cell.note) : null, mixed ? "" : evidenceMark(cell.evidence)));
  if (mixed) node.lastChild.append(el("span", { class: "known" }, "marked one by one"));
  return node;
}

const figureIn = (item, key) => item.figures.find((figure) => figure.key === key && figure.value !== null) || null;

/** How many reached the stage, as a bar against the first stage, in parts that differ by pattern as well as colour. */
function peopleBars(item, where, view) {
  const reached = figureIn(item, "person_count");
  const parts = OUTCOMES.map(([key, name, style]) => ({ name, style, figure: figureIn(item, key) })).filter((part) => part.figure);
  const drop = figureIn(item, "drop_off_rate");
  const node = el("div", { class: "people" });
  if (reached) {
    node.append(el("p", { class: "people-count" }, figureButton(reached, `${where}: ${reached.label}`),
      drop ? el("span", { class: "aside" }, figureButton(drop, `${where}: ${drop.label}`), " drop off") : null));
    const shown = parts.length ? parts : [{ style: "converted", figure: reached }];
    node.append(share(el("div", { class: "stack", "aria-hidden": "true" },
      shown.map((part) => share(el("i", { class: `seg seg-${part.style}` }), "--part", part.figure.value / (reached.value || 1)))),
    "--whole", reached.value / (view.most || 1)));
  }
  node.append(el("ul", { class: "parts" }, parts.map((part) => el("li", null, el("i", { class: `swatch seg-${part.style}`, "aria-hidden": "true" }),
    el("span", null, figureButton(part.figure, `${where}: ${part.name}`), ` ${part.name}`)))));
  return node;
}

const SAID = new Set(["goals", "needs", "quotes", "owner"]);

function itemList(row, cell, where) {
  const mixed = new Set(cell.items.map((item) => item.evidence)).size > 1;
  return el("ul", { class: `items items-${row.key}` }, cell.items.map((item) => itemNode(row, item, where, mixed)));
}

function itemNode(row, item, where, mixed) {
  const label = item.text ? `${where}: ${item.text}` : where;
  const known = item.figures.filter((figure) => figure.value !== null || figure.small);
  const [first, ...others] = known;
  const node = el("li");
  const head = el("div", { class: "item-head" });
  if (item.text) head.append(el("span", { class: "item-text" }, SAID.has(row.key) ? words(item.text, 6) : words(item.text, 3)));
  if (first) head.append(el("span", { class: "item-first" }, figureButton(first, `${label}: ${first.label}`)));
  node.append(head);
  if (first && first.unit === "rate" && first.value !== null && item.text) {
    node.append(share(el("div", { class: "mini", "aria-hidden": "true" }, el("i")), "--part", first.value));
  }
  const tail = others.map((figure) => el("span", { class: "pair" }, `${figure.label} `, figureButton(figure, `${label}: ${figure.label}`, [figureText(figure), direction(figure)])));
  if (first && !item.text) tail.unshift(el("span", { class: "pair" }, first.label));
  if (item.note) tail.push(el("span", { class: "pair" }, words(item.note, 3)));
  if (mixed) tail.push(evidenceMark(item.evidence));
  if (tail.length) node.append(el("p", { class: "item-tail" }, tail));
  return node;
}

/** Whether a ratio's interval lies above or below one. */
function direction(figure) {
  if (figure.unit !== "ratio" || figure.low === null || figure.high === null) return null;
  if (figure.low > 1) return " ▲";
  return figure.high < 1 ? " ▼" : null;
}

function curveRow(row, place, stages, views, paired, split) {
  const holder = el("td", { class: "curve-holder", colspan: stages.length * (paired ? 2 : 1), "aria-hidden": "true" });
  holder.dataset.place = place;
  const span = paired ? 2 : views.length + 1;
  return el("tr", { class: "row-curve" }, rowHeader(row, span), split ? el("td", { class: "curve-scale" }) : null, holder);
}
