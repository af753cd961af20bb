// Fetches every [data-live] fragment again while the page is looked at. The fragment's first element says in
// data-every how soon to ask next, in milliseconds. What is open stays open; what is new is marked for a moment.
for (const place of document.querySelectorAll("[data-live]")) watch(place);
localise(document);

function watch(place) {
  const every = () => Number(place.firstElementChild?.dataset.every ?? 5000);
  const ask = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(place.dataset.live, { cache: "no-store" });
        if (answer.ok) replace(place, await answer.text());
      } catch {
        // The daemon is away; it may come back.
      }
    }
    if (every() > 0) setTimeout(ask, every());
  };
  if (every() > 0) setTimeout(ask, every());
}

function replace(place, html) {
  const keyed = () => [...place.querySelectorAll("[data-key]")];
  const before = new Map(keyed().map((item) => [item.dataset.key, { open: item.open, mark: item.dataset.mark }]));
  const selecting = place.contains(document.getSelection()?.anchorNode) && !document.getSelection().isCollapsed;
  if (selecting) return;
  place.innerHTML = html;
  for (const item of keyed()) {
    const old = before.get(item.dataset.key);
    if (old?.open) item.open = true;
    if (!old || old.mark !== item.dataset.mark) item.classList.add("fresh");
  }
  localise(place);
}

function localise(root) {
  for (const time of root.querySelectorAll("time[data-ms]")) {
    const at = new Date(Number(time.dataset.ms));
    time.title = at.toISOString();
    const year = at.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
    const [hour, minute, second] = ["numeric", "2-digit", "2-digit"];
    time.textContent = at.toLocaleString(undefined, { year, month: "short", day: "numeric", hour, minute, second });
  }
}
