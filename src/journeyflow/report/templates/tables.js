// Tables that sort, and what is drawn beside the map: blind spots, funnel, drop-offs, opportunities, facts.
const MORE = 12;

/** A table whose columns are {name, value(row) to sort by, cell(row), number}; the first column names the row. */
function sortTable(caption, columns, rows, options = {}) {
  const state = { by: null, up: true, all: rows.length <= (options.most || MORE) };
  const body = el("tbody");
  const heads = columns.map((column, place) => el("th", { scope: "col", class: column.number ? "number" : null },
    el("button", { type: "button", class: "sort", onclick: () => sortBy(place) }, column.name)));
  const table = el("table", { class: "rows" }, el("caption", null, caption),
    el("colgroup", null, columns.map((column) => el("col", { class: column.wide ? `wide-${column.wide}` : null }))),
    el("thead", null, el("tr", null, heads)), body);
  const more = el("button", { type: "button", class: "plain more", onclick: () => { state.all = true; draw(); } });
  const draw = () => {
    const sorted = state.by === null ? rows : [...rows].sort((a, b) => order(columns[state.by].value(a), columns[state.by].value(b), state.up));
    const shown = sorted.map((row, place) => el("tr", { id: options.id ? options.id(row) : null, class: !state.all && place >= (options.most || MORE) ? "beyond" : null }, columns.map((column, at) => at
      ? el("td", { class: column.number ? "number" : null }, column.cell(row))
      : el("th", { scope: "row", class: column.number ? "number" : null }, column.cell(row)))));
    body.replaceChildren(...shown);
    more.hidden = state.all;
    more.textContent = `Show all ${whole(rows.length)}`;
  };
  const sortBy = (place) => {
    state.up = state.by === place ? !state.up : !columns[place].number;
    state.by = place;
    heads.forEach((head, at) => (at === place ? head.setAttribute("aria-sort", state.up ? "ascending" : "descending") : head.removeAttribute("aria-sort")));
    draw();
    say(`Sorted by ${columns[place].name}, ${state.up ? "ascending" : "descending"}`);
  };
  draw();
  return el("div", { class: options.bare ? "bare" : "sheet" }, table, more);
}

/** Nulls last, whichever way the rest goes. */
function order(a, b, up) {
  if (a === null || b === null) return (a === null) - (b === null);
  const first = typeof a === "string" ? a.localeCompare(b, "en") : a - b;
  return up ? first : -first;
}

const valueOf = (figure) => (figure ? figure.value : null);
const figureCell = (figure, label, range, others) => (figure && (figure.value !== null || figure.small)
  ? [figureButton(figure, label, null, others), range && rangeText(figure) ? el("span", { class: "range" }, ` ${shortRange(figure)}`) : null]
  : el("span", { class: "quiet" }, "–"));

const LEVELS = {
  critical: { symbol: "✕", many: "critical" },
  warning: { symbol: "▲", many: "warnings" },
  note: { symbol: "●", many: "notes" },
};
const levelMark = (severity, text) => el("span", { class: `level level-${severity}` },
  el("span", { "aria-hidden": "true" }, LEVELS[severity].symbol), text);

function drawBlindSpots() {
  const spots = DATA.spots.map(spotOf);
  if (!spots.length) return replaceIn("blind-body", el("p", { class: "nothing" }, "None was found."));
  const ranks = Object.keys(LEVELS);
  const tally = ranks.map((severity) => [severity, spots.filter((spot) => spot.severity === severity).length]).filter(([, count]) => count);
  replaceIn("blind-tally", tally.map(([severity, count]) => levelMark(severity, `${count} ${count === 1 ? severity : LEVELS[severity].many}`)));
  // Only what a person can do something about stands open; notes unfold once more.
  const notes = spots.filter((spot) => spot.severity === "note");
  const open = spots.filter((spot) => spot.severity !== "note");
  return replaceIn("blind-body", open.length ? spotTable("To look into", open) : null,
    notes.length ? el("details", { class: "table" }, el("summary", null, `${whole(notes.length)} notes: nothing to do`), spotTable("Notes", notes)) : null);
}

