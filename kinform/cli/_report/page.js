// Sorts a table by the column whose heading is clicked: numbers from the largest, texts from A to Z; then the reverse.
for (const head of document.querySelectorAll("th")) {
  head.querySelector("button").addEventListener("click", () => {
    const body = head.closest("table").tBodies[0];
    const isNumber = head.classList.contains("number");
    const descending = head.ariaSort ? head.ariaSort === "ascending" : isNumber;
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.ariaSort = descending ? "descending" : "ascending";
    const key = (row) => {
      const cell = row.cells[head.cellIndex];
      return isNumber ? Number(cell.dataset.value) : cell.textContent;
    };
    const compare = (a, b) => (isNumber ? key(a) - key(b) : key(a).localeCompare(key(b)));
    body.append(...[...body.rows].sort((a, b) => (descending ? compare(b, a) : compare(a, b))));
  });
}
