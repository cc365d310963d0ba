// Elements are made by name and filled with text: no text of the data is ever read as markup.
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.setAttribute("class", value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);
const byId = (id) => document.getElementById(id);

/** Text from the data: its own direction, shortened to some lines until it is hovered or focused. */
function words(text, lines) {
  const node = el("bdi", { class: lines === 0 ? null : "clamp" });
  // Names such as add_to_cart may break where a person would break them.
  text.split(/(?<=[_:/.,?&=-])(?=[\p{L}\p{N}])/u).forEach((part, place) => node.append(...(place ? [el("wbr"), part] : [part])));
  if (lines && lines !== 3) node.style.setProperty("-webkit-line-clamp", String(lines));
  // What is cut off can be read by keyboard too; only long texts are worth a stop.
  if (lines !== 0 && text.length > 90) node.tabIndex = 0;
  return node;
}

function replaceIn(id, ...children) {
  const node = byId(id);
  node.replaceChildren(...children.flat(Infinity).filter(Boolean));
  return node;
}

function share(node, property, value) {
  node.style.setProperty(property, `${(Math.max(0, Math.min(1, value || 0)) * 100).toFixed(3)}%`);
  return node;
}
