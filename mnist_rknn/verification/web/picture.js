// From strokes or a photograph to the pixels that the network takes, as the training has them.
// A picture is { width, height, data }: data has R, G, B from 0 to 255 for each pixel, in rows.
"use strict";

/** How much of each source pixel goes into each target pixel, along one side: areas that overlap. */
function areaWeights(from, to) {
  const ratio = from / to;
  return Array.from({ length: to }, (_, target) => {
    const start = target * ratio, end = start + ratio;
    const parts = [];
    for (let source = Math.floor(start); source < Math.min(Math.ceil(end - 1e-9), from); source++) {
      parts.push([source, (Math.min(end, source + 1) - Math.max(start, source)) / ratio]);
    }
    return parts;
  });
}

/** The same for a larger picture: between the two nearest source pixels. */
function linearWeights(from, to) {
  return Array.from({ length: to }, (_, target) => {
    const place = Math.max(0, Math.min(from - 1, ((target + 0.5) * from) / to - 0.5));
    const source = Math.floor(place);
    const next = Math.min(source + 1, from - 1);
    return [[source, 1 - (place - source)], [next, place - source]];
  });
}

/** The whole picture, squeezed to a size, as `fit` of mnist_rknn/data/pictures.py does it. */
function fit(picture, width, height) {
  const shrinks = picture.width > width || picture.height > height;
  const weights = shrinks ? areaWeights : linearWeights;
  const across = weights(picture.width, width), down = weights(picture.height, height);
  const rows = new Float32Array(picture.height * width * 3); // squeezed across
  for (let y = 0; y < picture.height; y++) {
    for (let x = 0; x < width; x++) {
      for (const [source, share] of across[x]) {
        const from = 3 * (y * picture.width + source), to = 3 * (y * width + x);
        for (let c = 0; c < 3; c++) rows[to + c] += share * picture.data[from + c];
      }
    }
  }
  const sums = new Float32Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (const [source, share] of down[y]) {
      for (let i = 0; i < 3 * width; i++) {
        sums[3 * y * width + i] += share * rows[3 * source * width + i];
      }
    }
  }
  return { width, height, data: Uint8Array.from(sums, (value) => Math.round(value)) };
}

// --- strokes ----------------------------------------------------------------------------

const MNIST = { size: 28, box: 20, pen: 2.6 }; // pixels: the picture, its digit, a stroke's width
const FINE = 10; // drawn so many times larger, and averaged
const TONES = { board: [0, 255], paper: [230, 40] }; // of the ground and of the stroke
const PEN = 0.06; // width of a stroke as drawn, of the drawing's width

/**
 * Draw strokes with a round pen.
 *
 * @param strokes lists of points [x, y], in units of the drawing.
 * @param place { scale, x, y }: a point p is drawn at p * scale + (x, y).
 * @returns how much of each pixel is ink, from 0 to 1, in rows.
 */
function ink(strokes, width, height, pen, place) {
  const canvas = document.createElement("canvas");
  canvas.width = width * FINE;
  canvas.height = height * FINE;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = pen * FINE;
  for (const stroke of strokes) {
    context.beginPath();
    for (const [x, y] of stroke.length > 1 ? stroke : [stroke[0], stroke[0]]) {
      context.lineTo((x * place.scale + place.x) * FINE, (y * place.scale + place.y) * FINE);
    }
    context.stroke();
  }
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const covered = new Float32Array(width * height);
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++) {
      const pixel = Math.floor(y / FINE) * width + Math.floor(x / FINE);
      covered[pixel] += data[4 * (y * canvas.width + x) + 3] / (255 * FINE * FINE);
    }
  }
  return covered;
}

/** Strokes as MNIST has its digits: 20 pixels long at most, the centre of their mass in the middle. */
function inkAsMnist(strokes) {
  const { size, box, pen } = MNIST;
  const xs = strokes.flat().map(([x]) => x), ys = strokes.flat().map(([, y]) => y);
  const left = Math.min(...xs), top = Math.min(...ys);
  const wide = Math.max(...xs) - left, high = Math.max(...ys) - top;
  const scale = (box - pen) / Math.max(wide, high, 0.05);
  const place = { scale, x: (size - wide * scale) / 2 - left * scale, y: (size - high * scale) / 2 - top * scale };
  const first = ink(strokes, size, size, pen, place);
  let mass = 0, x = 0, y = 0;
  first.forEach((amount, i) => {
    mass += amount;
    x += amount * ((i % size) + 0.5);
    y += amount * (Math.floor(i / size) + 0.5);
  });
  place.x += size / 2 - x / mass;
  place.y += size / 2 - y / mass;
  return ink(strokes, size, size, pen, place);
}

/**
 * What the network sees of a drawing.
 *
 * @param strokes lists of points, x from 0 to 1, y from 0 to height / width.
 * @param look "board", white on black, or "paper", dark on bright.
 * @param asMnist whether the network was trained with digits placed as MNIST places them.
 */
function pictureOfStrokes(strokes, look, asMnist, width, height) {
  const sizes = asMnist ? [MNIST.size, MNIST.size] : [width, height];
  const covered = asMnist
    ? inkAsMnist(strokes)
    : ink(strokes, width, height, PEN * width, { scale: width, x: 0, y: 0 });
  const [ground, stroke] = TONES[look];
  const data = new Uint8Array(3 * covered.length);
  covered.forEach((amount, i) => data.fill(Math.round(ground + amount * (stroke - ground)), 3 * i, 3 * i + 3));
  return fit({ width: sizes[0], height: sizes[1], data }, width, height);
}

/** RGB pixels of what a canvas context shows. */
function pictureOfCanvas(context) {
  const { width, height } = context.canvas;
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, data: data.filter((_, i) => i % 4 !== 3) };
}

if (typeof module !== "undefined") module.exports = { fit };
