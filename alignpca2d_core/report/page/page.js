// The page as a whole: heading, theme, keys that work everywhere.
// A stream's last run says only how long its own batch took.
function secondsOfAll() {
  const ofRun = Object.values(content.run.times).map((one) => one && one.wall_s), ofBatches = records("batches").map((one) => one.seconds);
  return (known(content.stream.batch) && ofBatches.some(known) ? ofBatches : ofRun).filter(known).reduce((sum, one) => sum + one, 0);
}
function head() {
  const finite = classes.filter((one) => one.verdict !== "junk").map((one) => one.resolution).filter(known).sort((a, b) => a - b);
  const stream = content.stream, seconds = secondsOfAll(), count = (verdict) => classes.filter((one) => one.verdict === verdict).length;
  const facts = [
    ["Particles", whole(overview.classified) + (overview.particles > overview.classified ? ` of ${whole(overview.particles)}` : "")],
    ["Classes", whole(classes.length)],
    ...(classes.some((one) => one.verdict) ? [["Good, doubtful, junk", VERDICTS.map(count).map(whole).join(", ")]] : []),
    ...(finite.length ? [["Resolution, best and median", `${angstrom(finite[0])}, ${angstrom(finite[Math.floor(finite.length / 2)])}`]] : []),
    ["Box", `${overview.box} px${overview.sampling_rate ? ` of ${figure(overview.sampling_rate)} Å` : ""}`],
    ...(seconds ? [[known(stream.batch) ? "Time of all batches" : "Time", spoken(seconds)]] : []),
    ...(known(stream.batch) ? [["Stream", `${plural(stream.batch, "batch", "batches")}, ${stream.closed ? "closed" : "open"}`]] : []),
  ];
  replace(byId("title"), content.title, el("small", {}, "alignPCA-2D"));
  replace(byId("overview"), facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  const warnings = [...content.run.warnings, ...(alike?.views?.preferred ? [`${preferredLine()} See Similarity.`] : []), ...content.missing];
  byId("warnings").hidden = !warnings.length;
  replace(byId("warnings"), warnings.map((line) => el("li", {}, line)));
  byId("footer").textContent = `alignpca2d ${content.run.versions.alignpca2d ?? ""}. This file holds everything it shows and fetches nothing.`;
}
const root = document.documentElement;
function setTheme(theme, keep) {
  root.dataset.theme = theme;
  byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
  if (keep) try { localStorage.setItem("alignpca2d-theme", theme); } catch { /* not every browser keeps things for files */ }
}
function setUpTheme() {
  const system = window.matchMedia("(prefers-color-scheme: dark)"), ofSystem = () => (system.matches ? "dark" : "light");
  let kept = null;
  try { kept = localStorage.getItem("alignpca2d-theme"); } catch { /* as above */ }
  setTheme(kept === "dark" || kept === "light" ? kept : ofSystem(), false);
  if (!kept) system.addEventListener("change", () => setTheme(ofSystem(), false));
  byId("theme").addEventListener("click", toggleTheme);
}
const toggleTheme = () => setTheme(root.dataset.theme === "dark" ? "light" : "dark", true);

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input:not([type=range]), textarea, select")) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "z") return undo();
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const names = Object.keys(ORDERS), chosen = CHOOSE_KEYS[event.key.toLowerCase()];
  if (event.key === "Escape" && gallery.opened) close();
  else if (chosen) chosen();
  else if (event.key === "t" || event.key === "T") toggleTheme();
  else if (event.key === "i" || event.key === "I") invertContrast();
  else if (event.key === "s" || event.key === "S") sortBy(names[(names.indexOf(gallery.order) + 1) % names.length]);
  else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && gallery.opened && detail.contains(event.target)) open(neighbour(gallery.opened, event.key));
});

setUpTheme();
head();
setUpGallery();
setUpChoice();
markGroups();
byId("sections").append(el("a", { href: "#classes" }, "Classes"));
section("stream", "Stream", streamed());
section("similar", "Similarity", tree(), viewsHeld());
section("aside", "Set aside", setAside());
section("map", "Map", pairs(), covered(), agreement());
section("overall", "Overall", sizes(), resolutions(), spreads());
section("convergence", "Convergence", convergence());
section("pca", "PCA", components());
section("run", "Run", runParts());
root.dataset.ready = "true";
