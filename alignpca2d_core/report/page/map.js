// A density map beside the averages: its projections, how well they agree, and which views are covered.
const density = content.map;
if (density) {
  ORDERS.Map = (a, b) => b.view.correlation - a.view.correlation;
  FIGURES.Map = (one) => `cc ${one.view.correlation.toFixed(2)}`;
}
const viewLine = ({ angles, mirror }) => `rot ${angles[0].toFixed(0)}°, tilt ${angles[1].toFixed(0)}°, psi ${angles[2].toFixed(0)}°${mirror ? ", a mirror image" : ""}`;

// The average and the projection of one class, side by side.
function pair(one) {
  return el("div", { class: "average pair" }, el("img", { src: one.image, alt: `Average of class ${one.number}` }), el("img", { src: one.view.image, alt: `Projection of the map for class ${one.number}: ${viewLine(one.view)}` }), scaleBar(0.5));
}
function pairs() {
  if (!density) return null;
  const sorted = [...classes].sort(ORDERS.Map), resolution = (one) => (known(one.view.resolution) ? angstrom(one.view.resolution) : "–");
  return wide(panel("Averages and projections", `Left the average, right the projection of ${density.file} that agrees with it best, turned, moved and filtered alike; best agreement first. cc: their correlation with all rings made equally strong, as far as there is signal. Å: where the FRC of the two falls below 0.5. A click opens the class.`,
    el("div", { class: "pairs" }, sorted.map((one) => el("button", { type: "button", class: `beside ${one.verdict || ""}`, title: viewLine(one.view), "data-number": one.number, onclick: () => open(one) },
      pair(one), el("span", { class: "facts" }, el("b", {}, String(one.number)), el("span", { class: "soft" }, plural(one.size, "particle", "particles")), el("span", { class: "right" }, `cc ${one.view.correlation.toFixed(2)}`), el("span", { class: "right soft" }, resolution(one))))))));
}
// Half the sphere of directions as a disc, equal areas equal: opposite directions are mirror images, and one place.
function covered() {
  if (!density) return null;
  const radius = 90, side = (2 * radius) / density.across;
  const picture = svg("svg", { viewBox: "-112 -104 224 212", role: "img", "aria-label": "Directions that the map is seen from in the classes", class: "sky" });
  const cells = svg("g", { "clip-path": "url(#upper-half)" });
  picture.append(svg("clipPath", { id: "upper-half" }, svg("circle", { r: radius })), cells);
  density.cells.forEach(([x, y], i) => cells.append(svg("rect", { class: "cell", x: (x * radius - side / 2).toFixed(2), y: (-y * radius - side / 2).toFixed(2), width: (side + 0.15).toFixed(2), height: (side + 0.15).toFixed(2), "fill-opacity": (0.04 + 0.86 * Math.sqrt(density.held[i])).toFixed(3) })));
  for (const tilt of [30, 60, 90]) picture.append(svg("circle", { class: tilt === 90 ? "axis" : "grid", r: (radius * Math.SQRT2 * Math.sin((tilt * Math.PI) / 360)).toFixed(2) }));
  for (const one of classes) {
    if (one.verdict === "junk") continue;
    picture.append(svg("circle", { class: "star link", cx: (one.view.at[0] * radius).toFixed(2), cy: (-one.view.at[1] * radius).toFixed(2), r: 2.1, onclick: () => open(one) },
      svg("title", {}, `Class ${one.number}: ${plural(one.size, "particle", "particles")}, ${viewLine(one.view)}`)));
  }
  for (const [text, x, y] of [["rot 0°", 101, 2], ["90°", 0, -95], ["±180°", -101, 2], ["−90°", 0, 101]]) picture.append(svg("text", { x, y, "text-anchor": "middle" }, text));
  for (const tilt of [30, 60]) picture.append(svg("text", { x: 0, y: -(radius * Math.SQRT2 * Math.sin((tilt * Math.PI) / 360)) - 1.5, "text-anchor": "middle", class: "strong" }, `tilt ${tilt}°`));
  const group = density.symmetry === "C1" ? "" : " Symmetry mates are coloured as well.";
  return panel("Views covered", `Classes that are not junk show views within ${density.within}° of ${percent(density.covered)} of all directions. The disc is half the sphere, seen along z, equal areas equal; opposite directions show mirror images and share a place. Dots are classes; the more particles, the stronger the colour.${group}`, picture);
}
function agreement() {
  if (!density) return null;
  const points = classes.filter((one) => known(one.view.resolution) && known(one.resolution) && one.verdict !== "junk");
  if (points.length < 3) return null;
  const finest = 1.03 / Math.min(...points.flatMap((one) => [one.resolution, one.view.resolution]));
  const axis = { from: 0, to: finest, ticks: [0.25, 0.5, 0.75, 1].map((part) => part * finest), text: (value) => angstrom(1 / value) };
  const chart = frame({ label: "Resolution by the halves of each class, and by the map", height: 230, x: { ...axis, title: "by the two halves of the class, FRC 0.143" }, y: axis });
  chart.picture.append(svg("line", { class: "threshold", x1: chart.place.x(0), y1: chart.place.y(0), x2: chart.place.x(finest), y2: chart.place.y(finest) }));
  points.forEach((one) => chart.picture.append(svg("circle", { class: `bar-mark link ${one.verdict || ""}`, r: 4, cx: chart.place.x(1 / one.resolution), cy: chart.place.y(1 / one.view.resolution), "fill-opacity": 0.75, onclick: () => open(one) },
    svg("title", {}, `Class ${one.number}: ${angstrom(one.resolution)} by its halves, ${angstrom(one.view.resolution)} by the map`))));
  return panel("Resolution by the map", `Up: where an average ceases to agree with its projection, FRC 0.5. A class far below the line holds several views, or shows something that is not in the map.${density.contrast < 0 ? " The averages are dark where the map is dense: projections are shown dark as well." : ""}`, chart.picture);
}
