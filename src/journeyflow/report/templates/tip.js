// One panel shows the figure under the pointer or the focus: value, interval, n, evidence and the SQL.
const tip = { node: null, owner: null, figure: null, pinned: false, leaving: 0 };

/** `others` are the figures of the same entry: listed in the panel, where each can be opened. */
function figureButton(figure, label, content, others) {
  const button = el("button", { type: "button", class: "fig" }, content || figureText(figure));
  // "Too few" says it already.
  if (figure.small && figure.value !== null) button.append(el("span", { class: "few" }, " (few)"));
  return withPanel(button, figure, label, others);
}

function withPanel(node, figure, label, others = []) {
  node.setAttribute("aria-expanded", "false");
  const open = () => openTip(node, figure, label, others);
  const pin = (event) => {
    event.preventDefault();
    open();
    tip.pinned = true;
    (figure.sql ? byId("tip-copy") : node).focus();
  };
  node.addEventListener("mouseenter", open);
  node.addEventListener("focus", open);
  node.addEventListener("mouseleave", leaveSoon);
  node.addEventListener("blur", (event) => tip.node.contains(event.relatedTarget) || closeTip());
  node.addEventListener("click", pin);
  // A drawn figure has no click of its own on Enter.
  if (node.namespaceURI === SVG) node.addEventListener("keydown", (event) => ["Enter", " "].includes(event.key) && pin(event));
  return node;
}

function openTip(owner, figure, label, others) {
  if (tip.pinned && tip.owner !== owner && tip.node.contains(document.activeElement)) return;
  window.clearTimeout(tip.leaving);
  if (tip.owner && tip.owner !== owner) tip.owner.setAttribute("aria-expanded", "false");
  Object.assign(tip, { owner, figure, pinned: false });
  const facts = [
    [figure.range, rangeText(figure)],
    ["Counted", figure.n === null ? null : `n = ${whole(figure.n)}`],
    ["Known", KNOWN[figure.evidence] ? `${KNOWN[figure.evidence].symbol} ${figure.evidence}: ${KNOWN[figure.evidence].meaning}` : figure.evidence],
    ["Care", figure.small ? "the group is small" : null],
    ["Column", figure.meaning],
  ];
  byId("tip-what").textContent = label || "";
  byId("tip-name").textContent = figure.label;
  byId("tip-value").textContent = fullText(figure);
  replaceIn("tip-facts", facts.filter(([, text]) => text).map(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
  byId("tip-copy").hidden = !figure.sql;
  byId("tip-sql").hidden = true;
  byId("tip-said").textContent = "";
  const rest = others.filter((other) => other !== figure && other.value !== null);
  byId("tip-others").hidden = !rest.length;
  replaceIn("tip-others", rest.map((other) => el("li", null, el("button", { type: "button", class: "turn", onclick: () => turnTip(other, label, others) },
    el("span", null, other.label), el("b", null, figureText(other))))));
  tip.node.hidden = false;
  owner.setAttribute("aria-expanded", "true");
  placeTip(owner.getBoundingClientRect());
}

function turnTip(figure, label, others) {
  openTip(tip.owner, figure, label, others);
  tip.pinned = true;
  byId("tip-copy").focus();
}

function placeTip(at) {
  const { width, height } = tip.node.getBoundingClientRect();
  const left = Math.min(Math.max(12, at.left), document.documentElement.clientWidth - width - 12);
  const below = at.bottom + 6;
  const top = below + height + 12 < window.innerHeight ? below : Math.max(12, at.top - height - 6);
  tip.node.style.setProperty("left", `${left}px`);
  tip.node.style.setProperty("top", `${top}px`);
}

function closeTip(giveBack = false) {
  window.clearTimeout(tip.leaving);
  const owner = tip.owner;
  if (!owner) return;
  if (giveBack) owner.focus();
  owner.setAttribute("aria-expanded", "false");
  tip.node.hidden = true;
}

function leaveSoon() {
  window.clearTimeout(tip.leaving);
  tip.leaving = window.setTimeout(() => {
    const focused = document.activeElement;
    if (!tip.pinned && focused !== tip.owner && !tip.node.contains(focused)) closeTip();
  }, 220);
}

async function copySql() {
  const area = byId("tip-sql");
  const sql = tip.figure.sql;
  area.value = sql;
  let copied = false;
  try {
    await navigator.clipboard.writeText(sql);
    copied = true;
  } catch {
    copied = false;
  }
  area.hidden = false;
  if (copied) {
    byId("tip-said").textContent = "Copied";
  } else {
    area.focus();
    area.select();
    byId("tip-said").textContent = "Press Ctrl+C to copy";
  }
  if (tip.owner) placeTip(tip.owner.getBoundingClientRect());
}

function watchTip() {
  tip.node = byId("tip");
  byId("tip-copy").addEventListener("click", copySql);
  tip.node.addEventListener("mouseenter", () => window.clearTimeout(tip.leaving));
  tip.node.addEventListener("mouseleave", leaveSoon);
  tip.node.addEventListener("focusout", (event) => {
    if (!tip.node.contains(event.relatedTarget) && event.relatedTarget !== tip.owner) closeTip();
  });
  tip.node.addEventListener("keydown", (event) => {
    // From the last control the focus goes back to the figure, so that the way through the page is not lost.
    const stops = [...tip.node.querySelectorAll("button, textarea")].filter((stop) => !stop.hidden);
    const edge = event.shiftKey ? stops[0] : stops[stops.length - 1];
    if (event.key === "Tab" && document.activeElement === edge) {
      event.preventDefault();
      closeTip(true);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && tip.owner) closeTip(tip.node.contains(document.activeElement));
  });
  window.addEventListener("scroll", () => tip.owner && placeTip(tip.owner.getBoundingClientRect()), { passive: true });
}
