// The class averages: order, filter, and which of them is opened.
const content = JSON.parse(byId("content").textContent);
const classes = content.classes, overview = content.overview;
const VERDICTS = ["good", "doubtful", "junk"];
const scoreOf = (one) => (known(one.features.score_mean) ? one.features.score_mean : null);
const rankOf = (one) => (VERDICTS.includes(one.verdict) ? VERDICTS.indexOf(one.verdict) : VERDICTS.length);
const ORDERS = {
  Size: (a, b) => b.size - a.size,
  ...(classes.some((one) => one.verdict) ? { Verdict: (a, b) => rankOf(a) - rankOf(b) || b.size - a.size } : {}),
  ...(classes.some((one) => scoreOf(one) !== null) ? { Score: (a, b) => (scoreOf(b) ?? -Infinity) - (scoreOf(a) ?? -Infinity) } : {}),
  ...(classes.some((one) => known(one.features.expected_junk)) ? { Junk: (a, b) => (a.features.expected_junk ?? Infinity) - (b.features.expected_junk ?? Infinity) } : {}),
  Quality: (a, b) => b.quality - a.quality,
  Resolution: (a, b) => (a.resolution ?? Infinity) - (b.resolution ?? Infinity),
  Number: (a, b) => a.number - b.number,
};
// What stands beside the size of a class, where the order is by that figure.
const FIGURES = { Score: (one) => `score ${scoreOf(one)?.toFixed(1) ?? "–"}`, Quality: (one) => `quality ${figure(one.quality)}`, Junk: (one) => `junk ${known(one.features.expected_junk) ? percent(one.features.expected_junk) : "–"}` };
const gallery = { order: "Size", hidden: new Set(), cards: new Map(), opened: null };
const box = byId("gallery");

// The bar is the same length on every average: they are of one box.
function scaleBar(share = 1) {
  if (!overview.sampling_rate) return null;
  const side = overview.box * overview.sampling_rate, step = niceStep(side, 4);
  return el("span", { class: "scale", style: { width: `${(100 * share * step) / side}%` } }, `${figure(step)} Å`);
}
function card(one) {
  const words = [`Class ${one.number}`, plural(one.size, "particle", "particles"), percent(one.share), angstrom(one.resolution), one.verdict, scoreOf(one) === null ? null : FIGURES.Score(one)].filter(Boolean);
  return el("div", { class: `card ${VERDICTS.includes(one.verdict) ? one.verdict : ""}`, role: "option", tabindex: -1, "aria-selected": "false", "aria-label": words.join(", "), "data-number": one.number },
    el("div", { class: "picture" }, el("img", { src: one.image, alt: "", draggable: "false" }), scaleBar(), el("span", { class: "mark", "aria-hidden": "true" })),
    one.verdict && one.verdict !== "good" ? el("span", { class: `badge ${one.verdict}` }, one.verdict) : null,
    el("div", { class: "facts", title: "Curve and particles (Enter)" },
      el("b", {}, String(one.number)), el("span", { class: "right" }, whole(one.size)),
      el("span", { class: "soft figure" }, percent(one.share)), el("span", { class: "right soft" }, angstrom(one.resolution))));
}

function visible() {
  return classes.filter((one) => !gallery.hidden.has(one.verdict)).sort((a, b) => ORDERS[gallery.order](a, b) || a.number - b.number);
}
function arrange() {
  const shown = visible();
  box.replaceChildren(...shown.map((one) => gallery.cards.get(one.number)));
  const text = FIGURES[gallery.order] ?? ((one) => percent(one.share));
  box.classList.toggle("by-similarity", gallery.order === "Similarity");
  for (const one of shown) gallery.cards.get(one.number).querySelector(".figure").textContent = text(one);
  const reachable = shown.includes(gallery.opened) ? gallery.opened : shown[0];
  for (const [number, element] of gallery.cards) element.tabIndex = reachable && number === reachable.number ? 0 : -1;
}
function sortBy(order) {
  gallery.order = order;
  for (const button of byId("sort").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.textContent === order));
  arrange();
}
function reach(one) {
  for (const [number, element] of gallery.cards) element.tabIndex = number === one.number ? 0 : -1;
  const element = gallery.cards.get(one.number);
  element.focus({ preventScroll: true });
  element.scrollIntoView({ block: "nearest" });
}
function open(one) {
  gallery.opened = one;
  for (const [number, element] of gallery.cards) element.toggleAttribute("aria-current", Boolean(one) && number === one.number);
  showDetail(one);
  if (one && !covers()) reach(one);
}
function close() {
  const last = gallery.opened;
  open(null);
  if (last) gallery.cards.get(last.number).focus();
}
// The neighbour of a class in the order shown: by columns of the grid for up and down.
function neighbour(one, key) {
  const shown = visible(), at = shown.indexOf(one);
  const columns = getComputedStyle(box).gridTemplateColumns.split(" ").length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: shown.length - 1 - at }[key];
  return step === undefined ? undefined : shown[Math.max(0, Math.min(shown.length - 1, at + step))];
}
function onKey(event) {
  const one = classes[Number(event.target.dataset.number) - 1];
  if (!one || event.ctrlKey || event.metaKey || event.altKey) return;
  const next = neighbour(one, event.key);
  if (next) {
    event.preventDefault();
    if (event.shiftKey) chooseRange(next, one);
    if (gallery.opened) open(next);
    else reach(next);
    choice.anchor = next;
  } else if (event.key === "Enter") {
    event.preventDefault();
    open(one);
  } else if (event.key === " ") {
    event.preventDefault();
    toggle(one);
  }
}
function onClick(event) {
  const element = event.target.closest(".card");
  if (!element) return;
  const one = classes[Number(element.dataset.number) - 1];
  if (event.target.closest(".facts")) return open(one);
  if (event.shiftKey) chooseRange(one);
  else toggle(one);
  if (gallery.opened) open(one);
  else reach(one);
}
function setUpGallery() {
  for (const one of classes) gallery.cards.set(one.number, card(one));
  box.addEventListener("keydown", onKey);
  box.addEventListener("click", onClick);
  replace(byId("sort"), el("span", { class: "label" }, "Sort by"), Object.keys(ORDERS).map((name) => el("button", { type: "button", onclick: () => sortBy(name) }, name)));
  const present = VERDICTS.filter((verdict) => classes.some((one) => one.verdict === verdict));
  replace(byId("verdicts"), present.map((verdict) => el("button", {
    type: "button", "aria-pressed": "true", title: `Show or hide the ${verdict} classes`,
    onclick: (event) => {
      const shown = gallery.hidden.has(verdict);
      gallery.hidden[shown ? "delete" : "add"](verdict);
      event.currentTarget.setAttribute("aria-pressed", String(shown));
      arrange();
    },
  }, el("i", { class: `dot ${verdict}` }), `${verdict} ${whole(classes.filter((one) => one.verdict === verdict).length)}`)));
  const zoom = byId("zoom");
  const size = (pixels) => box.style.setProperty("--tile", `${pixels}px`);
  zoom.value = classes.length > 150 ? 112 : classes.length > 60 ? 132 : 160;
  if (window.innerWidth > 480) size(zoom.value);
  zoom.addEventListener("input", () => size(zoom.value));
  byId("contrast").addEventListener("click", invertContrast);
  sortBy("Size");
}
function invertContrast() {
  const inverted = document.body.classList.toggle("inverted");
  byId("contrast").setAttribute("aria-pressed", String(inverted));
}
