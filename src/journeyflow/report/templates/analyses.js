// The analyses beside the map: each is a table whose numbers are text, with a picture in one of its columns.

const PHONE = { s: 84, a: 112, m: 118, l: 128, xl: 220, picture: 100 };

/** A table without sorting: heads are {name, number, wide}, rows are lists of cells, the first of which names the row. */
function plainTable(caption, heads, rows, style = "") {
  const table = el("table", { class: `rows ${style}` }, el("caption", null, caption),
    el("colgroup", null, heads.map((head) => el("col", { class: head.wide ? `wide-${head.wide}` : null }))),
    el("thead", null, el("tr", null, heads.map((head) => (head.name === null ? el("td") : el("th", { scope: "col", class: head.number ? "number" : null }, head.name))))),
    el("tbody", null, rows.map((cells) => el("tr", null, cells.map((cell, at) => (at
      ? el("td", { class: heads[at].number ? "number" : null }, cell) : el("th", { scope: "row" }, cell)))))));
  // On a phone the first three columns fit beside one another; the table scrolls to the others.
  table.style.setProperty("--least", `${heads.reduce((sum, head) => sum + PHONE[head.wide], 0)}px`);
  return el("div", { class: "sheet" }, table);
}

/** A line between the ends of a scale, with marks at their places: {from, to, style}. */
function track([least, most], marks) {
  const at = (value) => (value - least) / (most - least || 1);
  return el("div", { class: "track", "aria-hidden": "true" }, marks.filter(({ from }) => from !== null && from !== undefined).map(({ from, to = from, style }) =>
    share(share(el("i", { class: style }), "--from", at(Math.min(from, to))), "--size", at(Math.max(from, to)) - at(Math.min(from, to)))));
}

const ends = (figures) => figures.flatMap((figure) => [figure.value, figure.low, figure.high]).filter((value) => value !== null);
const ofCount = (figure) => (figure.n === null ? null : el("span", { class: "range" }, ` of ${whole(figure.n)}`));
const showSection = (id, ...content) => {
  const shown = content.flat(Infinity).filter(Boolean);
  byId(id).hidden = !shown.length;
  for (const link of document.querySelectorAll(`nav [data-to="${id}"]`)) link.hidden = !shown.length;
  replaceIn(`${id}-body`, shown);
};

/** A list of a section: what there is to choose from, of which one is shown. */
function pick(id, names, chosen, draw) {
  const select = byId(id);
  select.closest("label").hidden = names.length < 2;
  select.replaceChildren(...names.map((name) => el("option", { value: name }, name.replaceAll("_", " "))));
  select.value = chosen;
  select.onchange = () => draw(select.value);
}

const TREND = { height: 150, top: 14, bottom: 30, left: 44, bars: 26 };

/** How many of those who entered each week reached the end of the funnel; weeks that are not over have no rate yet. */
function drawTrend(view, funnelLabel) {
  const weeks = entriesOf("trend", choice.funnel || choice.model, view.persona.key).map(({ texts: [day], figures: [rate, entered] }) => ({ day, rate, entered }));
  const isOpen = (week) => (week.rate.n || 0) < week.entered.value;
  const closed = weeks.filter((week) => week.rate.value !== null && !isOpen(week));
  if (closed.length < 2) return null;
  const [first, last] = [closed[0], closed[closed.length - 1]];
  const say = `${funnelLabel}: reached the end, by week of entry: ${percent(first.rate.value)} of ${whole(first.rate.n)} in the week of ${first.day}, ${percent(last.rate.value)} of ${whole(last.rate.n)} in that of ${last.day}.`;
  return el("div", { class: "sheet" }, el("p", { class: "note" }, personaChip(view), ` ${say} Hollow: the window of some is not over. Bars: how many entered. A person who enters in several weeks counts in each.`),
    trendPicture(weeks, isOpen, Math.max(280, byId("funnel-body").clientWidth - 30)),
    el("details", { class: "table" }, el("summary", null, `The ${weeks.length} weeks as a table`), sortTable("By week of entry", [
      { name: "Week of", value: (week) => week.day, cell: (week) => week.day },
      { name: "Entered", number: true, value: (week) => week.entered.value, cell: (week) => figureCell(week.entered, `Week of ${week.day}`) },
      { name: "Window over", number: true, value: (week) => week.rate.n, cell: (week) => whole(week.rate.n || 0) },
      { name: "Of them reached the end", number: true, value: (week) => week.rate.value, cell: (week) => (week.rate.value === null ? el("span", { class: "quiet" }, "open") : figureCell(week.rate, `Week of ${week.day}`, true)) },
    ], weeks, { bare: true })));
}

