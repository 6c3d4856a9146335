// The drawing area: mouse, pen, finger, and the keyboard's arrow keys.
"use strict";

/**
 * @param canvas the drawing area.
 * @param changed called with the strokes: lists of points, x from 0 to 1.
 * @param say called with a key of the page's table: what the keyboard's pen does.
 */
function drawingArea(canvas, changed, say) {
  const context = canvas.getContext("2d");
  const pen = { x: 0.5, y: (0.5 * canvas.height) / canvas.width, down: false, shown: false };
  let strokes = [], look = "board", pointer = null;

  function paint() {
    const [ground, stroke] = TONES[look].map((tone) => `rgb(${tone} ${tone} ${tone})`);
    const size = canvas.width;
    context.fillStyle = ground;
    context.fillRect(0, 0, size, canvas.height);
    context.strokeStyle = stroke;
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = PEN * size;
    for (const points of strokes) {
      context.beginPath();
      for (const [x, y] of points.length > 1 ? points : [points[0], points[0]]) {
        context.lineTo(x * size, y * size);
      }
      context.stroke();
    }
    if (pen.shown) { // where the keyboard's pen is
      context.lineWidth = 3;
      context.strokeStyle = pen.down ? "#e69f00" : "#56b4e9";
      context.beginPath();
      context.arc(pen.x * size, pen.y * size, 0.035 * size, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  function pointOf(event) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.width];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    pen.shown = pen.down = false;
    strokes.push([pointOf(event)]);
    paint();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    strokes.at(-1).push(...(events.length ? events : [event]).map(pointOf));
    paint();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => {
      if (event.pointerId !== pointer) return;
      pointer = null;
      changed(strokes);
    });
  }

  const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = MOVES[event.key];
    if (move) {
      const step = event.shiftKey ? 0.01 : 0.04;
      pen.x = Math.max(0, Math.min(1, pen.x + step * move[0]));
      pen.y = Math.max(0, Math.min(canvas.height / canvas.width, pen.y + step * move[1]));
      if (pen.down) strokes.at(-1).push([pen.x, pen.y]);
    } else if (event.key === " ") {
      pen.down = !pen.down;
      if (pen.down) strokes.push([[pen.x, pen.y]]);
      say(pen.down ? "pen_down" : "pen_up");
    } else if (event.key === "Delete" || event.key === "Backspace") {
      clear();
    } else return;
    event.preventDefault();
    pen.shown = true;
    paint();
    if (pen.down || event.key === " ") changed(strokes);
  });
  canvas.addEventListener("blur", () => {
    pen.shown = pen.down = false;
    paint();
  });

  function clear() {
    strokes = [];
    pen.down = false;
    paint();
    changed(strokes);
  }

  paint();
  return {
    clear,
    undo() {
      strokes.pop();
      pen.down = false;
      paint();
      changed(strokes);
    },
    use(newLook) {
      look = newLook;
      paint();
      changed(strokes);
    },
    strokes: () => strokes,
  };
}
