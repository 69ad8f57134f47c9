/* Heat maps: the figure to show, and the plans behind a cell. */
for (const section of $$("[data-board]")) {
  const board = BOARDS[section.dataset.board], select = $("select", section), panel = $(".detail", section);
  if (!select) continue;
  const table = $("table.heat", section), cells = $$("td[data-i]", table);
  const last = board.tpus.length;

  function showMetric(key) {
    const metric = board.metrics[key];
    for (const cell of cells) {
      const [text, shade] = metric.cells[cell.dataset.i][cell.dataset.j];
      cell.textContent = text;
      cell.style.setProperty("--v", Math.abs(shade));
      cell.classList.toggle("loss", metric.cost || shade < 0);
    }
    $$("tfoot td", table).forEach((cell, j) => { cell.textContent = metric.means[j]; });
    $("caption", table).textContent = select.selectedOptions[0].textContent;
    $$("[aria-sort]", table).forEach((heading) => heading.setAttribute("aria-sort", "none"));
  }

  const add = (parent, tag, text = "", name = "") => { const child = document.createElement(tag); child.textContent = text; child.className = name; parent.append(child); return child; };
  const ms = (ns) => (ns / 1e6).toFixed(2);
  function bars(parent, stages, longest) {
    const box = add(parent, "span", "", "mini");
    for (const time of stages) add(box, "i").style.height = `${Math.max(4, 100 * time / longest)}%`;
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", stages.map((time) => (time / 1000).toFixed(2)).join(", ") + " ms");
  }

  function showPlans(cell) {
    const plans = board.plans[cell.dataset.i][cell.dataset.j];
    if (!plans) return;
    panel.hidden = false;
    panel.replaceChildren();
    const best = Math.min(...plans.map((plan) => plan[1]));
    add(add(panel, "p"), "strong", `${board.networks[cell.dataset.i]} on ${board.tpus[cell.dataset.j]} TPU${board.tpus[cell.dataset.j] > 1 ? "s" : ""}`);
    if (!plans.length) { add(panel, "p", "No plan."); return; }
    const wrap = add(panel, "div", "", "scroll"), list = add(wrap, "table"), head = add(add(list, "thead"), "tr"), body = add(list, "tbody");
    for (const title of ["strategy", "per inference, ms", "over best", "latency, ms", "off chip, MiB", "time per TPU"]) add(head, "th", title).scope = "col";
    const longest = Math.max(...plans.flatMap((plan) => plan[5]));
    for (const [name, worth, time, latency, offchip, stages] of plans) {
      const row = add(body, "tr", "", worth === best ? "strong" : "");
      add(row, "th", name).scope = "row";
      add(row, "td", ms(time));
      add(row, "td", worth === best ? "–" : `+${(100 * (worth / best - 1)).toFixed(1)} %`);
      add(row, "td", ms(latency));
      add(row, "td", offchip ? (offchip / 2 ** 20).toFixed(2) : "-", offchip ? "spill" : "");
      bars(add(row, "td"), stages, longest);
    }
  }

  /* One cell is in the tab order; the arrow keys go from there, in the rows' present order. */
  const move = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  const at = (row, column) => table.tBodies[0].rows[row]?.cells[column];
  for (const cell of cells) {
    if (Number(cell.dataset.j) === last) continue;
    cell.tabIndex = cell === cells[0] ? 0 : -1;
    cell.addEventListener("pointerover", () => showPlans(cell));
    cell.addEventListener("click", () => cell.focus());
    cell.addEventListener("focus", () => { for (const other of cells) if (other.tabIndex === 0) other.tabIndex = -1; cell.tabIndex = 0; showPlans(cell); });
    cell.addEventListener("keydown", (event) => {
      const [down, right] = move[event.key] ?? [0, 0];
      const next = (down || right) && at(cell.parentElement.sectionRowIndex + down, cell.cellIndex + right);
      if (next && next.tabIndex >= -1 && next.dataset.j && Number(next.dataset.j) < last) { event.preventDefault(); next.focus(); }
    });
  }
  select.addEventListener("change", () => showMetric(select.value));
  if (select.selectedIndex > 0) showMetric(select.value);
  showPlans(cells[Math.max(0, last - 1)]);
}
