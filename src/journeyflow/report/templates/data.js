// The data of the page, unpacked from its dictionaries; `journeyflow.report.html` packs it.
const DATA = JSON.parse(byId("data").textContent);
const textAt = (position) => DATA.texts[position];

/** Figures of one entry: `[kind, condition or conditions, value or [value, n, low, high], …]`. */
function figuresOf([kind, condition, ...values]) {
  return DATA.kinds[kind].map((shape, place) => {
    if (!shape) return null;
    const [value = null, n = null, low = null, high = null] = [values[place]].flat();
    const [key, label, unit, evidence, currency, range, meaning, start, small] = DATA.shapes[shape - 1];
    return {
      key: textAt(key), label: textAt(label), meaning: textAt(meaning), unit: textAt(unit), evidence: textAt(evidence),
      currency: textAt(currency), range: textAt(range), small: Boolean(small), value, n, low, high,
      sql: textAt(start) + conditionAt(Array.isArray(condition) ? condition[place] : condition),
    };
  });
}

function conditionAt(position) {
  if (!position) return "";
  // Flat pairs: how far before it stands the condition that it goes on from, and its text.
  const [back, equality] = DATA.conditions.slice(2 * position - 2, 2 * position);
  const before = position - back;
  return before ? `${conditionAt(before)} and ${textAt(equality)}` : textAt(equality);
}

const itemOf = ([text, manner, ...figures]) => ({
  text: textAt(text), evidence: textAt(DATA.manners[manner][0]), note: textAt(DATA.manners[manner][1]), figures: figuresOf(figures),
});

function cellOf(row) {
  if (row.length === 1) return { evidence: "unknown", items: [], rest: 0, note: textAt(row[0]) };
  const [evidence, items, rest = 0, note = null] = row;
  return { evidence: textAt(evidence), items: items.map(itemOf), rest, note: note === null ? "" : textAt(note) };
}

const STEP_FIGURES = ["reached", "wentOn", "dropped", "pending", "dropOff", "median", "atStake"];

function stepOf([label, figures, last, lastRest, next, nextRest]) {
  const step = { label: textAt(label), last: last.map(itemOf), lastRest, next: next.map(itemOf), nextRest };
  figuresOf(figures).forEach((figure, place) => { step[STEP_FIGURES[place]] = figure; });
  return step;
}

function funnelOf([key, label, persona, period, unit, outcome, steps]) {
  return {
    key: textAt(key), label: textAt(label), persona: textAt(persona), period: textAt(period), unit: textAt(unit),
    outcome: Boolean(outcome), steps: steps.map(stepOf),
  };
}

const CHANCE_TEXTS = ["stage", "kind", "grade", "subject", "slice", "days", "headline", "owner", "remedy", "whatIf"];

function chanceOf([rank, ...row]) {
  const [people, lost, worth, alone] = figuresOf(row[CHANCE_TEXTS.length]);
  const texts = Object.fromEntries(CHANCE_TEXTS.map((name, place) => [name, textAt(row[place])]));
  return { rank, ...texts, people, lost, worth, alone };
}

function linkOf([start, end, startLabel, endLabel, back, figures]) {
  const [count, rate, median] = figuresOf(figures);
  return {
    start: textAt(start), end: textAt(end), startLabel: textAt(startLabel), endLabel: textAt(endLabel), back: Boolean(back),
    count, rate, median,
  };
}

function spotOf([severity, kind, subject, detail, figures]) {
  const [items, part] = figuresOf(figures);
  return { severity: textAt(severity), kind: textAt(kind), subject: textAt(subject), detail: textAt(detail), items, share: part };
}

const hasKeys = (row, ...keys) => keys.every((key, place) => textAt(row[place]) === key);

/** The rows of an analysis whose first keys are these. */
const entriesOf = (name, ...keys) => (DATA.analyses[name] || []).filter(([key]) => hasKeys(key, ...keys)).map(([key, texts, ...figures]) =>
  ({ key: key.map(textAt), texts: texts.map(textAt), figures: figuresOf(figures) }));

/** A comparison; turned round where the sides are asked for the other way. */
function differencesOf(model, [persona, period], [otherPersona, otherPeriod]) {
  const straight = DATA.differences.find((row) => hasKeys(row, model, persona, period, otherPersona, otherPeriod));
  const found = straight || DATA.differences.find((row) => hasKeys(row, model, otherPersona, otherPeriod, persona, period));
  if (!found) return null;
  const [compared, beyond, rows] = found.slice(5);
  return { compared, beyond, rows: rows.map(([text, isRate, a, nA, b, nB, difference, low, high]) => ({
    text: textAt(text), isRate: Boolean(isRate), ...(straight ? { a, nA, b, nB, difference, low, high } : { a: b, nA: nB, b: a, nB: nA, difference: -difference, low: -high, high: -low }),
  })) };
}

const MODELS = DATA.models.map(([key, label, stages]) => ({
  key, label, stages: stages.map(([stage, name, owner, repeat]) => ({ key: stage, label: name, owner, repeat: Boolean(repeat) })),
}));
const PERSONAS = DATA.personas.map(([key, label, description, rule, outcome, undated, people]) => ({
  key, label, description, rule, outcome: Boolean(outcome), undated: Boolean(undated), people: figuresOf(people)[0],
}));
const PERIODS = DATA.periods.map(([key, label]) => ({ key, label }));
const ROWS = DATA.rows.map(([key, label, hint]) => ({ key, label, hint }));

/** The map of a model, persona and period; null where no person of the persona entered then. */
function mapOf(model, persona, period) {
  const found = DATA.maps.find((row) => hasKeys(row, model, persona, period));
  if (!found) return null;
  const [, , , cells, funnel, chances, rest] = found;
  return {
    rows: cells.map((row) => row.map(cellOf)), funnel: funnelOf(funnel), chances: chances.map(chanceOf), chanceRest: rest,
  };
}

/** The stage funnel alone: a whole map takes long to unpack. */
function stageFunnelOf(model, persona, period) {
  const found = DATA.maps.find((row) => hasKeys(row, model, persona, period));
  return found ? funnelOf(found[4]) : null;
}

function flowOf(model, persona) {
  const found = DATA.flows.find((row) => hasKeys(row, model, persona));
  return found ? found[2].map(linkOf) : [];
}

let unpackedFunnels = null;
const configuredFunnels = () => { unpackedFunnels = unpackedFunnels || DATA.funnels.map(funnelOf); return unpackedFunnels; };
