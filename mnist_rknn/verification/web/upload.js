// What a chosen file is, found out from its bytes before the browser unpacks it: browsers show the
// first frame of an animation and the upper half of half a JPEG without a word.
"use strict";

const MOST_MEGAPIXELS = 64;
const MOST_MEGABYTES = 100;

/** A file that cannot be read; `key` is its sentence in the page's table, `values` go into it. */
class UploadProblem extends Error {
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

function text(bytes, start, length) {
  return String.fromCharCode(...bytes.subarray(start, start + length));
}

/** How files begin, and what looks at their bytes: { width, height, animated, whole }. */
const FORMATS = [
  { begins: { 0: "\x89PNG" }, read: readPng },
  { begins: { 0: "\xff\xd8" }, read: readJpeg },
  { begins: { 0: "GIF8" }, read: readGif },
  { begins: { 0: "RIFF", 8: "WEBP" }, read: readWebp },
  { begins: { 0: "BM" }, read: readBmp },
];

function readPng(bytes, view) {
  const found = { width: view.getUint32(16), height: view.getUint32(20), animated: false, whole: false };
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const kind = text(bytes, at + 4, 4);
    if (kind === "acTL") found.animated = view.getUint32(at + 8) > 1;
    if (kind === "IEND") found.whole = true;
  }
  return found;
}

function readJpeg(bytes, view) {
  const found = { width: 0, height: 0, animated: false, whole: false };
  let at = 2, pixels = false;
  while (at + 9 < bytes.length && bytes[at] === 0xff && !pixels) {
    const marker = bytes[at + 1];
    if (marker === 0xff) { at += 1; continue; } // a fill byte
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) [found.height, found.width] = [view.getUint16(at + 5), view.getUint16(at + 7)];
    at += 2 + view.getUint16(at + 2);
    pixels = marker === 0xda; // they begin here
  }
  for (; pixels && at + 1 < bytes.length && !found.whole; at++) {
    found.whole = bytes[at] === 0xff && bytes[at + 1] === 0xd9;
  }
  return found;
}

function readGif(bytes, view) {
  const found = { width: view.getUint16(6, true), height: view.getUint16(8, true), animated: false, whole: false };
  const colours = (flags) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  let at = 13 + colours(bytes[10]), frames = 0;
  while (at < bytes.length && bytes[at] !== 0x3b) {
    if (bytes[at] === 0x2c) {
      frames += 1;
      at += 11 + colours(bytes[at + 9]);
    } else if (bytes[at] === 0x21) at += 2;
    else return found; // no block begins so: damaged
    while (at < bytes.length && bytes[at] !== 0) at += 1 + bytes[at];
    at += 1;
  }
  return { ...found, animated: frames > 1, whole: at < bytes.length && frames > 0 };
}

function readWebp(bytes, view) {
  const kind = text(bytes, 12, 4);
  const found = { width: 0, height: 0, animated: false, whole: bytes.length >= 8 + view.getUint32(4, true) };
  if (bytes.length < 30) return { ...found, whole: false };
  if (kind === "VP8X") {
    found.animated = (bytes[20] & 2) !== 0;
    found.width = 1 + (view.getUint32(24, true) & 0xffffff);
    found.height = 1 + (view.getUint32(26, true) >>> 8);
  } else if (kind === "VP8L") {
    const sizes = view.getUint32(21, true);
    [found.width, found.height] = [1 + (sizes & 0x3fff), 1 + ((sizes >>> 14) & 0x3fff)];
  } else if (kind === "VP8 ") {
    found.width = view.getUint16(26, true) & 0x3fff;
    found.height = view.getUint16(28, true) & 0x3fff;
  }
  return found;
}

function readBmp(bytes, view) {
  const [width, height] = [Math.abs(view.getInt32(18, true)), Math.abs(view.getInt32(22, true))];
  return { width, height, animated: false, whole: bytes.length >= view.getUint32(2, true) };
}

/**
 * Look at a file's bytes.
 *
 * @returns { width, height } of a still, whole picture.
 * @throws UploadProblem for everything else.
 */
function examine(bytes) {
  const format = FORMATS.find(({ begins }) =>
    Object.entries(begins).every(([at, sign]) => text(bytes, Number(at), sign.length) === sign));
  if (!format) throw new UploadProblem("no_picture");
  let found = null;
  try {
    found = format.read(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UploadProblem("cut_short"); // its header ends too early
  }
  const megapixels = (found.width * found.height) / 1e6;
  if (megapixels > MOST_MEGAPIXELS) {
    throw new UploadProblem("too_large", { has: Math.round(megapixels), most: MOST_MEGAPIXELS });
  }
  if (!found.whole) throw new UploadProblem("cut_short");
  if (found.animated) throw new UploadProblem("animated");
  if (!found.width || !found.height) throw new UploadProblem("no_picture");
  return found;
}

/** A chosen file as a picture that can be drawn, turned as the camera noted. */
async function openPicture(file) {
  if (file.size > MOST_MEGABYTES * 1e6) {
    throw new UploadProblem("too_heavy", { has: Math.round(file.size / 1e6), most: MOST_MEGABYTES });
  }
  examine(new Uint8Array(await file.arrayBuffer()));
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new UploadProblem("damaged");
  }
}

if (typeof module !== "undefined") module.exports = { examine, UploadProblem };
