// Which classes are chosen: by mouse, keys and limits; kept through reloads, saved as selection.json.
const choice = { numbers: new Set(), anchor: null, before: [] };
const KEPT_AS = `alignpca2d-choice:${location.pathname}`;
// Numbers stay those of their classes in a stream; of other runs a choice belongs to these very classes.
const kin = () => (known(content.stream.batch) ? "stream" : classes.map((one) => one.size).join());
const given = () => JSON.stringify(content.selection ?? null);

function put(numbers) {
  const wanted = new Set([...numbers].filter((number) => classes[number - 1]));
  choice.before.push(choice.numbers);
  choice.numbers = wanted;
  keep();
  showChoice();
}
const toggle = (one) => {
  const numbers = new Set(choice.numbers);
  if (!numbers.delete(one.number)) numbers.add(one.number);
  choice.anchor = one;
  put(numbers);
};
// All between become what the class is that the range begins at.
function chooseRange(one, from = choice.anchor) {
  const shown = visible(), ends = [from ?? one, one].map((end) => shown.indexOf(end)).sort((a, b) => a - b);
  if (!from || ends[0] < 0) return toggle(one);
  const numbers = new Set(choice.numbers), chosen = numbers.has(from.number);
  for (const between of shown.slice(ends[0], ends[1] + 1)) numbers[chosen ? "add" : "delete"](between.number);
  put(numbers);
}
const numbersOf = (some) => some.map((one) => one.number);
const chooseGood = () => put(numbersOf(classes.filter((one) => one.verdict === "good")));
const chooseShown = () => put([...choice.numbers, ...numbersOf(visible())]);
const chooseNone = () => put([]);
const chooseOthers = () => {
  const numbers = new Set(choice.numbers);
  for (const one of visible()) if (!numbers.delete(one.number)) numbers.add(one.number);
  put(numbers);
};
function undo() {
  if (!choice.before.length) return;
  choice.numbers = choice.before.pop();
  keep();
  showChoice();
}
const CHOOSE_KEYS = { a: chooseShown, n: chooseNone, ...(classes.some((one) => one.verdict === "good") ? { g: chooseGood } : {}) };

function keep() {
  try { localStorage.setItem(KEPT_AS, JSON.stringify({ kin: kin(), given: given(), classes: sortedNumbers() })); } catch { /* not every browser keeps things for files */ }
}
function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT_AS));
    return found && found.kin === kin() && found.given === given() && Array.isArray(found.classes) ? found.classes : null;
  } catch { return null; }
}
const sortedNumbers = () => [...choice.numbers].sort((a, b) => a - b);
// As export takes them: 1,4-9.
function ranges(numbers) {
  const found = [];
  for (const number of numbers) {
    if (found.length && number === found.at(-1)[1] + 1) found.at(-1)[1] = number;
    else found.push([number, number]);
  }
  return found.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}
const selectionText = () => JSON.stringify({ version: (content.selection?.version ?? 0) + 1, classes: sortedNumbers() });

function showChoice() {
  const some = classes.filter((one) => choice.numbers.has(one.number)), held = some.reduce((sum, one) => sum + one.size, 0);
  box.classList.toggle("choosing", some.length > 0);
  for (const [number, element] of gallery.cards) element.setAttribute("aria-selected", String(choice.numbers.has(number)));
  replace(byId("count"), el("b", {}, some.length ? `${whole(some.length)} of ${plural(classes.length, "class", "classes")}` : "No class"), " chosen",
    some.length ? [`: ${plural(held, "particle", "particles")} `, el("span", { class: "soft" }, `(${percent(held / Math.max(1, classes.reduce((sum, one) => sum + one.size, 0)))})`)] : null);
  for (const button of byId("save").querySelectorAll("button")) button.disabled = !some.length;
  byId("numbers").textContent = ranges(sortedNumbers());
  byId("numbers").hidden = !some.length;
  byId("undo").disabled = !choice.before.length;
  if (gallery.opened) byId("pick").setAttribute("aria-pressed", String(choice.numbers.has(gallery.opened.number)));
}
function download() {
  const link = el("a", { href: `data:application/json,${encodeURIComponent(`${selectionText()}\n`)}`, download: "selection.json" });
  document.body.append(link);
  link.click();
  link.remove();
}
async function copyChoice(event) {
  const button = event.currentTarget, said = button.textContent, text = selectionText();
  try { await navigator.clipboard.writeText(text); } catch { window.prompt("The choice as text, to be saved as selection.json", text); }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = said; }, 1500);
}

// Limits: a class that misses one is not chosen; fields left empty are no limit.
const LIMITS = [
  ["size", "particles, at least", (one, limit) => one.size >= limit],
  ["resolution", "resolution, at most Å", (one, limit) => known(one.resolution) && one.resolution <= limit],
  ...(ORDERS.Score ? [["score", "score, at least", (one, limit) => (scoreOf(one) ?? -Infinity) >= limit]] : []),
];
const WORST = { any: 3, "good or doubtful": 1, good: 0 };

function withinLimits() {
  const limits = LIMITS.map(([name, , holds]) => [byId(`limit-${name}`).valueAsNumber, holds]).filter(([limit]) => known(limit));
  const worst = ORDERS.Verdict ? WORST[byId("limit-verdict").value] : 3;
  return classes.filter((one) => rankOf(one) <= worst && limits.every(([limit, holds]) => holds(one, limit)));
}
function limitsForm() {
  const count = el("button", { type: "submit" }), say = () => { count.textContent = `Choose ${plural(withinLimits().length, "class", "classes")}`; };
  replace(byId("limits"), LIMITS.map(([name, text]) => el("label", {}, text, " ", el("input", { id: `limit-${name}`, type: "number", min: name === "score" ? null : 0, step: "any", inputmode: "decimal" }))),
    ORDERS.Verdict ? el("label", {}, "verdict ", el("select", { id: "limit-verdict" }, Object.keys(WORST).map((text) => el("option", {}, text)))) : null, count);
  byId("limits").addEventListener("input", say);
  byId("limits").addEventListener("submit", (event) => { event.preventDefault(); put(numbersOf(withinLimits())); });
  say();
}
function setUpChoice() {
  const button = (text, title, onclick, more = {}) => el("button", { type: "button", title, onclick, ...more }, text);
  replace(byId("choose"),
    CHOOSE_KEYS.g ? button("All good", "All good classes and no others (G)", chooseGood) : null,
    button("All", "All that are shown (A)", chooseShown), button("None", "None (N)", chooseNone), button("Inverse", "The others of those that are shown", chooseOthers),
    button("Limits", "By size, resolution, score and verdict", (event) => {
      const closed = byId("limits").toggleAttribute("hidden");
      event.currentTarget.setAttribute("aria-expanded", String(!closed));
      if (!closed) byId("limit-size").focus();
    }, { "aria-expanded": "false", "aria-controls": "limits" }),
    button("Undo", "The choice before (Ctrl Z)", undo, { id: "undo" }));
  replace(byId("save"), el("code", { id: "numbers", title: "For alignpca2d export DIR --select" }),
    button("Save selection.json", "For alignpca2d export DIR --select selection.json, and for Scipion", download, { class: "main" }),
    button("Copy as text", "The same text to the clipboard", copyChoice));
  limitsForm();
  choice.numbers = new Set((kept() ?? content.selection?.classes ?? []).filter((number) => classes[number - 1]));
  showChoice();
}
