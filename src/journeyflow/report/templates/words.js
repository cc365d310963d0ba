// Values as text: as journeyflow.report.formatting writes them, with blanks that do not break.
const KNOWN = {
  observed: { symbol: "●", meaning: "counted in events or answers" },
  inferred: { symbol: "◐", meaning: "concluded by a method" },
  supplied: { symbol: "◆", meaning: "written by a person in the configuration" },
  unknown: { symbol: "○", meaning: "nothing says" },
};
const groups = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const MINUS = "\u2212";
const HARD = "\u00a0";

/** Halves go to the even neighbour, as they do in every other form: 1 of 16 is 6.2 % there too. */
function rounded(value, digits) {
  const size = Math.abs(value);
  if ((size * 2 ** (digits + 1)) % 2 !== 1) return value.toFixed(digits);
  const below = Math.floor(size * 10 ** digits);
  return ((Math.sign(value) * (below + (below % 2))) / 10 ** digits).toFixed(digits);
}

const whole = (value) => groups.format(Number(rounded(value, 0))).replace("-", MINUS);
const decimal = (value, digits) => rounded(value, digits).replace("-", MINUS);
const percent = (value) => `${decimal(value * 100, 1)}${HARD}%`;

/** What rounds to nothing has no minus. */
function signed(value) {
  const text = decimal(value, 2);
  return text === `${MINUS}0.00` ? "+0.00" : (value >= 0 ? "+" : "") + text;
}

/** A difference of rates in percentage points. */
function pointsText(value) {
  const text = decimal(value * 100, 1);
  return text === `${MINUS}0.0` ? "+0.0" : (value >= 0 ? "+" : "") + text;
}

/** Seconds in the two largest units that matter. */
function duration(seconds) {
  let rest = Number(rounded(Math.abs(seconds), 0));
  const parts = [];
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const amount = Math.floor(rest / length);
    rest %= length;
    if (amount) parts.push(`${amount}${HARD}${unit}`);
  }
  return (seconds < 0 ? MINUS : "") + (parts.slice(0, 2).join(" ") || `0${HARD}s`);
}

function valueText(value, unit, currency) {
  if (value === null) return "unknown";
  if (typeof value === "string") return value;
  if (unit === "rate") return percent(value);
  if (unit === "points") return `${pointsText(value)}${HARD}points`;
  if (unit === "seconds") return duration(value);
  if (unit === "sentiment") return signed(value);
  if (unit === "ratio" || unit === "score") return decimal(value, 2);
  if (unit === "probability") return value < 0.001 ? "< 0.001" : decimal(value, 3);
  if (unit === "amount" && currency) return `${whole(value)}${HARD}${currency}`;
  return whole(value);
}

function figureText(figure) {
  return figure.value === null && figure.small ? "too few" : valueText(figure.value, figure.unit, figure.currency);
}

const COUNTED = new Set(["people", "visits", "events", "answers", "cases", "items"]);

function fullText(figure) {
  if (figure.value === null) return figure.small ? "Withheld: too few people" : "Unknown";
  return figureText(figure) + (COUNTED.has(figure.unit) ? ` ${figure.unit}` : "");
}

function rangeText(figure) {
  if (figure.low === null && figure.high === null) return null;
  return `${valueText(figure.low, figure.unit, figure.currency)} to ${valueText(figure.high, figure.unit, figure.currency)}`;
}

/** The range with its unit said once. */
function shortRange(figure) {
  const [low, high] = [figure.low, figure.high].map((value) => valueText(value, figure.unit, figure.currency));
  const unit = figure.unit === "rate" ? `${HARD}%` : figure.unit === "points" ? `${HARD}points` : figure.unit === "amount" && figure.currency ? `${HARD}${figure.currency}` : "";
  return `${unit && low.endsWith(unit) ? low.slice(0, -unit.length) : low} to ${high}`;
}

function evidenceMark(evidence) {
  return el("span", { class: `known known-${evidence}` }, el("span", { "aria-hidden": "true" }, `${KNOWN[evidence].symbol} `), evidence);
}
