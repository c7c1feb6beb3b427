// Charts as SVG, each a function of plain values; colours come from the style sheet.
// Drawn as wide as they are shown, so that letters are of one size everywhere.
const CHART_WIDTH = Math.min(540, Math.max(290, window.innerWidth - 60));
const MARGIN = { left: 44, right: 12, top: 10, bottom: 34 };

function niceStep(span, most) {
  const rough = span / most, power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
}
function niceTicks(low, high, most = 5) {
  if (!(high > low)) return [low];
  const step = niceStep(high - low, most), ticks = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step) ticks.push(Math.abs(value) < step * 1e-9 ? 0 : value);
  return ticks;
}
const short = (value) => {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(4)));
};

// The frame of a chart: axes, ticks, labels, and the scales from values to places.
function frame({ width = CHART_WIDTH, height = 230, x, y, label }) {
  const right = MARGIN.right + (y.right ? 30 : 0);
  const inner = { w: width - MARGIN.left - right, h: height - MARGIN.top - MARGIN.bottom };
  const along = (axis, value) => {
    const scale = axis.log ? Math.log : (one) => one;
    return (scale(value) - scale(axis.from)) / (scale(axis.to) - scale(axis.from) || 1);
  };
  const place = { x: (value) => MARGIN.left + inner.w * along(x, value), y: (value) => MARGIN.top + inner.h * (1 - along(y, value)) };
  const bottom = MARGIN.top + inner.h, picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const tick of y.ticks) {
    picture.append(svg("line", { class: "grid", x1: MARGIN.left, x2: MARGIN.left + inner.w, y1: place.y(tick), y2: place.y(tick) }));
    picture.append(svg("text", { x: MARGIN.left - 6, y: place.y(tick) + 4, "text-anchor": "end" }, (y.text || short)(tick)));
  }
  for (const tick of x.ticks) {
    picture.append(svg("line", { class: "axis", x1: place.x(tick), x2: place.x(tick), y1: bottom, y2: bottom + 4 }));
    picture.append(svg("text", { x: place.x(tick), y: bottom + 16, "text-anchor": "middle" }, (x.text || short)(tick)));
  }
  picture.append(svg("line", { class: "axis", x1: MARGIN.left, x2: MARGIN.left + inner.w, y1: bottom, y2: bottom }));
  picture.append(svg("text", { x: MARGIN.left + inner.w / 2, y: height - 3, "text-anchor": "middle" }, x.title || ""));
  return { picture, place, inner, bottom, width, height };
}

function path(points, place) {
  return points.filter(([a, b]) => known(a) && known(b)).map(([a, b], i) => `${i ? "L" : "M"}${place.x(a).toFixed(1)} ${place.y(b).toFixed(1)}`).join("");
}

// series: [{points: [[x, y]...], name, kind: "first" | "second", marks: bool}]
function lineChart({ series, x = {}, y = {}, label, height, width }) {
  const all = series.flatMap((one) => one.points).filter(([a, b]) => known(a) && known(b));
  if (!all.length) return null;
  const xs = all.map((point) => point[0]), ys = all.map((point) => point[1]);
  const range = (axis, values) => {
    const from = axis.from ?? values.reduce((a, b) => Math.min(a, b)), to = axis.to ?? values.reduce((a, b) => Math.max(a, b));
    return { ...axis, from, to: to === from ? from + 1 : to };
  };
  const X = range(x, xs), Y = range(y, ys);
  X.ticks ??= X.whole ? niceTicks(X.from, X.to).filter(Number.isInteger) : niceTicks(X.from, X.to);
  Y.ticks ??= niceTicks(Y.from, Y.to);
  const chart = frame({ width, height, x: X, y: Y, label });
  for (const one of series) {
    chart.picture.append(svg("path", { class: `line ${one.kind || ""}`, d: path(one.points, chart.place) }));
    if (!one.marks) continue;
    for (const [a, b] of one.points) {
      if (!known(a) || !known(b)) continue;
      chart.picture.append(svg("circle", { class: `mark ${one.kind || ""}`, cx: chart.place.x(a), cy: chart.place.y(b), r: 3 }, svg("title", {}, `${one.name}: ${(Y.text || short)(b)}`)));
    }
  }
  return chart;
}
const legend = (series) => el("div", { class: "legend" }, series.map((one) => el("span", {}, el("i", { class: one.kind || "" }), one.name)));