function spotTable(caption, spots) {
  const ranks = Object.keys(LEVELS);
  return sortTable(caption, [
    { name: "Severity", wide: "s", value: (spot) => ranks.indexOf(spot.severity), cell: (spot) => levelMark(spot.severity, spot.severity) },
    { name: "Kind", wide: "spot", value: (spot) => spot.kind, cell: (spot) => words(spot.kind) },
    { name: "Where", wide: "where", value: (spot) => spot.subject, cell: (spot) => words(spot.subject || "–") },
    { name: "What it means", wide: "xl", value: (spot) => spot.detail, cell: (spot) => words(spot.detail) },
    { name: "Items", wide: "s", number: true, value: (spot) => spot.items.value, cell: (spot) => figureCell(spot.items, `${spot.kind}: ${spot.subject}`) },
    { name: "Share", wide: "s", number: true, value: (spot) => spot.share.value, cell: (spot) => figureCell(spot.share, `${spot.kind}: ${spot.subject}`) },
  ], spots, { bare: true });
}

function funnelTable(funnel, view) {
  const most = Math.max(1, ...funnel.steps.map((step) => step.reached.value || 0));
  const label = (step) => `${step.label}, ${view.persona.label}`;
  const figure = (step, name, range) => el("td", { class: "number" }, figureCell(step[name], label(step), range, STEP_FIGURES.map((key) => step[key]).filter(Boolean)));
  const again = (step) => !choice.funnel && isBeforeRepeat(funnel.steps.indexOf(step));
  const noted = (step, cell) => { if (again(step)) cell.append(el("span", { class: "range" }, NOT_AGAIN)); return cell; };
  const bar = (step) => {
    const parts = [["wentOn", "converted"], ["dropped", again(step) ? "again" : "dropped"], ["pending", "pending"]].filter(([name]) => step.dropped.value !== null && step[name].value);
    const shown = parts.length || !step.reached.value ? parts : [["reached", "converted"]];
    return share(el("div", { class: "stack", "aria-hidden": "true" }, shown.map(([name, style]) =>
      share(el("i", { class: `seg seg-${style}` }), "--part", step[name].value / (step.reached.value || 1)))), "--whole", step.reached.value / most);
  };
  const none = () => el("td", { class: "number quiet" }, "–");
  const heads = ["Step", null, "Reached", "Went on", "Dropped", "Pending", "Drop-off rate", "Median to next", "At stake, at most"];
  return el("div", { class: "sheet" }, el("table", { class: "rows funnel" },
    el("caption", null, personaChip(view), el("span", null, `${funnel.label}, by ${funnel.unit}${funnel.outcome ? "; the persona is defined by its outcome" : ""}`)),
    el("colgroup", null, heads.map((head, place) => el("col", { class: place === 1 ? "funnel-bar" : [null, "wide-m", "wide-a"][(place === 0) + 2 * (place === heads.length - 1)] }))),
    el("thead", null, el("tr", null, heads.map((head, place) => head === null
      ? el("td", null, barLegend()) : el("th", { scope: "col", class: place ? "number" : null }, head)))),
    el("tbody", null, funnel.steps.map((step) => el("tr", null, el("th", { scope: "row" }, words(step.label), step.dropped.value ? behindLink(funnel.steps.indexOf(step), choice.funnel, step.label) : null), el("td", { class: "funnel-bar" }, bar(step)),
      figure(step, "reached"), step.dropped.value === null ? none() : figure(step, "wentOn"), noted(step, figure(step, "dropped")), figure(step, "pending"), figure(step, "dropOff", true),
      figure(step, "median"), figure(step, "atStake"))))));
}

const barLegend = () => el("span", { class: "parts" }, OUTCOMES.map(([, name, style]) =>
  el("span", { class: "part-key" }, el("i", { class: `swatch seg-${style}`, "aria-hidden": "true" }), ` ${name}`)));

