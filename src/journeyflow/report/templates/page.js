// What is chosen, kept in the address after the #, and drawn.
const choice = { model: null, persona: null, other: "", period: null, funnel: "", step: "" };
const NAMES = { model: "model", persona: "persona", other: "with", period: "period", funnel: "funnel", step: "step" };

function say(text) {
  byId("live").textContent = "";
  window.setTimeout(() => { byId("live").textContent = text; }, 30);
}

const known = (list, key, fallback) => (list.some((entry) => entry.key === key) ? key : fallback);

/** Read the choice from the address; what it does not name, or names wrongly, is the first of its list. */
function readAddress() {
  const asked = new URLSearchParams(window.location.hash.slice(1));
  choice.model = known(MODELS, asked.get(NAMES.model), MODELS[0] ? MODELS[0].key : "");
  choice.persona = known(PERSONAS, asked.get(NAMES.persona), PERSONAS[0] ? PERSONAS[0].key : "");
  choice.other = known(PERSONAS, asked.get(NAMES.other), "");
  choice.period = known(PERIODS, asked.get(NAMES.period), PERIODS[0] ? PERIODS[0].key : "");
  choice.funnel = known(configuredFunnels(), asked.get(NAMES.funnel), "");
  choice.step = asked.get(NAMES.step) || "";
  if (choice.other === choice.persona) choice.other = "";
}

function writeAddress() {
  const parameters = new URLSearchParams();
  for (const [name, key] of Object.entries(NAMES)) if (choice[name]) parameters.set(key, choice[name]);
  const hash = `#${parameters}`;
  if (window.location.hash !== hash) window.location.hash = hash;
}

function offer(id, list, name, none) {
  const select = byId(id);
  const entries = none === undefined ? list : [{ key: "", label: none }, ...list];
  select.replaceChildren(...entries.map((entry, place) => el("option", { value: place }, entry.label)));
  select.value = String(Math.max(0, entries.findIndex((entry) => entry.key === choice[name])));
  select.onchange = () => {
    choice[name] = entries[Number(select.value)].key;
    if (name === "model" || name === "funnel") choice.step = "";
    if (choice.other === choice.persona) choice.other = "";
    writeAddress();
    drawChoice();
    say(chosenText());
  };
}

const labelOf = (list, key) => (list.find((entry) => entry.key === key) || { label: "" }).label;

function chosenText() {
  return `${labelOf(PERSONAS, choice.persona)}, ${labelOf(MODELS, choice.model)}, ${labelOf(PERIODS, choice.period)}`;
}

/** How many people of a map reached each of its stages. */
const reachedOf = ({ map }) => rowOf(map, "people")
  .map((cell) => cell.items.length && figureIn(cell.items[0], "person_count")).filter(Boolean);

function viewOf(persona) {
  const view = { persona, map: mapOf(choice.model, persona.key, choice.period) };
  view.most = Math.max(1, ...reachedOf(view).map((figure) => figure.value));
  return view;
}

function drawChoice() {
  closeTip();
  offer("choose-model", MODELS, "model");
  offer("choose-persona", PERSONAS, "persona");
  offer("choose-period", PERIODS, "period");
  offer("choose-funnel", configuredFunnels().filter((f, at, all) => all.findIndex((g) => g.key === f.key) === at), "funnel", "the stages of the map");
  // Widths are read before anything is drawn: reading them later would lay the page out once more each time.
  const width = Math.max(480, byId("flow-body").clientWidth - 2);
  const height = `${byId("bar").offsetHeight}px`;
  const { style } = document.documentElement;
  if (style.getPropertyValue("--bar-height") !== height) style.setProperty("--bar-height", height);
  const view = viewOf(PERSONAS.find((persona) => persona.key === choice.persona));
  const { stages } = MODELS.find((model) => model.key === choice.model);
  drawCards(stages);
  drawMap(stages, view);
  drawFunnel(stages, view);
  drawChanges(view);
  drawDifferences(view);
  replaceIn("flow-body", flowSheet(stages, view, width));
  drawRetention(view);
  drawAttribution(view);
  replaceIn("chances-body", view.map ? chanceTable(view) : nobody());
  const holder = document.querySelector(".curve-holder");
  if (holder) drawCurve(holder, stages, view);
}

const nobody = () => el("p", { class: "nothing sheet" }, "Nobody of the persona entered in this period.");

function drawMap(stages, view) {
  byId("map-gist").textContent = chosenText();
  replaceIn("who", whoIs(view));
  replaceIn("map-body", mapTable(stages, view), missingRows(view));
}

