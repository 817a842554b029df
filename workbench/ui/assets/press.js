// What Python sends while a button is held down is shown once it is let go: of an element that is moved or made anew
// between pressing and letting go, the browser tells no click, and the choice would be lost.

/** show(data) at once, or as soon as nothing in `host` is pressed; of several that wait, the newest. */
function unlessPressed(host, show) {
  let pressed = false;
  let waiting = null;
  const free = (e) => {
    if (e.type === "pointermove" && e.buttons) return; // let go outside the window
    for (const kind of ["pointerup", "pointercancel", "pointermove"]) removeEventListener(kind, free, true);
    setTimeout(() => { // the click comes first
      pressed = false;
      if (waiting) show(...waiting.splice(0));
      waiting = null;
    });
  };
  host.addEventListener("pointerdown", () => {
    pressed = true;
    for (const kind of ["pointerup", "pointercancel", "pointermove"]) addEventListener(kind, free, true);
  }, true);
  return (data) => { if (pressed) waiting = [data]; else show(data); };
}
