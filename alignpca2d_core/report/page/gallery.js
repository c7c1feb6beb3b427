// The class averages: order, filter, choice by mouse and keyboard.
const content = JSON.parse(byId("content").textContent);
const classes = content.classes, overview = content.overview;
const VERDICTS = ["good", "doubtful", "junk"];
const ORDERS = {
  Size: (a, b) => b.size - a.size,
  Quality: (a, b) => b.quality - a.quality,
  Resolution: (a, b) => (a.resolution ?? Infinity) - (b.resolution ?? Infinity),
  Number: (a, b) => a.number - b.number,
};
const gallery = { order: "Size", hidden: new Set(), cards: new Map(), chosen: null };
const box = byId("gallery");

// The bar is the same length on every average: they are of one box.
function scaleBar() {
  if (!overview.sampling_rate) return null;
  const side = overview.box * overview.sampling_rate, step = niceStep(side, 4);
  return el("span", { class: "scale", style: { width: `${(100 * step) / side}%` } }, `${figure(step)} Å`);
}
function card(one) {
  const words = [`Class ${one.number}`, plural(one.size, "particle", "particles"), percent(one.share), angstrom(one.resolution), one.verdict].filter(Boolean);
  return el("div", { class: `card ${VERDICTS.includes(one.verdict) ? one.verdict : ""}`, role: "option", tabindex: -1, "aria-selected": "false", "aria-label": words.join(", "), "data-number": one.number },
    el("div", { class: "picture" }, el("img", { src: one.image, alt: "", draggable: "false" }), scaleBar()),
    one.verdict && one.verdict !== "good" ? el("span", { class: `badge ${one.verdict}` }, one.verdict) : null,
    el("div", { class: "facts" },
      el("b", {}, String(one.number)), el("span", { class: "right" }, whole(one.size)),
      el("span", { class: "soft" }, percent(one.share)), el("span", { class: "right soft" }, angstrom(one.resolution))));
}

function visible() {
  return classes.filter((one) => !gallery.hidden.has(one.verdict)).sort((a, b) => ORDERS[gallery.order](a, b) || a.number - b.number);
}
function arrange() {
  const shown = visible();
  box.replaceChildren(...shown.map((one) => gallery.cards.get(one.number)));
  const reachable = shown.includes(gallery.chosen) ? gallery.chosen : shown[0];
  for (const [number, element] of gallery.cards) element.tabIndex = reachable && number === reachable.number ? 0 : -1;
}
function sortBy(order) {
  gallery.order = order;
  for (const button of byId("sort").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.textContent === order));
  arrange();
}
function choose(one, focus = true) {
  gallery.chosen = one;
  for (const [number, element] of gallery.cards) {
    const selected = Boolean(one) && number === one.number;
    element.setAttribute("aria-selected", String(selected));
    if (one) element.tabIndex = selected ? 0 : -1;
  }
  showDetail(one);
  if (one && focus && !covers()) {
    const element = gallery.cards.get(one.number);
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: "nearest" });
  }
}
function close() {
  const last = gallery.chosen;
  choose(null);
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
    if (gallery.chosen) choose(next);
    else {
      gallery.cards.get(one.number).tabIndex = -1;
      gallery.cards.get(next.number).tabIndex = 0;
      gallery.cards.get(next.number).focus();
    }
  } else if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    choose(one);
  }
}
function setUpGallery() {
  for (const one of classes) gallery.cards.set(one.number, card(one));
  box.addEventListener("keydown", onKey);
  box.addEventListener("click", (event) => {
    const element = event.target.closest(".card");
    if (element) choose(classes[Number(element.dataset.number) - 1]);
  });
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