/** Who a persona is: description, rule, and what to be careful of. */
function whoIs(view) {
  const { people, description, rule, outcome, undated } = view.persona;
  const cares = [outcome && "defined by its outcome, which flatters its rates", undated && "traits have no date: they may be later than the journey"];
  return el("p", null, personaChip(view), people ? el("span", null, figureButton(people, view.persona.label), " people") : null,
    description ? words(description, 2) : null, rule ? el("span", { class: "quiet" }, words(`Rule: ${rule}`, 2)) : null,
    cares.filter(Boolean).map((care) => el("span", { class: "care" }, el("span", { "aria-hidden": "true" }, "▲ "), care)));
}

function drawFunnel(stages, view) {
  const shown = choice.funnel
    ? configuredFunnels().find((funnel) => funnel.key === choice.funnel && funnel.persona === view.persona.key)
    : view.map && view.map.funnel;
  const funnel = shown && shown.steps.length ? shown : null;
  byId("funnel-gist").textContent = `Counts are of all persons, rates of those whose window is over; ${choice.funnel ? "over the whole time" : labelOf(PERIODS, choice.period)}.`;
  replaceIn("funnel-body", funnel ? [funnelTable(funnel, view), drawTrend(view, funnel.label), forecastTable(view)] : nobody());
  drawBehind(funnel, view, stages);
}

/** The section that is under the bar is marked in the list of sections. */
function watchSections() {
  const links = [...document.querySelectorAll("[data-to]")];
  for (const link of links) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const target = byId(link.dataset.to);
      target.scrollIntoView();
      target.focus({ preventScroll: true });
    });
  }
  const mark = () => {
    const reach = byId("bar").getBoundingClientRect().bottom + 60;
    const past = links.filter((link) => link.closest("nav") && byId(link.dataset.to).getBoundingClientRect().top <= reach);
    for (const link of links) link.removeAttribute("aria-current");
    if (past.length) past[past.length - 1].setAttribute("aria-current", "true");
  };
  window.addEventListener("scroll", mark, { passive: true });
  window.requestAnimationFrame(mark);
}

/** A headline of the briefing shows its row: the opportunity in its map, or the step in its funnel. */
function watchBriefing() {
  for (const link of document.querySelectorAll(".finding a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const { model, persona, rank, table } = link.dataset;
      const isFunnel = table === "funnel_steps";
      const isConfigured = isFunnel && configuredFunnels().some((funnel) => funnel.key === model);
      choice.model = known(MODELS, model, choice.model);
      choice.persona = known(PERSONAS, persona, choice.persona);
      choice.period = known(PERIODS, "all", choice.period);
      choice.other = "";
      choice.funnel = isConfigured ? model : "";
      choice.step = isFunnel && rank ? String(Number(rank) - 1) : "";
      writeAddress();
      drawChoice();
      const target = (!isFunnel && byId(`chance-${rank}`)) || byId(isFunnel ? "drops" : "chances");
      target.setAttribute("tabindex", "-1");
      target.classList.remove("beyond");
      target.scrollIntoView({ block: isFunnel ? "start" : "center" });
      target.focus({ preventScroll: true });
    });
  }
}

function watchTheme() {
  const button = byId("theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; name(); });
  dark.addEventListener("change", name);
  name();
}

function watchSize() {
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width) { width = window.innerWidth; drawChoice(); }
  });
  // On paper there is nothing to open; the line on blind spots is enough there.
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details:not(.blind)").forEach((details) => { details.open = true; });
    closeTip();
  });
}

watchTip();
watchTheme();
watchBriefing();
byId("print").addEventListener("click", () => window.print());
byId("choice").addEventListener("submit", (event) => event.preventDefault());
replaceIn("legend", Object.keys(KNOWN).map(evidenceMark));
drawFacts();
drawBlindSpots();
drawDiscovered();
drawActions();
readAddress();
if (MODELS.length && PERSONAS.length) drawChoice();
else for (const part of ["changes", "differences", "retention", "channels"]) showSection(part);
if (!MODELS.length || !PERSONAS.length) for (const part of ["cards", "map", "funnel", "flow", "drops", "chances"]) replaceIn(`${part}-body`, el("p", { class: "nothing" }, "No journey reached a stage yet."));
watchSections();
watchSize();
window.addEventListener("hashchange", () => {
  const before = JSON.stringify(choice);
  readAddress();
  // What is drawn already keeps its focus.
  if (MODELS.length && PERSONAS.length && JSON.stringify(choice) !== before) drawChoice();
});
