// Shows a drawing that Python made, folds its groups by a click, and hands it over as SVG or PNG.

const PNG_SCALE = 2; // pixels of the PNG for each of the drawing's

function button(text, label, run) {
  const node = document.createElement("button");
  node.textContent = text;
  node.setAttribute("aria-label", label);
  node.addEventListener("click", run);
  return node;
}
function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
async function png(text) {
  const image = new Image();
  const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  await new Promise((done, fail) => { image.onload = done; image.onerror = fail; image.src = url; });
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth * PNG_SCALE;
  canvas.height = image.naturalHeight * PNG_SCALE;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(url);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const host = parentElement.querySelector(".wb-drawing");
  const svg = new DOMParser().parseFromString(data.svg, "image/svg+xml").documentElement;
  const sheet = document.createElement("div");
  sheet.className = "sheet";
  sheet.append(document.importNode(svg, true));
  for (const group of sheet.querySelectorAll("[data-fold]")) {
    group.setAttribute("role", "button");
    group.setAttribute("tabindex", "0");
    group.setAttribute("aria-label", `Fold or unfold group ${group.dataset.fold}`);
    const turn = () => setTriggerValue("fold", group.dataset.fold);
    group.addEventListener("click", turn);
    group.addEventListener("keydown", (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); turn(); } });
  }
  const bar = document.createElement("div");
  bar.className = "bar";
  if (data.groups) {
    const all = data.folded < data.groups;
    bar.append(button(all ? "Fold all groups" : "Unfold all groups", "Fold or unfold all groups", () => setTriggerValue("fold", all ? "all" : "none")));
  }
  bar.append(
    button("Download SVG", "Download the drawing as SVG", () => save(new Blob([data.svg], { type: "image/svg+xml" }), `${data.name}.svg`)),
    button("Download PNG", "Download the drawing as PNG", async () => save(await png(data.svg), `${data.name}.png`)));
  host.replaceChildren(bar, sheet);
  host.dataset.folded = data.folded;
}
