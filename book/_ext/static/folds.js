// A link to a folded cell opens it.
const opened = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  target?.closest("div.cell")?.querySelector(":scope > details")?.setAttribute("open", "");
};
addEventListener("hashchange", opened);
opened();
