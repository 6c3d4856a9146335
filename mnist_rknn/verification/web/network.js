// The INT8 network, in integers, as the NPU computes it. Nothing here is a library.
//
// An INT8 number q stands for the real number (q - zeroPoint) * scale. A layer multiplies and
// adds integers only; once for each result it goes back to INT8, by one division and by rounding.
"use strict";

// --- what the pipeline has written -----------------------------------------------------

/** Numbers that stand in the page as base64 text; `Kind` is their array, such as Int8Array. */
function numbers(text, Kind) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Kind(bytes.buffer);
}

/**
 * The network of the page, ready to run.
 *
 * Weights lose their zero point here, which leaves whole numbers from -255 to 255. Beside each
 * INT8 weight the page has what was lost by rounding it, in 1/256 of a step; the two together are
 * the float weight to 1/512 of a step.
 */
function readNetwork(model) {
  const layers = [];
  let input = model.input;
  for (const written of model.layers) {
    const layer = { ...written, input };
    if (written.kind === "convolution") {
      const channels = layer.shape[0]; // at each place of the window, a weight for each of them
      const scales = numbers(written.weightScales, Float32Array);
      const zeroPoints = numbers(written.weightZeroPoints, Int16Array);
      const int8 = numbers(written.weights, Int8Array);
      layer.weights = Int32Array.from(int8, (q, i) => q - zeroPoints[i % channels]);
      layer.bias = numbers(written.bias, Int32Array);
      layer.divisors = numbers(written.divisors, Float32Array);
      const rest = written.rest && numbers(written.rest, Int8Array);
      layer.floatWeights = rest && Float32Array.from(layer.weights, (weight, i) =>
        (weight + rest[i] / 256) * scales[i % channels]);
      layer.floatBias = numbers(written.floatBias, Float32Array);
    }
    layers.push(layer);
    input = layer;
  }
  return { ...model, table: numbers(model.input.table, Int8Array), layers };
}

// --- a layer ---------------------------------------------------------------------------

/** A whole number next to x; of two that are equally near, the even one, as onnxruntime does. */
function roundHalfToEven(x) {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

function clamp(x, lowest, highest) {
  return Math.max(lowest, Math.min(highest, x));
}

/**
 * Call `use(place)` for every place of a layer's window on its input.
 *
 * By then, `patch` holds the input under the window, channel by channel, less the zero point;
 * outside of the picture it holds 0.
 */
function walk(layer, values, patch, use) {
  const [channels, height, width] = layer.input.shape;
  const [, rows, columns] = layer.shape;
  const [kernelHeight, kernelWidth] = layer.kernel;
  const zeroPoint = layer.input.zeroPoint;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const top = row * layer.stride[0] - layer.padding[0];
      const left = column * layer.stride[1] - layer.padding[1];
      let i = 0;
      for (let channel = 0; channel < channels; channel++) {
        for (let y = top; y < top + kernelHeight; y++) {
          const start = (channel * height + y) * width;
          for (let x = left; x < left + kernelWidth; x++) {
            const inside = y >= 0 && y < height && x >= 0 && x < width;
            patch[i++] = inside ? values[start + x] - zeroPoint : 0;
          }
        }
      }
      use(row * columns + column);
    }
  }
}

/** A convolution of INT8 numbers; one that covers its whole input is a fully connected layer. */
function convolve(layer, values) {
  const [channels, rows, columns] = layer.shape;
  const { weights, divisors, zeroPoint } = layer;
  const output = new Int8Array(channels * rows * columns);
  const sums = new Int32Array(channels);
  const patch = new Int32Array(weights.length / channels);
  const lowest = layer.relu ? Math.max(-128, zeroPoint) : -128; // ReLU: nothing below 0.0
  walk(layer, values, patch, (place) => {
    sums.set(layer.bias);
    for (let i = 0, w = 0; i < patch.length; i++, w += channels) {
      const value = patch[i];
      if (value === 0) continue; // more than half of what a ReLU lets through
      for (let c = 0; c < channels; c++) sums[c] += Math.imul(value, weights[w + c]);
    }
    for (let c = 0; c < channels; c++) {
      // The one division with a real number, in float32 as everywhere.
      const steps = roundHalfToEven(Math.fround(sums[c] / divisors[c])) + zeroPoint;
      output[c * rows * columns + place] = clamp(steps, lowest, 127);
    }
  });
  return output;
}

