// Elements of the lists of runs. It is put before queue.js and before runs.js; none imports another. Texts are
// always set through textContent.

function make(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "text") node.textContent = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}
const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
