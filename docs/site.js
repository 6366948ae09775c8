/* Give each cell the head of its column, which site.css shows on narrow screens. */
for (const table of document.querySelectorAll(".md-typeset table:not([class])")) {
  const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent.trim());
  for (const row of table.querySelectorAll("tbody tr")) {
    [...row.cells].forEach((cell, column) => {
      if (heads[column]) cell.dataset.head = heads[column];
    });
  }
}
