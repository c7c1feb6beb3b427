// What stands below the classes: sizes, convergence, the stream, the PCA, the run.
const panel = (title, text, ...children) => el("div", { class: "panel" }, el("h3", {}, title), text ? el("p", {}, text) : null, children);
const panels = (...children) => el("div", { class: "panels" }, children);

function section(name, title, ...children) {
  const parts = children.flat(2).filter(Boolean);
  if (!parts.length) return;
  byId("more").append(el("section", { id: name, "aria-labelledby": `${name}-title` }, el("h2", { id: `${name}-title` }, title), panels(parts)));
  byId("sections").append(el("a", { href: `#${name}` }, title));
}
function wide(element) {
  element.classList.add("whole");
  return element;
}
function sizes() {
  const sorted = [...classes].sort(ORDERS.Size);
  return wide(panel("Class sizes", null, barChart({
    values: sorted.map((one) => one.size), kinds: sorted.map((one) => one.verdict), label: "Particles in each class, largest first", title: "classes, largest first",
    names: sorted.map((one) => `Class ${one.number}: ${plural(one.size, "particle", "particles")}, ${angstrom(one.resolution)}`), pick: (i) => open(sorted[i]),
  })));
}
function spreads() {
  const { angle, offset, bins, reach } = content.spread, rate = overview.sampling_rate;
  return panel(classes.some((one) => one.verdict === "junk") ? "All particles, without junk" : "All particles", "Left, in-plane angles: even, unless the grid prefers some. Right, where the particles lie in their boxes: a middle that is off tells of the picking.",
    el("div", { class: "twins" }, rose(angle, "In-plane angles of all particles"), offsetMap(offset, bins, rate ? reach * rate : reach, rate ? "Å" : "px", "Offsets of all particles")));
}
function resolutions() {
  const points = classes.filter((one) => known(one.resolution));
  const xs = points.map((one) => one.size), finest = 1.03 / Math.min(...points.map((one) => one.resolution));
  if (new Set(xs).size < 3) return null;
  const chart = frame({
    label: "Resolution of each class against its size", height: 230,
    x: { from: 0, to: Math.max(...xs) * 1.05, ticks: niceTicks(0, Math.max(...xs) * 1.05), title: "particles in the class" },
    y: { from: 0, to: finest, ticks: [0.25, 0.5, 0.75, 1].map((part) => part * finest), text: (value) => angstrom(1 / value) },
  });
  points.forEach((one) => chart.picture.append(svg("circle", {
    class: `bar-mark link ${one.verdict || ""}`, r: points.length > 100 ? 3 : 4, cx: chart.place.x(one.size), cy: chart.place.y(1 / one.resolution), "fill-opacity": 0.75, onclick: () => open(one),
  }, svg("title", {}, `Class ${one.number}: ${whole(one.size)}, ${angstrom(one.resolution)}`))));
  return panel("Resolution and size", "Finer is up. A large class that is coarse holds more than one view, or junk.", chart.picture);
}
// What is in no class of particles: the average of a junk class does not show it.
const JUNK = {
  sieved: ["Before there were classes", "Far more power than a particle has: contaminants, ice crystals, the edge of the film."],
  clear: ["Clear of noise, but no single particle", "Aggregates, neighbours, edges: they fit a class and leave much, hold a second particle, or are in a class without detail."],
  noise: ["No clearer than noise", "Empty ice, particles too faint to tell from it, and what fits no class."],
  unused: ["Not classified", "Borders, gold or dust cover too much, the image or its CTF cannot be used, or the metadata disables it."],
};
function setAside() {
  return content.junk.map((group) => wide(panel(`${JUNK[group.kind][0]}: ${whole(group.count)}`, JUNK[group.kind][1],
    group.strip ? el("div", { class: "many" }, tiles(group, "junk")) : null)));
}
const records = (name) => (Array.isArray(content.history[name]) ? content.history[name].filter((one) => one && typeof one === "object") : []);

