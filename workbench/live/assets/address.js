// What the page remembers in its URL: tab, layer, zoom, options. Written without a rerun, read after a
// reload and by whoever opens the link. Streamlit owns `run`; all other keys here are ours.

const OURS = ["tab", "layer", "image", "attention", "head", "as", "patch", "lines", "states", "text", "order", "x", "log", "smooth", "from", "to", "confusion", "variate", "error"];
const kept = new Map(); // survives a rewrite of the query by Streamlit; `settle` puts it back
let page = null;
let shown = null; // the run

/** Called by every view when it is drawn anew: reads on the first call, restores on later ones. */
export function settle(run) {
  const here = location.pathname;
  const query = new URLSearchParams(location.search);
  if (page !== here) {
    page = here;
    kept.clear();
    for (const key of OURS) if (query.has(key)) kept.set(key, query.get(key));
  } else {
    if (shown !== run) for (const key of ["from", "to"]) kept.delete(key); // another run, another length
    write();
  }
  shown = run;
}

export const recall = (key, fallback = "") => kept.get(key) ?? fallback;

/** remember({tab: "filters", from: null}): null and "" remove the key. */
export function remember(values) {
  for (const [key, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === "") kept.delete(key);
    else kept.set(key, String(value));
  }
  write();
}

/** Our keys mean nothing on other pages. */
export function leave() {
  if (location.pathname === page) return;
  const url = new URL(location.href);
  const before = url.search;
  for (const key of OURS) url.searchParams.delete(key);
  if (url.search !== before) history.replaceState(history.state, "", url);
  page = null;
}

function write() {
  const url = new URL(location.href);
  for (const key of OURS) {
    if (kept.has(key)) url.searchParams.set(key, kept.get(key));
    else url.searchParams.delete(key);
  }
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}
