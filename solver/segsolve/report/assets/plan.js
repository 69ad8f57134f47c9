/* The strip: layout by time or weights, the strategy to compare with, and the details of an operation. */
(() => {
  const $ops = $$("#ops rect.op"), panel = $("#detail");
  let other = DATA.strategies.find(({ key }) => key)?.key, shown = DATA.slowest;
  $$(".controls").forEach((controls) => { controls.hidden = false; });

  function layout(edges) {
    $ops.forEach((rect, i) => { rect.setAttribute("x", edges[i]); rect.setAttribute("width", Math.max(0, edges[i + 1] - edges[i])); });
    for (const mark of $$(".strip [data-first]")) {
      const x = edges[mark.dataset.first], width = Math.max(0, edges[mark.dataset.end] - x);
      for (const rect of mark.matches("rect") ? [mark] : $$("rect", mark)) { rect.setAttribute("x", x); rect.setAttribute("width", width); }
      for (const text of $$("text", mark)) {
        text.setAttribute("x", x + width / 2);
        text.textContent = width >= DATA.longLabel ? text.dataset.long : width >= DATA.shortLabel ? text.dataset.short : "";
      }
    }
    for (const line of $$(".strip [data-at]")) { line.setAttribute("x1", edges[line.dataset.at]); line.setAttribute("x2", edges[line.dataset.at]); }
  }

  function compareWith(key) {
    other = key;
    show(shown);
    for (const element of $$("[data-other]")) {
      const shown = key === "*" || element.dataset.other === key;
      element.classList.toggle("gone", !shown);
      element.classList.toggle("shown", shown);
    }
  }

  const facts = (i) => {
    const [name, kind, shape, weights, compute, streams, macs] = DATA.operations[i];
    const where = DATA.strategies.filter(({ key }) => !key || other === "*" || key === other).map(({ title, names, owner, spilled }) => `${names[owner[i]]} ${spilled.includes(i) ? "(streams) " : ""}in ${title}`);
    return { name, kind, rows: [["Runs on", where.join("; ")], ["Output", shape], ["Weights", weights], ["Computing", compute], ["If streamed", streams], ["MACs", macs]] };
  };
  const add = (parent, tag, text) => { const child = document.createElement(tag); child.textContent = text; parent.append(child); return child; };

  function show(i) {
    const { name, kind, rows } = facts(i);
    shown = i;
    panel.replaceChildren();
    add(add(panel, "p", ""), "strong", `Operation ${i}: ${name} (${kind})`);
    const list = add(panel, "dl", "");
    for (const [term, fact] of rows) { add(list, "dt", term); add(list, "dd", fact); }
    $ops.forEach((rect) => rect.classList.toggle("on", rect === $ops[i]));
  }

  const { owner, names } = DATA.strategies[0], first = (stage) => owner.indexOf(stage);
  function target(key, i) {
    const stage = owner[i];
    return { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: $ops.length - 1,
      ArrowDown: stage < names.length - 1 ? first(stage + 1) : i, ArrowUp: i > first(stage) ? first(stage) : first(Math.max(0, stage - 1)) }[key];
  }

  $ops.forEach((rect, i) => {
    const { name, kind } = facts(i);
    rect.setAttribute("role", "img");
    rect.setAttribute("aria-label", `Operation ${i}, ${name}, ${kind}, ${names[owner[i]]}`);
    rect.setAttribute("tabindex", i ? -1 : 0);
    rect.addEventListener("pointerover", () => show(i));
    rect.addEventListener("click", () => { rect.focus(); });
    rect.addEventListener("focus", () => { $ops.forEach((other) => other.setAttribute("tabindex", other === rect ? 0 : -1)); show(i); });
    rect.addEventListener("keydown", (event) => {
      const next = $ops[target(event.key, i)];
      if (next) { event.preventDefault(); next.focus(); }
    });
  });
  show(DATA.slowest);
  for (const input of $$("input[name=width]")) input.addEventListener("change", () => layout(DATA.edges[input.value]));
  for (const input of $$("input[name=other]")) input.addEventListener("change", () => compareWith(input.value));
  /* A browser may bring back the reader's choices when the page is loaded again. */
  $$(".controls input:checked").forEach((input) => input.dispatchEvent(new Event("change")));
})();