function trendPicture(weeks, isOpen, width) {
  const { height, top, bottom, left, bars } = TREND;
  const time = (week) => Date.parse(week.day);
  const [start, span] = [time(weeks[0]), Math.max(1, time(weeks[weeks.length - 1]) - time(weeks[0]))];
  const known = weeks.filter((week) => week.rate.value !== null);
  const most = Math.min(1, Math.max(0.001, ...known.filter((week) => !isOpen(week)).map((week) => week.rate.high), ...known.map((week) => week.rate.value)));
  const x = (week) => left + ((time(week) - start) / span) * (width - left - 16);
  const y = (value) => top + (1 - Math.min(value, most) / most) * (height - top - bottom);
  const crowd = Math.max(1, ...weeks.map((week) => week.entered.value));
  const closed = known.filter((week) => !isOpen(week));
  const points = (list, key) => list.map((week) => `${x(week).toFixed(1)},${y(week.rate[key]).toFixed(1)}`);
  const picture = svg("svg", { class: "trend", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Rate by week of entry; the same numbers are in the table below" },
    weeks.map((week) => svg("rect", { class: "crowd", x: x(week) - 3, width: 6, y: height - bottom - (week.entered.value / crowd) * bars, height: (week.entered.value / crowd) * bars })),
    [0, most].map((value) => [svg("line", { class: "grid", x1: left, x2: width - 8, y1: y(value), y2: y(value) }), svg("text", { x: 2, y: y(value) + 4 }, percent(value))]));
  if (closed.length > 1) picture.append(svg("polygon", { class: "band", points: [...points(closed, "high"), ...points([...closed].reverse(), "low")].join(" ") }));
  picture.append(svg("path", { class: "line", d: `M${points(known, "value").join(" L")}` }),
    ...known.map((week) => svg("circle", { class: isOpen(week) ? "point open" : "point", cx: x(week), cy: y(week.rate.value), r: 3 })),
    svg("text", { x: left, y: height - 10 }, weeks[0].day), svg("text", { x: width - 8, y: height - 10, class: "end" }, weeks[weeks.length - 1].day));
  return picture;
}

/** Why the rate of the funnel changed: who came, then each step, from the rate before to the rate then. */
function drawChanges(view) {
  const all = entriesOf("changes", choice.funnel || choice.model).map(({ key: [, period, dimension, slice, factor, beyond], texts: [before, sliceLabel, step], figures }) =>
    ({ period, dimension, slice, sliceLabel, factor, isBeyond: beyond === "True", before, step, effect: figures[0], oldRate: figures[1], newRate: figures[2], oldPart: figures[3], newPart: figures[4], pending: figures[5], age: figures[6] }));
  const periods = [...new Set(all.map((row) => row.period))];
  const period = periods.includes(choice.period) ? choice.period : periods[periods.length - 1];
  const rows = all.filter((row) => row.period === period);
  const total = rows.filter((row) => row.slice === "all");
  byId("changes-gist").textContent = view.persona.key === "all" ? "" : "Of all persons; a persona has its rows in the second table.";
  if (!total.length) return showSection("changes");
  return showSection("changes", waterfall(period, total), sliceTable(rows.filter((row) => row.slice !== "all")));
}

const mark = (row) => (row.isBeyond ? el("b", { class: "beyond-chance" }, " beyond chance") : null);
const partOf = (row) => (row.factor === "mix" ? "–" : [figureButton(row.oldPart, row.step), " → ", figureButton(row.newPart, row.step)]);

function waterfall(period, total) {
  const [head] = total;
  let level = 0;
  const steps = total.map((row) => {
    const from = level;
    level += row.effect.value;
    return { row, from, to: level };
  });
  const scale = [0, 0];
  for (const { row, from, to } of steps) for (const value of [from, to, from + row.effect.low, from + row.effect.high]) [scale[0], scale[1]] = [Math.min(scale[0], value), Math.max(scale[1], value)];
  const zero = { from: 0, style: "zero" };
  const style = (value) => (value < 0 ? "fall" : "rise");
  const beyond = total.filter((row) => row.isBeyond).length;
  const caption = `${percent(head.oldRate.value)} of ${whole(head.oldRate.n)} in ${head.before}, ${percent(head.newRate.value)} of ${whole(head.newRate.n)} in ${period}: `
    + `${beyond ? `${beyond} of ${total.length} parts of the change are beyond chance` : "no part of the change is beyond chance"}`
    + `; read ${duration(head.age.value)} after entry${head.pending.value ? `, ${whole(head.pending.value)} who entered later are left out` : ""}. The parts add up to the change.`;
  const heads = [{ name: "What changed", wide: "m" }, { name: "Effect, 95 % interval", number: true, wide: "m" }, { name: null, wide: "picture" }, { name: "Went on, before and then", number: true, wide: "m" }];
  return plainTable(caption, heads, [
    [head.before, figureButton(head.oldRate, head.before), track(scale, [zero]), ofCount(head.oldRate)],
    ...steps.map(({ row, from, to }) => [row.factor === "mix" ? "Who came, by persona" : ["Reach ", words(row.step)],
      [figureCell(row.effect, row.step, true), mark(row)],
      track(scale, [zero, { from, to, style: style(row.effect.value) }, { from: from + row.effect.low, to: from + row.effect.high, style: "whisker" }]), partOf(row)]),
    [period, figureButton(head.newRate, period), track(scale, [zero, { from: 0, to: level, style: `${style(level)} whole` }]), ofCount(head.newRate)],
  ], "pictured");
}

function sliceTable(rows) {
  if (!rows.length) return null;
  const scale = [Math.min(0, ...ends(rows.map((row) => row.effect))), Math.max(0, ...ends(rows.map((row) => row.effect)))];
  const heads = [{ name: "Persona or channel", wide: "m" }, { name: "Effect, 95 % interval", number: true, wide: "m" }, { name: null, wide: "picture" }, { name: "What changed", wide: "m" }, { name: "Before and then", number: true, wide: "m" }];
  const rest = rows.length > MORE ? `; ${whole(rows.length - MORE)} more are in the table` : "";
  return plainTable(`Personas and channels whose part in it is beyond chance, the most surprising first${rest}`, heads, rows.slice(0, MORE).map((row) => [words(row.sliceLabel),
    figureCell(row.effect, `${row.sliceLabel}, ${row.step}`, true),
    track(scale, [{ from: 0, style: "zero" }, { from: 0, to: row.effect.value, style: row.effect.value < 0 ? "fall" : "rise" }, { from: row.effect.low, to: row.effect.high, style: "whisker" }]),
    row.factor === "mix" ? "share of those who came" : ["reach ", words(row.step)],
    [figureButton(row.oldPart, row.sliceLabel), " → ", figureButton(row.newPart, row.sliceLabel)]]), "pictured");
}

/** Differences of two sides, the most surprising first. */
function drawDifferences(view) {
  const { key } = view.persona;
  const others = PERSONAS.filter((persona) => persona.key !== key);
  const other = known(others, choice.other, "");
  const label = (persona) => (persona === "all" ? "everybody else" : labelOf(PERSONAS, persona));
  const flattered = (persona) => PERSONAS.some((each) => each.key === persona && each.outcome);
  const pairs = key === "all" && !other ? others.filter((persona) => !persona.outcome).map((persona) => ["all", persona.key]) : [[other || "all", key]];
  const found = pairs.map(([a, b]) => ({ a, b, ...differencesOf(choice.model, [a, "all"], [b, "all"]) })).filter((pair) => pair.rows);
  const rows = found.flatMap((pair) => pair.rows.map((row) => ({ ...row, sides: [label(pair.a), label(pair.b)], who: label(pair.b) })));
  const sum = (name) => found.reduce((total, pair) => total + pair[name], 0);
  const isMany = pairs.length > 1;
  if (isMany) rows.sort((a, b) => Number(b.isRate) - Number(a.isRate) || Math.abs(b.difference) - Math.abs(a.difference));
  const months = PERIODS.filter((period) => period.key !== "all").map((period) => period.key);
  const month = choice.period === "all" ? months[months.length - 1] : choice.period;
  const before = months[months.indexOf(month) - 1];
  const time = before && differencesOf(choice.model, [key, before], [key, month]);
  const who = found.length ? differenceTable(isMany ? "Each persona against everybody else, the whole time" : `${label(pairs[0][1])} against ${label(pairs[0][0])}, the whole time`,
    isMany ? rows.slice(0, MORE) : rows, sum("beyond"), sum("compared"), isMany ? null : rows[0] && rows[0].sides, pairs.flat().some(flattered)) : null;
  const since = time ? differenceTable(`${view.persona.label}: ${month} against ${before}`, time.rows, time.beyond, time.compared, [before, month]) : null;
  offer("choose-other", others.filter((persona) => persona.key !== "all"), "other", key === "all" ? "each persona" : "everybody else");
  showSection("differences", who, since);
}

function differenceTable(caption, rows, beyond, compared, sides, isFlattered) {
  const sums = `${caption}: ${beyond ? `${whole(beyond)} of ${whole(compared)} figures differ beyond chance` : `none of ${whole(compared)} figures differs beyond chance`}${rows.length < beyond ? `; ${whole(rows.length)} of the most surprising` : ""}. Of persons whose window is over; an association, no cause.${isFlattered ? " A persona here is defined by its outcome: differences in it are true by definition." : ""}`;
  if (!rows.length) return el("p", { class: "nothing sheet" }, sums);
  const side = (rate, n, isRate) => [isRate ? percent(rate) : signed(rate), el("span", { class: "range" }, ` of ${whole(n)}`)];
  const most = Math.max(0.001, ...rows.flatMap((row) => (row.isRate ? [Math.abs(row.low), Math.abs(row.high)] : [])));
  const text = (row) => (row.isRate ? [`${pointsText(row.difference)}${HARD}points`, el("span", { class: "range" }, ` ${pointsText(row.low)} to ${pointsText(row.high)}`)]
    : [signed(row.difference), el("span", { class: "range" }, ` ${signed(row.low)} to ${signed(row.high)}`)]);
  const heads = [{ name: "Figure", wide: "l" }, { name: "Difference, 95 % interval", number: true, wide: "m" }, { name: null, wide: "picture" },
    { name: sides ? sides[0] : "Everybody else", number: true, wide: "s" }, { name: sides ? sides[1] : "Persona", number: true, wide: "s" }];
  return plainTable(sums, heads, rows.map((row) => [sides ? words(row.text, 0) : [el("b", null, words(row.who, 1)), words(row.text, 0)], text(row),
    row.isRate ? track([-most, most], [{ from: 0, style: "zero" }, { from: 0, to: row.difference, style: "delta" }, { from: row.low, to: row.high, style: "whisker" }]) : null,
    side(row.a, row.nA, row.isRate), side(row.b, row.nB, row.isRate)]), "pictured");
}

/** Who comes back: a line for each cohort, a column for each age; what is not over is drawn as open. */
function drawRetention(view) {
  const all = entriesOf("retention", view.persona.key);
  const starts = [...new Set(all.map(({ texts }) => texts[0]))];
  const start = known(starts.map((key) => ({ key })), choice.start, starts[0]);
  pick("choose-start", starts, start, (name) => { choice.start = name; drawRetention(view); });
  const cells = all.filter(({ texts }) => texts[0] === start).map(({ texts: [, cohort, age], figures: [rate, people, back, pending] }) => ({ cohort, age: Number(age), rate, people, back, pending }));
  const cohorts = [...new Set(cells.map((cell) => cell.cohort))].map((name) => cells.filter((cell) => cell.cohort === name)).filter(([cell]) => cell.people.value);
  if (!cohorts.length) return showSection("retention");
  const most = Math.max(...cells.filter((cell) => cell.age && cell.rate.value !== null && !cell.rate.small).map((cell) => cell.rate.value), 0.001);
  const ages = Math.max(...cells.map((cell) => cell.age)) + 1;
  const text = (cell) => {
    const label = `${cell.cohort === "All" ? "All cohorts" : cell.cohort}, age ${cell.age}`;
    const others = [cell.rate, cell.people, cell.back, cell.pending];
    if (cell.rate.value === null) return el("td", { class: "age age-open" }, el("span", { class: "quiet" }, "open"));
    const isOpen = cell.pending.value > 0;
    return share(el("td", { class: `age${isOpen ? " age-open" : ""}` }, figureButton(cell.rate, label, null, others),
      isOpen || cell.rate.n !== cell.people.value ? ofCount(cell.rate) : null), "--heat", 0.45 * Math.min(1, cell.rate.value / most));
  };
  const table = el("table", { class: "rows triangle" },
    el("caption", null, personaChip(view), ` ${start}: of those who began, the share who came back at each age (by default in weeks); of as many as began, unless the cell says of how many. Hatched: the age is not over for all of them.`),
    el("thead", null, el("tr", null, el("th", { scope: "col" }, "Began in"), el("th", { scope: "col", class: "number" }, "People"), [...Array(ages).keys()].map((age) => el("th", { scope: "col", class: "number" }, `age ${age}`)))),
    el("tbody", null, cohorts.map((row) => el("tr", null, el("th", { scope: "row" }, row[0].cohort === "All" ? "All whose ages are over" : row[0].cohort),
      el("td", { class: "number" }, figureButton(row[0].people, row[0].cohort)), row.map(text)))));
  return showSection("retention", el("div", { class: "sheet" }, table));
}

/** What each marketing channel is credited with, by the chosen method and by all of them. */
function drawAttribution(view) {
  const all = entriesOf("attribution", view.persona.key);
  const goals = [...new Set(all.map(({ texts }) => texts[0]))];
  const goal = known(goals.map((key) => ({ key })), choice.goal, goals[0]);
  const ofGoal = all.filter(({ texts }) => texts[0] === goal);
  const methods = [...new Set(ofGoal.map(({ key }) => key[2]))];
  const method = known(methods.map((key) => ({ key })), choice.method, methods.includes("markov") ? "markov" : methods[0]);
  pick("choose-goal", goals, goal, (name) => { choice.goal = name; drawAttribution(view); });
  pick("choose-method", methods, method, (name) => { choice.method = name; drawAttribution(view); });
  const rows = ofGoal.filter(({ key }) => key[2] === method);
  if (!rows.length) return showSection("channels");
  const values = (channel) => ofGoal.filter(({ texts }) => texts[1] === channel).map(({ figures: [credit] }) => credit);
  const scale = [0, Math.max(1, ...ends(ofGoal.map(({ figures: [credit] }) => credit)))];
  const [first] = rows[0].figures;
  const [without, open] = rows[0].figures.slice(4);
  const caption = [personaChip(view), ` ${goal}: ${whole(first.n)} goals, ${whole(without.value)} paths without, ${whole(open.value)} still open. Point and line: ${method.replaceAll("_", " ")} with its interval. Pale bar and ticks: what the ${methods.length} methods credit. Credit says by which way they came, not how many would be missing without it.`];
  const heads = [{ name: "Channel", wide: "s" }, { name: "Goals credited, 95 % interval", number: true, wide: "m" }, { name: null, wide: "picture" },
    { name: "By all methods", number: true, wide: "s" }, { name: "Value", number: true, wide: "a" }, { name: "Spent", number: true, wide: "a" }, { name: "Value for each unit spent", number: true, wide: "s" }];
  return showSection("channels", plainTable(caption, heads, rows.map(({ texts: [, channel], figures: [credit, value, spent, ratio] }) => {
    const credits = values(channel);
    const [least, most] = [Math.min(...credits.map((each) => each.value)), Math.max(...credits.map((each) => each.value))];
    return [words(channel === "none" ? "no touch known" : channel), figureCell(credit, channel, true),
      track(scale, [{ from: least, to: most, style: "spread" }, ...credits.map((each) => ({ from: each.value, style: "tick" })), { from: credit.low, to: credit.high, style: "whisker" }, { from: credit.value, style: "dot" }]),
      `${whole(least)} to ${whole(most)}`, figureCell(value, channel), figureCell(spent, channel), figureCell(ratio, channel)];
  }), "pictured"));
}

/** What those whose window is open are expected to do, step by step, with intervals. */
function forecastTable(view) {
  const rows = entriesOf("forecast", choice.funnel || choice.model, view.persona.key);
  if (!rows.length) return null;
  const scale = [0, Math.max(1, ...ends(rows.map(({ figures: [expected] }) => expected)))];
  const heads = [{ name: "Pending at", wide: "s" }, { name: "Pending", number: true, wide: "s" }, { name: "Expected to reach the end, 95 % interval", number: true, wide: "m" },
    { name: null, wide: "picture" }, { name: "Worth", number: true, wide: "a" }];
  return plainTable("Forecast of those who are pending, over the whole time: what persons like them did from there", heads, rows.map(({ texts: [step], figures: [expected, worth] }) =>
    [words(step, 2), whole(expected.n), figureCell(expected, step, true),
      track(scale, [{ from: expected.low, to: expected.high, style: "whisker" }, { from: expected.value, style: "dot" }]), figureCell(worth, step)]), "pictured forecast");
}

/** What changed at a step since a dated action, less what changed elsewhere. */
function drawActions() {
  const rows = entriesOf("actions");
  const scale = [Math.min(0, ...ends(rows.map(({ figures: [effect] }) => effect))), Math.max(0, ...ends(rows.map(({ figures: [effect] }) => effect)))];
  const heads = [{ name: "Action", wide: "l" }, { name: "Effect, 95 % interval", number: true, wide: "m" }, { name: null, wide: "picture" },
    { name: "Took the step before", number: true, wide: "m" }, { name: "Since", number: true, wide: "m" }];
  showSection("actions", rows.length && plainTable("Effect: the change, less that of the other slices in the same time where there are any", heads, rows.map(({ key: [, beyond], texts: [action, headline], figures: [effect, before, since] }) => [
    [el("b", null, words(action, 2)), el("span", { class: "about" }, words(headline, 8))],
    [figureCell(effect, action, true), mark({ isBeyond: beyond === "True" })],
    track(scale, [{ from: 0, style: "zero" }, { from: 0, to: effect.value, style: effect.value < 0 ? "fall" : "rise" }, { from: effect.low, to: effect.high, style: "whisker" }]),
    [figureCell(before, action), ofCount(before)], [figureCell(since, action), ofCount(since)]]), "pictured"));
}

/** Opens what is behind those who left a step. */
const behindLink = (at, funnel, label, persona) => el("button", { type: "button", class: "behind", "aria-label": `What is behind those who left at ${label}`, onclick: () => {
  Object.assign(choice, { step: String(at), funnel, persona: persona || choice.persona });
  writeAddress();
  drawChoice();
  byId("drops").scrollIntoView();
  byId("drops").focus({ preventScroll: true });
  say(`Left at ${label}`);
} }, funnel || !isBeforeRepeat(at) ? "who left ›" : "who has not ›");

/** Behind a drop-off: where they were last, what they did then, on which ways they came, and who they were. */
function drawBehind(funnel, view, stages) {
  const left = funnel ? funnel.steps.slice(0, -1) : [];
  const isRepeat = (at) => !choice.funnel && isBeforeRepeat(at);
  const worst = left.reduce((most, step, at) => (!isRepeat(at) && step.dropped.value > left[most].dropped.value ? at : most), 0);
  const chosen = choice.step && left[Number(choice.step)] ? Number(choice.step) : worst;
  const step = left[chosen];
  const select = byId("choose-step");
  select.replaceChildren(...left.map((each, at) => el("option", { value: at }, each.label)));
  select.value = String(chosen);
  select.onchange = () => { choice.step = select.value; writeAddress(); drawChoice(); };
  if (!step) return replaceIn("drops-body", nobody());
  const period = choice.funnel ? "all" : choice.period;
  byId("drops-gist").textContent = `${funnel.label}, ${view.persona.label}, ${labelOf(PERIODS, period)}, ${step.label}: ${whole(step.dropped.value)} of ${whole(step.reached.value)} ${isRepeat(chosen) ? NOT_AGAIN : "left"}, ${whole(step.wentOn.value)} went on, ${whole(step.pending.value)} are pending.`;
  const stepOf = (persona, month) => {
    const other = choice.funnel ? configuredFunnels().find((each) => each.key === choice.funnel && each.persona === persona) : stageFunnelOf(choice.model, persona, month);
    return (other && other.steps[chosen]) || null;
  };
  const personas = PERSONAS.map(({ key, label }) => ({ label, step: stepOf(key, period) }));
  const months = choice.funnel ? [] : PERIODS.map(({ key, label }) => ({ label, step: stepOf(view.persona.key, key) }));
  return replaceIn("drops-body", ["last", "next"].map((kind) => dropTable(step, kind)), sliceRates("By persona", "Persona", personas), sliceRates(`By month of entry: ${view.persona.label}`, "Month", months),
    choice.funnel ? null : waysTo(chosen, view, stages),
    el("p", { class: "note" }, "Single journeys are not on this page, which may be passed on. ", el("code", null, "journeyflow explain person ID --funnel NAME"), " shows one; the pseudonymous ids are in ", el("code", null, "person_stages"), "."));
}

function sliceRates(caption, name, slices) {
  const rows = slices.filter((slice) => slice.step && slice.step.reached.value && slice.step.dropOff);
  if (rows.length < 2) return null;
  const scale = [0, Math.max(0.001, ...ends(rows.map((row) => row.step.dropOff)))];
  const heads = [{ name, wide: "m" }, { name: "Drop-off rate, 95 % interval", number: true, wide: "m" }, { name: null, wide: "picture" }, { name: "Reached", number: true, wide: "s" }, { name: "Left", number: true, wide: "s" }, { name: "Pending", number: true, wide: "s" }];
  return plainTable(caption, heads, rows.map(({ label, step }) => [words(label), [figureCell(step.dropOff, label, true), step.dropOff.value === null ? null : ofCount(step.dropOff)],
    track(scale, [{ from: 0, to: step.dropOff.value, style: "fall" }, { from: step.dropOff.low, to: step.dropOff.high, style: "whisker" }]),
    figureCell(step.reached, label), figureCell(step.dropped, label), figureCell(step.pending, label)]), "pictured");
}

/** The ways of the journeys that got to a stage and no further. */
function waysTo(at, view, stages) {
  const places = new Map(stages.map((stage, place) => [stage.key, place]));
  const rows = entriesOf("paths", choice.model, view.persona.key).map(({ key: [, , path], figures }) => ({ stops: path.split(" > "), figures }))
    .filter(({ stops }) => Math.max(...stops.map((stop) => places.get(stop) ?? -1)) === at).slice(0, 6);
  if (!rows.length) return null;
  const label = (stop) => (places.has(stop) ? stages[places.get(stop)].label : stop);
  const heads = [{ name: "Way", wide: "xl" }, { name: "Journeys", number: true, wide: "s" }, { name: "Of all journeys", number: true, wide: "s" }, { name: "Reached a goal", number: true, wide: "s" }];
  return plainTable(`The most common ways that got to ${stages[at].label} and no further, the whole time; a person with several journeys counts in each`, heads,
    rows.map(({ stops, figures: [journeys, part, goal] }) => [words(stops.map(label).join(" → "), 2), figureCell(journeys, "Way"), figureCell(part, "Way"), figureCell(goal, "Way")]));
}