function convergence() {
  const rounds = records("rounds");
  if (rounds.length < 2) return null;
  const at = (key) => rounds.map((one, i) => [i + 1, one[key]]);
  const changed = { name: "changed class", points: at("changed").map(([x, y]) => [x, known(y) ? 100 * y : null]), marks: true };
  const number = { name: "distinct classes", kind: "second", points: at("classes"), marks: true };
  const x = { whole: true, title: "round" };
  const first = lineChart({ series: [changed], x, y: { from: 0, text: (v) => `${short(v)} %` }, label: "Share of particles that changed class in each round" });
  const second = lineChart({ series: [number], x, y: { from: 0 }, label: "Distinct classes after each round" });
  return [
    first && panel("Assignments changed", "Share of the sample's particles that changed class, by round. A class is followed by its particles: a new number is no change. Rounds that remove or split classes, or use a finer grid, change more.", first.picture),
    second && panel("Distinct classes", "Views that the sample supports, after each round; the classes asked for are divisions of them.", second.picture),
  ];
}
function streamed() {
  const batches = records("batches");
  if (!batches.length) return null;
  const at = (pick) => batches.map((one, i) => [one.batch ?? i + 1, pick(one)]);
  const middle = (list) => {
    const values = (Array.isArray(list) ? list : []).filter(known).sort((a, b) => a - b);
    return values.length ? values[Math.floor(values.length / 2)] : null;
  };
  const best = (list) => middle((Array.isArray(list) ? list : []).filter(known).sort((a, b) => a - b).slice(0, Math.max(1, Math.floor(list.length / 4))));
  const x = { whole: true, title: "batch" };
  const chart = (title, text, series, y = {}) => {
    const drawn = lineChart({ series: series.map((one) => ({ marks: true, ...one })), x, y, label: title });
    return drawn && panel(title, text, series.length > 1 ? legend(series) : null, drawn.picture);
  };
  const resolution = [{ name: "median class", points: at((one) => middle(one.resolution)) }, { name: "best quarter", kind: "second", points: at((one) => (Array.isArray(one.resolution) ? best(one.resolution) : null)) }];
  const ys = resolution.flatMap((one) => one.points.map((point) => point[1])).filter(known);
  return [
    chart("Particles", batches.at(-1).time ? `Last batch: ${batches.at(-1).time}` : null, [{ name: "particles", points: at((one) => one.particles) }, { name: "changed in the batch", kind: "second", points: at((one) => one.changed) }], { from: 0 }),
    chart("Classes", null, [{ name: "classes", points: at((one) => one.classes) }], { from: 0 }),
    ys.length ? chart("Resolution", "Finer is up.", resolution, { from: Math.max(...ys) * 1.03, to: Math.min(...ys) * 0.97, ticks: niceTicks(Math.min(...ys) * 0.97, Math.max(...ys) * 1.03), text: (v) => `${short(v)} Å` }) : null,
    batches.some((one) => known(one.seconds)) ? chart("Time per batch", null, [{ name: "seconds", points: at((one) => one.seconds) }], { from: 0, text: (v) => `${short(v)} s` }) : null,
  ];
}
function components() {
  const found = content.components;
  if (!found) return null;
  const spectrum = { name: "share of one component", points: found.rank.map((rank, i) => [rank, found.share[i] > 0 ? 100 * found.share[i] : null]) };
  const values = spectrum.points.map((point) => point[1]).filter(known);
  const least = Math.max(values.at(-1), values[0] / 1e3);
  spectrum.points = spectrum.points.filter((point) => point[1] >= least);
  const shareAt = found.rank.reduce((last, rank, i) => (rank <= found.kept ? found.cumulated[i] : last), 0);
  const chart = lineChart({
    series: [spectrum], label: "Variance of the principal components",
    x: { log: true, from: 1, to: found.features, ticks: [1, 10, 100, 1000, 10000].filter((tick) => tick <= found.features), title: "component" },
    y: { log: true, from: least, to: values[0], ticks: [0.0001, 0.001, 0.01, 0.1, 1, 10].filter((tick) => tick >= least && tick <= values[0]), text: (v) => `${v} %` },
  });
  if (!chart) return null;
  const at = chart.place.x(found.kept);
  chart.picture.append(svg("line", { class: "threshold", x1: at, x2: at, y1: MARGIN.top, y2: chart.bottom }), svg("text", { x: at - 5, y: chart.bottom - 8, "text-anchor": "end" }, `${whole(found.kept)} kept`));
  return [
    panel("Spectrum", `${whole(found.kept)} of ${whole(found.features)} components are kept; they hold ${percent(shareAt)} of the variance in the band of the first grid.`, chart.picture),
    panel("First components", "Zero is middle grey. In this whitened space noise is even: what stands out is what the particles share.",
      el("div", { class: "eigen" }, found.images.map((uri, i) => el("figure", {}, el("img", { src: uri, alt: `Component ${i + 1}` }), el("figcaption", {}, String(i + 1)))))),
  ];
}
function runParts() {
  const run = content.run, value = (one) => (one === null ? "automatic" : one === true ? "yes" : one === false ? "no" : typeof one === "object" ? JSON.stringify(one) : String(one));
  const rows = (pairs) => el("table", {}, pairs.map(([name, ...cells]) => el("tr", {}, el("th", { scope: "row" }, name), cells.map((cell) => el("td", { class: String(cell).length > 24 ? "right long" : "right" }, cell)))));
  const times = Object.entries(run.times).filter(([, one]) => one && known(one.wall_s));
  return [
    run.command ? wide(panel("Command", run.working_directory ? `Run in ${run.working_directory}` : null, el("pre", { id: "command" }, run.command), copyButton(run.command))) : null,
    run.settings.length ? panel("Settings", "Bold: not the default.", el("table", {}, run.settings.map((one) => el("tr", { class: one.changed ? "changed" : "", title: one.help }, el("th", { class: "option", scope: "row" }, one.name), el("td", { class: `right${value(one.value).length > 24 ? " long" : ""}` }, `${value(one.value)}${one.unit && one.value !== null ? ` ${one.unit}` : ""}`))))) : null,
    el("div", { class: "panels stacked" },
      known(run.subdivided.classes?.length) ? panel("Particles", "Some classes of earlier results, classified again on their own.", rows([["results", run.subdivided.of], ["classes", run.subdivided.classes.join(", ")], ["angles and shifts", run.subdivided.poses]])) : null,
      run.rounds.length ? panel("Further rounds", "What was set aside, classified again on its own. Classes of particles among it are numbered after the others.", rows([["round", el("b", {}, "set aside"), el("b", {}, "classes of it"), el("b", {}, "back"), el("b", {}, "in classes")], ...run.rounds.map((one, i) => [String(i + 1), whole(one.particles), whole(one.tried), whole(one.returned), one.classes.join(", ") || "–"])])) : null,
      times.length ? panel(known(content.stream.batch) ? "Time of the last batch" : "Time", null, rows([["", el("b", {}, "clock"), el("b", {}, "CPU")], ...times.map(([name, one]) => [name, spoken(one.wall_s), known(one.cpu_s) ? spoken(one.cpu_s) : "–"])])) : null,
      panel("Input", null, rows([["file", overview.input], ["box", `${overview.box} px`], ["pixel size", overview.sampling_rate ? `${figure(overview.sampling_rate)} Å` : "not known"], ["CTF", overview.ctf || "not known"],
        ...Object.entries({ particles: overview.particles, ...overview.counts }).map(([name, count]) => [name.replaceAll("_", " "), figure(count)])])),
      panel("Versions", null, rows([...Object.entries(run.versions).map(([name, one]) => [name, String(one)]), ["device", String(run.device ?? "–")]]))),
  ];
}
function copyButton(text) {
  if (!navigator.clipboard) return null;
  return el("button", { type: "button", onclick: (event) => navigator.clipboard.writeText(text).then(() => { event.target.textContent = "Copied"; }, () => {}) }, "Copy");
}
