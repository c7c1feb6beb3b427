// One class: its average, figures, curve, particles, and how these are turned and moved.
const detail = byId("detail");
// On a small screen the panel covers the gallery.
const covers = () => getComputedStyle(detail).position === "fixed";

function tiles(group, word) {
  if (!group) return null;
  const count = group.names.length;
  return el("div", { class: "tiles" }, group.names.map((name, i) => el("div", {
    class: "tile", role: "img", title: `${name}\nscore ${figure(group.scores[i])}`, "aria-label": `${word} particle ${i + 1}: ${name}, score ${figure(group.scores[i])}`,
    style: { "background-image": `url(${group.strip})`, "background-size": `${count * 100}% 100%`, "background-position": `${count > 1 ? (100 * i) / (count - 1) : 0}% 0` },
  })));
}
// What the figures mean that a verdict rests on.
const MEANINGS = {
  score: "By how many standard deviations a particle fits its class better than noise fits the best of all classes. 0: as noise does; 3 and more: clear of noise.",
  clear: "Share of the members whose score is clear of noise, 0 to 1. Low: half of the class or more could be noise.",
  strength: "Mean score of the members over that of the usual class: 1 is usual. Low: views or poses are mixed.",
  detail: "Resolution over what as many particles of the usual kind would reach: 1 is usual. Low: contamination, which is strong and has no detail.",
  expected_junk: "Share of the members that are likely to be junk, by their misfits and scores; 0.01 to 0.04 is usual. Not of junk classes.",
  quality: "Clear, times the agreement of the two halves of the class, 0 to 1.",
};
const spaced = (name) => name.replaceAll("_", " ");
const meaningOf = (name) => MEANINGS[name] ?? (name.startsWith("score") ? MEANINGS.score : undefined);

function meanings(one) {
  const shown = Object.keys(MEANINGS).filter((name) => (name === "quality" ? known(one.quality) : Object.keys(one.features).some((key) => meaningOf(key) === MEANINGS[name])));
  if (!shown.length) return null;
  return el("details", { class: "meanings", open: meanings.open, ontoggle: (event) => { meanings.open = event.target.open; } }, el("summary", {}, `What ${shown.slice(0, -1).map(spaced).join(", ")} and ${spaced(shown.at(-1))} mean`),
    el("dl", {}, shown.map((name) => [el("dt", {}, spaced(name)), el("dd", {}, MEANINGS[name])])));
}
meanings.open = false;
function numbers(one) {
  const rows = [["particles", whole(one.size)], ["share", percent(one.share)], ["resolution", angstrom(one.resolution)], ["quality", figure(one.quality)],
    ...Object.entries(one.features).map(([name, value]) => [spaced(name), figure(value)])];
  return el("dl", { class: "numbers" }, rows.map(([name, value]) => [el("dt", { title: meaningOf(name.replaceAll(" ", "_")) }, name), el("dd", {}, value)]));
}
function showDetail(one) {
  detail.hidden = !one;
  document.body.style.overflow = one && covers() ? "hidden" : "";
  if (!one) return;
  const reach = content.spread.reach, rate = overview.sampling_rate, unit = rate ? "Å" : "px";
  const step = (key) => () => { open(neighbour(one, key)); byId(key).focus(); };
  const curve = frcChart(one, overview.box, rate);
  replace(detail,
    el("header", {},
      el("h3", {}, `Class ${one.number}`, one.verdict ? el("span", { class: `badge ${VERDICTS.includes(one.verdict) ? one.verdict : ""}` }, one.verdict) : null),
      el("button", { type: "button", id: "pick", "aria-pressed": String(choice.numbers.has(one.number)), title: "Choose this class or not (space)", onclick: () => toggle(one) }, "Choose"),
      el("button", { type: "button", id: "ArrowLeft", "aria-label": "Previous class", title: "Previous (←)", onclick: step("ArrowLeft") }, "‹"),
      el("button", { type: "button", id: "ArrowRight", "aria-label": "Next class", title: "Next (→)", onclick: step("ArrowRight") }, "›"),
      el("button", { type: "button", id: "close", "aria-label": "Close", title: "Close (Esc)", onclick: close }, "×")),
    el("div", { class: "portrait" }, el("div", { class: "average" }, el("img", { src: one.image, alt: `Average of class ${one.number}` }), scaleBar()), numbers(one)),
    meanings(one),
    one.view ? [el("h4", {}, "Average and projection ", el("small", {}, density.file)), pair(one), el("p", { class: "under" }, `cc ${one.view.correlation.toFixed(3)}, FRC 0.5 at ${angstrom(one.view.resolution)}; ${viewLine(one.view)}; moved by ${one.view.shift.map(figure).join(", ")} px`)] : null,
    curve ? [el("h4", {}, "Fourier ring correlation"), one.view ? legend(curvesOf(one)) : null, curve] : null,
    one.best ? [el("h4", {}, "Best particles ", el("small", {}, "aligned, filtered by the SNR of one particle")), tiles(one.best, "best")] : null,
    one.worst ? [el("h4", {}, "Worst particles"), tiles(one.worst, "worst")] : null,
    el("div", { class: "twins" },
      el("div", {}, el("h4", {}, "Rotation"), rose(one.angle, `In-plane angles of class ${one.number}`)),
      el("div", {}, el("h4", {}, "Place in the box"), offsetMap(one.offset, content.spread.bins, rate ? reach * rate : reach, unit, `Offsets of class ${one.number}`))));
  detail.scrollTop = 0;
  if (covers()) byId("close").focus({ preventScroll: true });
}
