// Runs the page's own scripts in node: node try_page.js WEB TASK < input, JSON to the output.
"use strict";
const { join } = require("node:path");
const { readFileSync } = require("node:fs");

const [, , web, task] = process.argv;
const load = (name) => require(join(web, name));
const input = JSON.parse(readFileSync(0, "utf8"));
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));

const tasks = {
  /** Logits, INT8 and float, of pictures. */
  classify({ page, pictures }) {
    const { readNetwork, runInt8, runFloat, toReal } = load("network.js");
    const content = /<script type="application\/json" id="content">(.*?)<\/script>/s;
    const network = readNetwork(JSON.parse(content.exec(readFileSync(page, "utf8"))[1]).network);
    return pictures.map(bytes).map((pixels) => ({
      int8: toReal(network.layers.at(-1), runInt8(network, pixels).at(-1)),
      float: runFloat(network, pixels) && Array.from(runFloat(network, pixels).at(-1)),
    }));
  },
  /** Pictures squeezed to a size. */
  fit({ pictures, width, height }) {
    const { fit } = load("picture.js");
    return pictures.map((picture) => {
      const found = fit({ ...picture, data: bytes(picture.data) }, width, height);
      return Buffer.from(found.data).toString("base64");
    });
  },
  /** What files are, or the key of the sentence that refuses them. */
  examine({ files }) {
    const { examine, UploadProblem } = load("upload.js");
    return files.map((file) => {
      try {
        return examine(bytes(file));
      } catch (error) {
        if (error instanceof UploadProblem) return error.key;
        throw error;
      }
    });
  },
};

process.stdout.write(JSON.stringify(tasks[task](input)));
