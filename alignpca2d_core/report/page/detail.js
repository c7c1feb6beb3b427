// One class: its average, figures, curve, particles, and how these are turned and moved.
const detail = byId("detail");
// On a small screen the panel covers the gallery.
const covers = () => getComputedStyle(detail).position === "fixed";

function scaleBar() {
  if (!overview.sampling_rate) return null;
  const side = overview.box * overview.sampling_rate, step = niceStep(side, 4);
  return el("span", { class: "scale", style: { width: `${(100 * step) / side}%` } }, `${figure(step)} Å`);
}
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
  quality: "share of members that noise does not explain, times the agreement of the halves",
  clear: "share of members that fit clearly better than noise would",
  strength: "mean score of the members over the usual one: low where views or poses are mixed",
  detail: "resolution over what as many particles of the usual kind would reach",
};
function numbers(one) {
  const rows = [["particles", whole(one.size)], ["share", percent(one.share)], ["resolution", angstrom(one.resolution)], ["quality", figure(one.quality)],
    ...Object.entries(one.features).map(([name, value]) => [name.replaceAll("_", " "), figure(value)])];
  return el("dl", { class: "numbers" }, rows.map(([name, value]) => [el("dt", { title: MEANINGS[name] }, name), el("dd", {}, value)]));
}
function showDetail(one) {
  detail.hidden = !one;
  document.body.style.overflow = one && covers() ? "hidden" : "";
  if (!one) return;
  const reach = content.spread.reach, rate = overview.sampling_rate, unit = rate ? "Å" : "px";
  const step = (key) => () => { choose(neighbour(one, key)); byId(key).focus(); };
  const curve = frcChart(one, overview.box, rate);
  replace(detail,
    el("header", {},
      el("h3", {}, `Class ${one.number}`, one.verdict ? el("span", { class: `badge ${VERDICTS.includes(one.verdict) ? one.verdict : ""}` }, one.verdict) : null),
      el("button", { type: "button", id: "ArrowLeft", "aria-label": "Previous class", title: "Previous (←)", onclick: step("ArrowLeft") }, "‹"),
      el("button", { type: "button", id: "ArrowRight", "aria-label": "Next class", title: "Next (→)", onclick: step("ArrowRight") }, "›"),
      el("button", { type: "button", id: "close", "aria-label": "Close", title: "Close (Esc)", onclick: close }, "×")),
    el("div", { class: "portrait" }, el("div", { class: "average" }, el("img", { src: one.image, alt: `Average of class ${one.number}` }), scaleBar()), numbers(one)),
    curve ? [el("h4", {}, "Fourier ring correlation"), curve] : null,
    one.best ? [el("h4", {}, "Best particles ", el("small", {}, "aligned, filtered by the SNR of one particle")), tiles(one.best, "best")] : null,
    one.worst ? [el("h4", {}, "Worst particles"), tiles(one.worst, "worst")] : null,
    el("div", { class: "twins" },
      el("div", {}, el("h4", {}, "Rotation"), rose(one.angle, `In-plane angles of class ${one.number}`)),
      el("div", {}, el("h4", {}, "Place in the box"), offsetMap(one.offset, content.spread.bins, rate ? reach * rate : reach, unit, `Offsets of class ${one.number}`))));
  detail.scrollTop = 0;
  if (covers()) byId("close").focus({ preventScroll: true });
}