/** Where those who left a step were last, or what they did next. */
function dropTable(step, kind) {
  const isLast = kind === "last";
  const rest = isLast ? step.lastRest : step.nextRest;
  const find = (item, key) => item.figures.find((figure) => figure.key === key) || null;
  const number = (name, key) => ({ name, number: true, value: (item) => valueOf(find(item, key)), cell: (item) => figureCell(find(item, key), `${item.text}, ${step.label}`, false, item.figures) });
  const caption = isLast ? "Where they were last before they left" : "What they did after they left";
  if (!step[kind].length) return el("p", { class: "nothing sheet" }, `${caption}: nobody was seen to leave.`);
  return sortTable(rest ? `${caption}; ${whole(rest)} rarer ones are in the table` : caption, [
    { name: isLast ? "Last touchpoint" : "Then", wide: "l", value: (item) => item.text, cell: (item) => words(item.text) },
    number("Left", "drop_off_count"), number("Of those who left", "share_rate"),
    ...(isLast ? [number("Of those who went on", "expected_rate"), number("Lift", "lift"), number("Before leaving", "p50_seconds_before_leaving")] : []),
  ], step[kind]);
}

function chanceTable(view) {
  const { chances, chanceRest } = view.map;
  const label = (chance) => `${chance.subject}, ${chance.stage}`;
  const figuresIn = (chance) => [chance.people, chance.lost, chance.worth, chance.alone];
  const caption = [personaChip(view), chanceRest ? `${whole(chanceRest)} further ones are in the table` : null];
  if (!chances.length) return el("div", { class: "sheet" }, el("p", { class: "nothing" }, personaChip(view), "No cause stands out, and no broken promise cost anything that is known."));
  return sortTable(caption, [
    { name: "Rank", wide: "xs", number: true, value: (chance) => chance.rank, cell: (chance) => chance.rank },
    { name: "What to fix", wide: "xl", value: (chance) => chance.subject, cell: (chance) => [words(chance.headline || chance.subject, 6),
      el("span", { class: "about" }, words([chance.subject, chance.kind, chance.grade, chance.slice, chance.days].filter(Boolean).join(" · "), 3)),
      chance.remedy ? el("span", { class: "about" }, el("b", {}, "Suggested: "), words(chance.remedy, 0)) : null,
      chance.whatIf ? el("span", { class: "about" }, el("b", {}, "What "), words(chance.whatIf, 0)) : null] },
    { name: "Stage", wide: "m", value: (chance) => chance.stage, cell: (chance) => words(chance.stage) },
    { name: "Met by", wide: "s", number: true, value: (chance) => chance.people.value, cell: (chance) => figureCell(chance.people, label(chance), false, figuresIn(chance)) },
    { name: "People lost", wide: "s", number: true, value: (chance) => chance.lost.value, cell: (chance) => figureCell(chance.lost, label(chance), true, figuresIn(chance)) },
    { name: "Worth", wide: "m", number: true, value: (chance) => chance.worth.value, cell: (chance) => figureCell(chance.worth, label(chance), true, figuresIn(chance)) },
    { name: "Owner", wide: "m", value: (chance) => chance.owner, cell: (chance) => words(chance.owner || "–") },
  ], chances, { id: (chance) => `chance-${chance.rank}` });
}

function drawFacts() {
  const { facts } = DATA;
  const figure = (row) => { const [found] = figuresOf(row); return figureButton(found, found.label, fullText(found)); };
  replaceIn("facts-body", fact("Project", words(facts.project)), fact("Period covered", [figure(facts.first_event_at), ` to ${facts.high_water_at}`]),
    fact("High-water mark", facts.high_water_at), fact("Published", facts.published_at), fact("Events", figure(facts.events)),
    fact("People", figure(facts.persons)), fact("Run", facts.run_id), fact("Version", facts.version), fact("Configuration", facts.config_hash));
  replaceIn("gist", fact("up to", facts.high_water_at), fact("events", figureButton(figuresOf(facts.events)[0], "Events")),
    fact("people", figureButton(figuresOf(facts.persons)[0], "People")));
}
