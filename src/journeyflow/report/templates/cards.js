// A card for every persona: how many, who they are, how far they get, where they leave, how they feel, what hurts them.
const MOST_CARDS = 12;

function drawCards(stages) {
  // Where no persona is configured, those without one are everybody once more.
  const personas = PERSONAS.filter((persona) => persona.key !== "unassigned" || PERSONAS.length > 2);
  const shown = personas.map((persona) => ({ persona, map: mapOf(choice.model, persona.key, choice.period) })).filter((view) => view.map);
  const rest = shown.length - MOST_CARDS;
  replaceIn("cards-body", shown.slice(0, MOST_CARDS).map((view) => card(stages, view)),
    rest > 0 ? el("p", { class: "nothing" }, `and ${whole(rest)} more in the list of personas above`) : null);
}

function card(stages, view) {
  const { persona, map } = view;
  const isChosen = persona.key === choice.persona;
  const choose = () => {
    choice.persona = persona.key;
    writeAddress();
    drawChoice();
    say(chosenText());
  };
  return el("article", { class: `card${isChosen ? " card-chosen" : ""}` },
    el("h3", null, el("button", { type: "button", class: "card-name", "aria-pressed": String(isChosen), onclick: choose }, words(persona.label, 2))),
    el("p", { class: "card-size" }, sizeOf(persona)),
    persona.description || persona.rule ? el("p", { class: "quiet" }, words(persona.description || `Rule: ${persona.rule}`, 2)) : null,
    smallFunnel(stages, map),
    el("dl", { class: "card-facts" }, worstLoss(stages, view), worstMood(stages, view), worstPain(map)));
}

/** Personas that the model found: how many, what marks them, which configured one they are most like. */
function drawDiscovered() {
  showSection("discovered", entriesOf("discovered").map(({ key: [name, isUnstable], texts: [label, marks], figures: [people, part, rate, stability] }) => {
    const most = entriesOf("overlaps", name)[0];
    return el("article", { class: "card" }, el("h3", { class: "card-name" }, words(label, 2)),
      el("p", { class: "card-size" }, figureButton(people, label), " people · ", figureCell(part, label, true)),
      el("p", { class: "quiet" }, words(marks, 4)),
      el("dl", { class: "card-facts" }, fact("Reached the repeated goal", [figureCell(rate, label, true), rate.value === null ? null : ofCount(rate)]),
        most ? fact("Most like", [words(labelOf(PERSONAS, most.key[1]), 0), ": ", figureButton(most.figures[0], label), ` of them, ${figureText(most.figures[1])} times as many as if unrelated`]) : null,
        fact("Stability", [figureCell(stability, label), isUnstable === "True" ? el("span", { class: "care" }, " under 0.75: do not build on it") : null])));
  }));
}

/** People of a persona by their latest journey, and which part of all people they are. */
function sizeOf(persona) {
  if (!persona.people) return null;
  const all = PERSONAS.find((other) => other.key === "all");
  const part = all && all !== persona && all.people && all.people.value ? ` · ${percent(persona.people.value / all.people.value)} of ${whole(all.people.value)}` : "";
  return [figureButton(persona.people, persona.label), ` people${part}`];
}

function smallFunnel(stages, map) {
  const reached = rowOf(map, "people").map((cell) => (cell.items.length ? figureIn(cell.items[0], "person_count") : null));
  const most = Math.max(1, ...reached.map((figure) => (figure ? figure.value : 0)));
  return el("ol", { class: "card-funnel", "aria-label": "People who reached each stage" }, stages.map((stage, at) => el("li", null,
    el("span", { class: "card-stage" }, words(stage.label, 1)),
    share(el("i", { class: "seg seg-converted", "aria-hidden": "true" }), "--part", (reached[at] ? reached[at].value : 0) / most),
    el("span", { class: "number" }, reached[at] ? whole(reached[at].value) : "–"))));
}

function worstLoss(stages, { persona, map }) {
  const at = worstStage(map);
  if (at === null) return null;
  const [item] = rowOf(map, "people")[at].items;
  const [dropped, rate] = ["drop_off_count", "drop_off_rate"].map((key) => figureIn(item, key));
  const where = `${stages[at].label}, ${persona.label}`;
  return fact("Most leave at", [words(stages[at].label, 0), ": ", figureButton(dropped, where),
    rate ? [" (", figureButton(rate, where), rate.n ? ` of ${whole(rate.n)}` : "", ")"] : null, " ", behindLink(at, "", stages[at].label, persona.key)]);
}

function worstMood(stages, { persona, map }) {
  const moods = rowOf(map, "emotion").map((cell, at) => ({ at, figure: cell.items.map((item) => figureIn(item, "sentiment")).find(Boolean) })).filter(({ figure }) => figure);
  if (!moods.length) return null;
  const worst = moods.reduce((a, b) => (b.figure.value < a.figure.value ? b : a));
  const where = stages[worst.at].label;
  return fact("Lowest mood", [words(where, 0), ": ", figureButton(worst.figure, `${where}, ${persona.label}`)]);
}

const worstPain = (map) => (map.chances.length ? fact("What hurts", words(map.chances[0].headline, 3)) : null);
const fact = (name, value) => el("div", null, el("dt", null, name), el("dd", null, value));