/** The same convolution of real numbers, for comparison. */
function convolveFloat(layer, values) {
  const [channels, rows, columns] = layer.shape;
  const { floatWeights } = layer;
  const output = new Float32Array(channels * rows * columns);
  const sums = new Float64Array(channels);
  const patch = new Float32Array(floatWeights.length / channels);
  const real = { ...layer, input: { ...layer.input, zeroPoint: 0 } };
  walk(real, values, patch, (place) => {
    sums.set(layer.floatBias);
    for (let i = 0, w = 0; i < patch.length; i++, w += channels) {
      const value = patch[i];
      if (value === 0) continue;
      for (let c = 0; c < channels; c++) sums[c] += value * floatWeights[w + c];
    }
    for (let c = 0; c < channels; c++) {
      output[c * rows * columns + place] = layer.relu ? Math.max(sums[c], 0) : sums[c];
    }
  });
  return output;
}

/** The largest number under the window, of each channel. Works on INT8 and on float. */
function maxPool(layer, values) {
  const [channels, rows, columns] = layer.shape;
  const [, height, width] = layer.input.shape;
  const output = new values.constructor(channels * rows * columns);
  let i = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const top = row * layer.stride[0] - layer.padding[0];
        const left = column * layer.stride[1] - layer.padding[1];
        let largest = -Infinity;
        for (let y = Math.max(top, 0); y < Math.min(top + layer.kernel[0], height); y++) {
          for (let x = Math.max(left, 0); x < Math.min(left + layer.kernel[1], width); x++) {
            largest = Math.max(largest, values[(channel * height + y) * width + x]);
          }
        }
        output[i++] = largest;
      }
    }
  }
  return output;
}

// --- the network -----------------------------------------------------------------------

/** RGB pixels in rows as numbers, channel by channel; `convert` takes a channel and a pixel. */
function readPixels(network, pixels, Kind, convert) {
  const [, height, width] = network.input.shape;
  const output = new Kind(3 * height * width);
  for (let i = 0, channel = 0; channel < 3; channel++) {
    const source = network.colorOrder === "bgr" ? 2 - channel : channel;
    for (let place = source; place < pixels.length; place += 3) {
      output[i++] = convert(channel, pixels[place]);
    }
  }
  return output;
}

/**
 * Run the INT8 network.
 *
 * @param pixels RGB, three numbers from 0 to 255 a pixel, row by row, of the network's input size.
 * @returns what each layer computed (Int8Array [channels, height, width]), the input first; the
 *   last ones are the logits.
 */
function runInt8(network, pixels) {
  const lookUp = (channel, pixel) => network.table[256 * channel + pixel];
  return runLayers(network, readPixels(network, pixels, Int8Array, lookUp), convolve);
}

/** Run the network in float; null where the page has no room for the float weights. */
function runFloat(network, pixels) {
  if (!network.layers.every((layer) => layer.kind !== "convolution" || layer.floatWeights)) {
    return null;
  }
  const { mean, std } = network;
  const normalize = (channel, pixel) => (pixel - mean[channel]) / std[channel];
  return runLayers(network, readPixels(network, pixels, Float32Array, normalize), convolveFloat);
}

function runLayers(network, input, convolution) {
  const results = [input];
  for (const layer of network.layers) {
    const values = results[results.length - 1];
    results.push(layer.kind === "convolution" ? convolution(layer, values) : maxPool(layer, values));
  }
  return results;
}

/** The real numbers that INT8 numbers of a layer stand for. */
function toReal(layer, values) {
  return Array.from(values, (q) => (q - layer.zeroPoint) * layer.scale);
}

/** Probabilities of the classes, by Softmax of the logits. */
function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** Position of the largest number. */
function argmax(values) {
  return values.indexOf(Math.max(...values));
}

if (typeof module !== "undefined") {
  module.exports = { readNetwork, runInt8, runFloat, toReal, softmax, argmax };
}
