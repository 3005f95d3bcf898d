// The page of the claims: only the rows of the chosen status and kind that hold all the words.
const form = document.querySelector("form.ledger-filter");
const rows = [...document.querySelectorAll("tr[id^='ledger-']")];
const texts = new Map(rows.map(row => [row, row.textContent.toLowerCase()]));

function filter() {
  const { status, kind, words } = Object.fromEntries(new FormData(form));
  const wanted = words.toLowerCase().split(/\s+/);
  for (const row of rows) {
    row.hidden = !(
      (status === "all" || row.classList.contains(`status-${status}`)) &&
      (kind === "all" || row.classList.contains(`kind-${kind}`)) &&
      wanted.every(word => texts.get(row).includes(word))
    );
  }
  for (const section of document.querySelectorAll("section[id^='claims-of-']")) {
    section.hidden = !section.querySelector("tr[id]:not([hidden])");
  }
  const left = rows.filter(row => !row.hidden).length;
  form.querySelector("output").textContent = `${left} of ${rows.length} claims`;
}

// A link to a row that is filtered out shows all rows again.
function shown() {
  const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (row?.hidden) {
    form.reset();
    filter();
    row.scrollIntoView();
  }
}

if (form) {
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", event => event.preventDefault());
  addEventListener("hashchange", shown);
  filter();
}
