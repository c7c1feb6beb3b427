// Making elements. Text is always set as text: nothing of the content is ever parsed as markup.
const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(3)) if (child !== null && child !== undefined && child !== false) element.append(child);
  return element;
}
const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const byId = (name) => document.getElementById(name);
const replace = (parent, ...children) => parent.replaceChildren(...children.flat(3).filter((child) => child));

const whole = (value) => Number(value).toLocaleString("en-GB");
const known = (value) => typeof value === "number" && Number.isFinite(value);
const percent = (share) => `${(100 * share).toFixed(share >= 0.0995 ? 0 : share >= 0.00995 ? 1 : 2)} %`;
const angstrom = (value) => (known(value) ? `${value.toFixed(value < 99.5 ? 1 : 0)} Å` : "–");
const figure = (value) => (!known(value) ? String(value ?? "–") : Number.isInteger(value) ? whole(value) : String(Number(value.toPrecision(3))));
const plural = (count, one, many) => `${whole(count)} ${count === 1 ? one : many}`;

function spoken(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const all = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  if (all < 60) return `${all} s`;
  return all < 3600 ? `${Math.floor(all / 60)} min ${two(all % 60)} s` : `${Math.floor(all / 3600)} h ${two(Math.floor((all % 3600) / 60))} min`;
}