// The FRC of a class's halves and, where there is a map, of its average with the projection.
function curvesOf(one) {
  const points = (curve) => curve.map((value, ring) => [ring, value]).slice(1);
  return [{ name: "halves of the class", points: points(one.frc) }, ...(one.view ? [{ name: "average and projection", kind: "second", points: points(one.view.frc) }] : [])];
}
function frcChart(one, box, samplingRate) {
  const last = one.frc.length - 1;
  if (last < 2) return null;
  const side = samplingRate ? box * samplingRate : null;
  const rings = [1, 2, 3, 4, 5, 6].map((part) => Math.max(1, Math.round((last * part) / 6))).filter((ring, i, all) => all.indexOf(ring) === i);
  const chart = lineChart({
    series: curvesOf(one),
    x: { from: 0, to: last, ticks: rings, text: (ring) => (side ? (side / ring).toFixed(side / ring < 9.95 ? 1 : 0) : ring), title: side ? "resolution (Å)" : "Fourier ring" },
    y: { from: Math.min(0, ...one.frc, ...(one.view?.frc ?? [])), to: 1, ticks: [0, 0.5, 1] },
    label: `Fourier ring correlation of class ${one.number}, ${angstrom(one.resolution)} at 0.143`, height: 190, width: Math.min(430, CHART_WIDTH),
  });
  const { place, inner, picture, bottom } = chart;
  picture.append(svg("line", { class: "threshold", x1: MARGIN.left, x2: MARGIN.left + inner.w, y1: place.y(0.143), y2: place.y(0.143) }));
  picture.append(svg("text", { x: MARGIN.left + 4, y: place.y(0.143) - 4 }, "0.143"));
  if (one.view) picture.append(svg("line", { class: "threshold", x1: MARGIN.left, x2: MARGIN.left + inner.w, y1: place.y(0.5), y2: place.y(0.5) }), svg("text", { x: MARGIN.left + 4, y: place.y(0.5) - 4 }, "0.5"));
  const ring = side && known(one.resolution) ? side / one.resolution : null;
  if (ring && ring <= last) {
    picture.append(svg("line", { class: "threshold", x1: place.x(ring), x2: place.x(ring), y1: MARGIN.top, y2: bottom }));
    picture.append(svg("text", { x: place.x(ring) - 5, y: place.y(0.3), "text-anchor": "end" }, angstrom(one.resolution)));
  }
  return picture;
}

function barChart({ values, kinds, label, title, pick, names }) {
  const most = Math.max(1, ...values), width = Math.min(1320, Math.max(330, window.innerWidth - 70)), height = 190;
  const chart = frame({
    width, height, label, x: { from: 0, to: values.length, ticks: [], title }, y: { from: 0, to: most, ticks: niceTicks(0, most, 4) },
  });
  const step = chart.inner.w / values.length;
  values.forEach((value, i) => {
    const top = chart.place.y(value);
    chart.picture.append(svg("rect", {
      class: `bar-mark ${kinds[i] || ""} ${pick ? "link" : ""}`, x: chart.place.x(i) + step * 0.08, width: Math.max(0.6, step * 0.84), y: top, height: Math.max(0.5, chart.bottom - top),
      onclick: pick ? () => pick(i) : null,
    }, svg("title", {}, names[i])));
  });
  return chart.picture;
}

// In-plane angles on a circle, 0° to the right and turning as the image's y axis does, downwards.
function rose(counts, label) {
  const radius = 78, most = Math.max(1, ...counts), picture = svg("svg", { viewBox: "-100 -100 200 200", role: "img", "aria-label": label });
  for (const share of [0.5, 1]) picture.append(svg("circle", { class: "grid", r: radius * share }));
  const at = (angle, length) => `${(length * Math.cos(angle)).toFixed(2)} ${(length * Math.sin(angle)).toFixed(2)}`;
  const step = (2 * Math.PI) / counts.length;
  counts.forEach((count, i) => {
    // The area of a petal, not its length, shows the count.
    const from = -Math.PI + i * step, length = radius * Math.sqrt(count / most);
    picture.append(svg("path", { class: "petal", d: `M0 0L${at(from, length)}A${length} ${length} 0 0 1 ${at(from + step, length)}Z` },
      svg("title", {}, `${Math.round((from * 180) / Math.PI)}° to ${Math.round(((from + step) * 180) / Math.PI)}°: ${whole(count)}`)));
  });
  for (const [text, x, y] of [["0°", 91, 4], ["90°", 0, 95], ["±180°", -86, -10], ["−90°", 0, -86]]) picture.append(svg("text", { x, y, "text-anchor": "middle" }, text));
  return picture;
}

function offsetMap(counts, bins, reach, unit, label) {
  const most = Math.max(1, ...counts), side = 160 / bins, picture = svg("svg", { viewBox: "-100 -100 200 200", role: "img", "aria-label": label });
  counts.forEach((count, i) => {
    if (!count) return;
    picture.append(svg("rect", {
      class: "cell", x: (i % bins) * side - 80, y: Math.floor(i / bins) * side - 80, width: side + 0.2, height: side + 0.2,
      "fill-opacity": (0.12 + 0.88 * Math.sqrt(count / most)).toFixed(3),
    }, svg("title", {}, plural(count, "particle", "particles"))));
  });
  picture.append(svg("rect", { class: "axis", x: -80, y: -80, width: 160, height: 160 }));
  picture.append(svg("path", { class: "threshold", d: "M-80 0H80M0 -80V80" }));
  for (const [text, x, anchor] of [[`−${figure(reach)}`, -80, "start"], ["0", 0, "middle"], [`${figure(reach)} ${unit}`, 80, "end"]]) picture.append(svg("text", { x, y: 95, "text-anchor": anchor }, text));
  return picture;
}
