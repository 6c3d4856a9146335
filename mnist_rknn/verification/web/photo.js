// A photograph with a square on it, to drag and size over one digit.
"use strict";

/**
 * @param canvas shows the photograph; it takes pointers and keys.
 * @param ratio width of the network's input over its height.
 * @param changed called with the picture under the square, as RGB pixels.
 */
function photograph(canvas, ratio, changed) {
  const context = canvas.getContext("2d");
  const region = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const MOST = 1024; // pixels of the longer side, of what is shown and of what is read
  let bitmap = null, square = null, grip = null; // square: { x, y, size } in the photograph's pixels

  const smallest = () => Math.max(8, Math.min(bitmap.width, bitmap.height) / 50);
  const largest = () => Math.min(bitmap.width, bitmap.height * ratio);
  const scale = () => canvas.width / bitmap.width;

  function place(x, y, size) {
    size = Math.max(smallest(), Math.min(largest(), size));
    x = Math.max(0, Math.min(bitmap.width - size, x));
    y = Math.max(0, Math.min(bitmap.height - size / ratio, y));
    square = { x, y, size };
    paint();
  }

  function paint() {
    const zoom = scale();
    const [x, y, wide] = [square.x * zoom, square.y * zoom, square.size * zoom];
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    context.fillStyle = "rgb(0 0 0 / 45%)";
    context.beginPath();
    context.rect(0, 0, canvas.width, canvas.height);
    context.rect(x, y, wide, wide / ratio);
    context.fill("evenodd");
    const line = Math.max(2, canvas.width / 200);
    for (const [colour, width] of [["#000", 2 * line], ["#ffb000", line]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.strokeRect(x, y, wide, wide / ratio);
    }
    context.fillStyle = "#ffb000"; // the corner that sizes it
    context.beginPath();
    context.arc(x + wide, y + wide / ratio, 4 * line, 0, 2 * Math.PI);
    context.fill();
  }

  function read() {
    const pixels = Math.max(1, Math.min(MOST, Math.round(square.size)));
    region.canvas.width = pixels;
    region.canvas.height = Math.max(1, Math.round(pixels / ratio));
    region.fillStyle = "#fff"; // under what is transparent
    region.fillRect(0, 0, pixels, region.canvas.height);
    region.imageSmoothingQuality = "high";
    region.drawImage(
      bitmap, square.x, square.y, square.size, square.size / ratio,
      0, 0, pixels, region.canvas.height,
    );
    changed(pictureOfCanvas(region));
  }

  function pointOf(event) {
    const box = canvas.getBoundingClientRect();
    const zoom = bitmap.width / box.width;
    return { x: (event.clientX - box.left) * zoom, y: (event.clientY - box.top) * zoom, zoom };
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!bitmap || event.button !== 0) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    const at = pointOf(event);
    const corner = Math.hypot(at.x - square.x - square.size, at.y - square.y - square.size / ratio);
    const sizing = corner < 28 * at.zoom; // a fingertip
    const inside = at.x >= square.x && at.x <= square.x + square.size &&
      at.y >= square.y && at.y <= square.y + square.size / ratio;
    if (!sizing && !inside) place(at.x - square.size / 2, at.y - square.size / ratio / 2, square.size);
    grip = { id: event.pointerId, sizing, x: at.x - square.x, y: at.y - square.y };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (grip?.id !== event.pointerId) return;
    const at = pointOf(event);
    if (grip.sizing) place(square.x, square.y, Math.max(at.x - square.x, (at.y - square.y) * ratio));
    else place(at.x - grip.x, at.y - grip.y, square.size);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => {
      if (grip?.id !== event.pointerId) return;
      grip = null;
      read();
    });
  }

  canvas.addEventListener("keydown", (event) => {
    if (!bitmap || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = (event.shiftKey ? 0.01 : 0.05) * bitmap.width;
    const { x, y, size } = square;
    const keys = {
      ArrowLeft: [x - step, y, size], ArrowRight: [x + step, y, size],
      ArrowUp: [x, y - step, size], ArrowDown: [x, y + step, size],
      "+": [x - size * 0.05, y - size * 0.05, size * 1.1], "-": [x + size * 0.05, y + size * 0.05, size * 0.9],
    };
    const wanted = keys[event.key === "=" ? "+" : event.key];
    if (!wanted) return;
    event.preventDefault();
    place(...wanted);
    read();
  });

  return {
    show(newBitmap) {
      bitmap?.close();
      bitmap = newBitmap;
      const shrink = Math.min(1, MOST / Math.max(bitmap.width, bitmap.height));
      canvas.width = Math.max(1, Math.round(bitmap.width * shrink));
      canvas.height = Math.max(1, Math.round(bitmap.height * shrink));
      const size = 0.6 * largest();
      place((bitmap.width - size) / 2, (bitmap.height - size / ratio) / 2, size);
      read();
    },
    read() { if (bitmap) read(); },
    resize(factor) {
      if (!bitmap) return;
      const { x, y, size } = square;
      place(x + (size * (1 - factor)) / 2, y + (size * (1 - factor)) / 2 / ratio, size * factor);
      read();
    },
    square: () => square,
  };
}
