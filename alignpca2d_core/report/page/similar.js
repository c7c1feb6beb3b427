// Which classes look alike: the order "Similarity", and the tree of their averages, whose branches choose.
const alike = content.similar;
const groupOf = (one) => alike.label[one.number - 1];
const groups = new Map();
if (alike) {
  for (const one of classes) groups.set(groupOf(one), [...(groups.get(groupOf(one)) ?? []), one]);
  const rank = new Map(alike.order.map((number, place) => [number, place]));
  ORDERS.Similarity = (a, b) => rank.get(a.number) - rank.get(b.number);
  FIGURES.Similarity = (one) => `group ${groupOf(one)}`;
}
// Neighbouring superclasses get hues far apart; classes that are alone have none.
const hueOf = (group) => (groups.get(group).length > 1 ? String(Math.round((group * 137.5) % 360)) : null);
function markGroups() {
  if (!alike) return;
  for (const one of classes) {
    const hue = hueOf(groupOf(one)), element = gallery.cards.get(one.number);
    if (hue) element.style.setProperty("--hue", hue);
    element.classList.toggle("grouped", Boolean(hue));
  }
}
// Leaves and joins as nodes with their place across, height, and members.
function treeOf() {
  const nodes = classes.map((one) => ({ at: alike.order.indexOf(one.number) + 0.5, height: 0, members: [one] }));
  for (const [first, second, height] of alike.joins) {
    const parts = [nodes[first], nodes[second]].sort((a, b) => a.at - b.at);
    nodes.push({ at: (parts[0].at + parts[1].at) / 2, height, parts, members: parts.flatMap((part) => part.members) });
  }
  return nodes;
}
function chooseAll(members) {
  const numbers = new Set(choice.numbers), all = members.every((one) => numbers.has(one.number));
  for (const one of members) numbers[all ? "delete" : "add"](one.number);
  put(numbers);
}
function branch(node, place, top) {
  const [left, right] = node.parts, hue = node.height <= alike.cut ? hueOf(groupOf(node.members[0])) : null;
  const d = `M${place.x(left.at).toFixed(1)} ${place.y(left.height).toFixed(1)}V${place.y(node.height).toFixed(1)}H${place.x(right.at).toFixed(1)}V${place.y(right.height).toFixed(1)}`;
  const act = () => chooseAll(node.members), names = `${plural(node.members.length, "class", "classes")}: ${node.members.map((one) => one.number).join(", ")}`;
  return svg("g", {
    class: "branch", role: top ? "button" : null, tabindex: top ? 0 : null, "aria-label": `Choose the ${names}`, style: hue ? { "--hue": hue } : {}, onclick: act,
    onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(); } },
  }, svg("path", { class: "hit", d }), svg("path", { class: hue ? "twig grouped" : "twig", d }), svg("title", {}, `Distance ${node.height.toFixed(2)}. Choose these ${names}`));
}
function tree() {
  if (!alike || classes.length < 3) return null;
  const nodes = treeOf(), width = Math.min(1320, Math.max(330, window.innerWidth - 70)), step = (width - MARGIN.left - MARGIN.right) / classes.length;
  const side = step >= 18 ? Math.min(step - 3, 56) : 0, numbered = step >= 13, below = side + (numbered ? 16 : 6);
  const chart = frame({
    width, height: 250, label: "Tree of similar class averages", x: { from: 0, to: classes.length, ticks: [] }, y: { from: 0, to: 1, ticks: [0, 0.25, 0.5, 0.75, 1], text: String },
  });
  chart.picture.setAttribute("viewBox", `0 0 ${width} ${chart.bottom + below + 4}`);
  chart.picture.querySelectorAll(":scope > text:last-child").forEach((text) => text.remove());
  chart.picture.append(svg("line", { class: "threshold", x1: MARGIN.left, x2: MARGIN.left + chart.inner.w, y1: chart.place.y(alike.cut), y2: chart.place.y(alike.cut) }));
  const isTop = (node) => node.height <= alike.cut && node.members.length === groups.get(groupOf(node.members[0])).length;
  for (const node of nodes.filter((one) => one.parts).reverse()) chart.picture.append(branch(node, chart.place, isTop(node)));
  for (const node of nodes.filter((one) => !one.parts)) {
    const [one] = node.members, x = chart.place.x(node.at);
    chart.picture.append(svg("g", { class: `leaf ${one.verdict || ""}`, onclick: () => open(one) },
      side ? svg("image", { href: one.image, x: x - side / 2, y: chart.bottom + 3, width: side, height: side }) : null,
      numbered ? svg("text", { x, y: chart.bottom + side + 14, "text-anchor": "middle" }, String(one.number)) : null,
      svg("title", {}, `Class ${one.number}: ${plural(one.size, "particle", "particles")}, ${angstrom(one.resolution)}`)));
  }
  const several = [...groups.values()].filter((members) => members.length > 1).length;
  return wide(panel("Similar classes", `Averages at their best rotation and shift: 0 are copies, 1 have nothing in common. Below the dashed line classes show nearly one view: ${plural(groups.size, "group", "groups")}, of which ${whole(several)} ${several === 1 ? "has" : "have"} several classes. Click a branch to choose its classes or not.`, chart.picture));
}
// How many particles each view holds, with its largest class; the view that seems preferred is marked.
function viewsHeld() {
  const seen = alike?.views;
  if (!seen) return null;
  const count = seen.share.length, width = Math.min(1320, Math.max(330, window.innerWidth - 70)), most = Math.max(...seen.share) * 1.05;
  const step = (width - MARGIN.left - MARGIN.right) / count, side = step >= 18 ? Math.min(step - 3, 56) : 0;
  const chart = frame({ width, height: 190, label: "Share of the particles in each view", x: { from: 0, to: count, ticks: [] }, y: { from: 0, to: most, ticks: niceTicks(0, most, 4), text: (share) => `${short(100 * share)} %` } });
  chart.picture.setAttribute("viewBox", `0 0 ${width} ${chart.bottom + side + 8}`);
  seen.share.forEach((share, i) => {
    const members = seen.classes[i].map((number) => classes[number - 1]), top = chart.place.y(share);
    const said = `${percent(share)} of the particles, in ${plural(members.length, "class", "classes")}: ${seen.classes[i].join(", ")}`;
    chart.picture.append(svg("g", { class: "leaf", onclick: () => chooseAll(members) },
      svg("rect", { class: `bar-mark ${seen.preferred && i === 0 ? "doubtful" : ""}`, x: chart.place.x(i) + step * 0.1, width: Math.max(0.6, step * 0.8), y: top, height: Math.max(0.5, chart.bottom - top) }),
      side ? svg("image", { href: members[0].image, x: chart.place.x(i) + (step - side) / 2, y: chart.bottom + 4, width: side, height: side }) : null,
      svg("title", {}, said)));
  });
  return wide(panel("Views", `${viewsLine()}. ${seen.preferred ? preferredLine() : `The largest holds ${percent(seen.share[0])} of the particles. No view is preferred as far as the averages tell.`} Junk is left out. A click chooses the classes of a view.`, chart.picture));
}
function viewsLine() {
  const { interval, share } = alike.views;
  return `${plural(share.length, "distinct view", "distinct views")} (${interval[0] === interval[1] ? "" : `${whole(interval[0])} to `}${whole(interval[1])} by the noise of the averages)`;
}
function preferredLine() {
  const { share, times_usual, classes: members } = alike.views;
  return `Preferred orientation? One view (${members[0].length === 1 ? "class" : "classes"} ${members[0].slice(0, 8).join(", ")}${members[0].length > 8 ? " and others" : ""}) holds ${percent(share[0])} of the particles, ${times_usual.toFixed(times_usual < 9.95 ? 1 : 0)} times the usual view.`;
}
