// The page: what is drawn or chosen goes through the network, and everything is shown.
"use strict";

{
  const byId = (id) => document.getElementById(id);
  const content = JSON.parse(byId("content").textContent);
  const tables = JSON.parse(byId("strings").textContent); // a language each
  const language = location.hash.slice(1) in tables ? location.hash.slice(1) : "en";
  const strings = tables[language];
  const network = readNetwork(content.network);
  const [, height, width] = network.input.shape;
  const last = network.layers.at(-1);

  /** A sentence of the table, with values in its places. */
  const say = (key, values = {}) =>
    strings[key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  const count = (number) => number.toLocaleString(language);
  const minus = (text) => String(text).replace("-", "−");
  const short = (number) => minus(Number(number.toPrecision(4)));

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  // --- the language ---------------------------------------------------------------------

  document.documentElement.lang = language;
  document.title = `${content.name}: ${say("title")}`;
  for (const place of document.querySelectorAll("[data-text]")) {
    place.textContent = say(place.dataset.text, content);
  }
  for (const place of document.querySelectorAll("[data-label]")) {
    place.ariaLabel = say(place.dataset.label);
  }
  const others = Object.keys(tables).filter((other) => other !== language);
  byId("languages").append(...others.map((other) =>
    element("a", { href: `#${other}`, lang: other }, tables[other].language)));
  addEventListener("hashchange", () => location.reload());

  // --- what the network says ------------------------------------------------------------

  /** Run the INT8 network on RGB pixels. */
  function classify(pixels) {
    const begun = performance.now();
    const layers = runInt8(network, pixels);
    const milliseconds = performance.now() - begun;
    const logits = Array.from(layers.at(-1));
    return { layers, logits, real: toReal(last, logits), answer: argmax(logits), milliseconds };
  }

  /** Run the network in float; null where the page has no float weights. */
  function classifyFloat(pixels) {
    const begun = performance.now();
    const layers = runFloat(network, pixels);
    return layers && { real: Array.from(layers.at(-1)), milliseconds: performance.now() - begun };
  }

  let shown = null; // the picture whose answer is on the page

  /** INT8 at once; float when that is on the screen. */
  function show(picture) {
    shown = picture;
    const found = classify(picture.data);
    const certainty = softmax(found.real)[found.answer];
    byId("answer").textContent = content.labels[found.answer];
    byId("answer").className = "read";
    byId("certainty").textContent = say("certainty", { percent: (100 * certainty).toFixed(1) });
    byId("by-float").textContent = "";
    byId("time").textContent = say("time_int8", { int8: found.milliseconds.toFixed(1) });
    showSeen(picture);
    showLogits(found, null);
    found.layers.forEach((values, i) => paintMaps(i, values));
    setTimeout(() => { if (shown === picture) showFloat(picture, found); });
  }

  function showFloat(picture, found) {
    const float = classifyFloat(picture.data);
    const byFloat = byId("by-float");
    if (!float) {
      byFloat.className = "soft";
      byFloat.textContent = say("no_float");
      return;
    }
    const answer = argmax(float.real);
    byFloat.className = answer === found.answer ? "soft" : "differs";
    byFloat.textContent = answer === found.answer
      ? say("float_agrees") : say("float_differs", { label: content.labels[answer] });
    byId("time").textContent = say("time", {
      int8: found.milliseconds.toFixed(1), float: float.milliseconds.toFixed(1),
    });
    showLogits(found, float);
  }

  function showNothing() {
    shown = null;
    byId("answer").textContent = say("no_answer");
    byId("answer").className = "";
    for (const id of ["certainty", "by-float", "time"]) byId(id).textContent = "";
    showSeen({ width, height, data: new Uint8Array(3 * width * height).fill(128) });
    showLogits(null, null);
    for (const { canvas } of maps) {
      canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    }
  }

  function showSeen({ width, height, data }) {
    const canvas = byId("seen");
    [canvas.width, canvas.height] = [width, height];
    const image = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = data[3 * i + c];
      image.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    byId("seen-size").textContent = say("seen_size", { width, height });
  }

  // --- the logits -------------------------------------------------------------------------

  const rows = content.labels.map((label) => {
    const bar = element("span", { className: "bar" });
    const mark = element("span", { className: "mark" });
    const zero = element("span", { className: "zero" });
    const numbers = Array.from({ length: 3 }, () => element("td"));
    const track = element("div", { className: "track" }, bar, zero, mark);
    const row = element("tr", {},
      element("th", { scope: "row" }, label),
      element("td", { className: "bars" }, track), ...numbers);
    byId("logits").append(row);
    return { row, bar, mark, zero, numbers };
  });

  function showLogits(found, byFloat) {
    const lowest = toReal(last, [-128])[0], highest = toReal(last, [127])[0];
    const place = (value) => clamp((100 * (value - lowest)) / (highest - lowest), 0, 100);
    rows.forEach(({ row, bar, mark, zero, numbers }, i) => {
      zero.style.left = `${place(0)}%`;
      row.className = found?.answer === i ? "best" : "";
      bar.hidden = mark.hidden = !found;
      numbers.forEach((cell) => { cell.textContent = found ? "" : "–"; cell.className = ""; });
      if (!found) return;
      const real = found.real[i], float = byFloat?.real[i];
      const from = place(Math.min(0, real)), to = place(Math.max(0, real));
      bar.style.left = `${from}%`;
      bar.style.width = `${to - from}%`;
      mark.hidden = float === undefined;
      numbers[0].textContent = minus(found.logits[i]);
      numbers[1].textContent = minus(real.toFixed(2));
      if (float === undefined) return;
      mark.style.left = `${place(float)}%`;
      numbers[2].textContent = minus(float.toFixed(2));
      numbers[2].className = Math.abs(float - real) > last.scale ? "apart" : "";
    });
  }

  // --- the feature maps ---------------------------------------------------------------------

  function nameOf(layer, i) {
    if (i === 0) return say("input_layer");
    const kernel = layer.kernel.join(" × ");
    const whole = layer.kernel.every((side, axis) => side === layer.input.shape[axis + 1]);
    if (layer.kind === "maxPool") return whole ? say("global_max_pool") : say("max_pool", { kernel });
    if (i === network.layers.length) return say("fully_connected");
    return say(layer.relu ? "convolution_relu" : "convolution", { kernel });
  }

  const maps = [network.input, ...network.layers].map((layer, i) => {
    const [channels, tall, wide] = layer.shape;
    // As many channels beside each other as make the sheet about twice as wide as high.
    const across = Math.min(channels, Math.ceil(Math.sqrt((2 * channels * tall) / wide)));
    const zoom = Math.max(1, Math.ceil(8 / wide)); // a single number is a tile of 8 pixels
    const canvas = element("canvas", {
      width: across * (wide * zoom + 1) - 1,
      height: Math.ceil(channels / across) * (tall * zoom + 1) - 1,
    });
    const name = `${i}. ${nameOf(layer, i)}`;
    const size = say("map", {
      channels, height: tall, width: wide, scale: short(layer.scale),
      zero_point: minus(layer.zeroPoint),
    });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${name}: ${size}`);
    byId("layers").append(element("figure", {},
      element("figcaption", {}, element("b", {}, name), element("br"),
        element("span", { className: "soft" }, size)), canvas));
    return { canvas, across, zoom };
  });

  function paintMaps(i, values) {
    const { canvas, across, zoom } = maps[i];
    const [channels, tall, wide] = (i ? network.layers[i - 1] : network.input).shape;
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    let low = 127, high = -128;
    for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
    const span = Math.max(high - low, 1);
    for (let channel = 0; channel < channels; channel++) {
      const left = (channel % across) * (wide * zoom + 1);
      const top = Math.floor(channel / across) * (tall * zoom + 1);
      for (let y = 0; y < tall * zoom; y++) {
        for (let x = 0; x < wide * zoom; x++) {
          const from = (channel * tall + Math.floor(y / zoom)) * wide + Math.floor(x / zoom);
          const share = (values[from] - low) / span;
          const to = 4 * ((top + y) * canvas.width + left + x);
          image.data[to] = 20 + 235 * share ** 1.5; // from dark blue to pale yellow
          image.data[to + 1] = 24 + 222 * share;
          image.data[to + 2] = 60 + 110 * share;
          image.data[to + 3] = 255;
        }
      }
    }
    context.putImageData(image, 0, 0);
  }

  // --- what is put in -------------------------------------------------------------------------

  const { looks, asMnist } = content.look;
  const current = { draw: null, photo: null, tests: null }; // the last picture of each
  let source = "draw";

  function use(kind, picture) {
    current[kind] = picture;
    if (kind !== source) return;
    if (picture) show(picture);
    else showNothing();
  }

  const canvas = byId("drawing");
  canvas.width = 560;
  canvas.height = Math.round((560 * height) / width);
  const chosenLook = () => document.querySelector('input[name="look"]:checked').value;
  const drawing = drawingArea(canvas, (strokes) => {
    use("draw", strokes.length
      ? pictureOfStrokes(strokes, chosenLook(), asMnist, width, height) : null);
  }, (key) => { byId("pen").textContent = say(key); });
  byId("clear").addEventListener("click", () => drawing.clear());
  byId("undo").addEventListener("click", () => drawing.undo());
  byId("looks").hidden = looks.length === 1;
  for (const radio of document.querySelectorAll('input[name="look"]')) {
    radio.checked = radio.value === looks[0];
    radio.addEventListener("change", () => drawing.use(chosenLook()));
  }
  if (!asMnist) {
    for (const hint of ["draw", "photo"]) byId(`${hint}-hint`).textContent = say(`${hint}_hint_other`);
  }

  const photo = photograph(byId("photograph"), width / height, (picture) => {
    use("photo", fit(picture, width, height));
  });
  byId("photo-unseen").hidden = looks.includes("paper");
  byId("smaller").addEventListener("click", () => photo.resize(0.9));
  byId("larger").addEventListener("click", () => photo.resize(1 / 0.9));
  byId("file").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    byId("problem").textContent = "";
    try {
      const bitmap = await openPicture(file);
      byId("photo-shown").hidden = false;
      photo.show(bitmap);
    } catch (error) {
      if (!(error instanceof UploadProblem)) throw error;
      byId("photo-shown").hidden = true;
      use("photo", null);
      byId("problem").textContent = say(error.key, error.values);
    }
  });

  content.examples.forEach((png, i) => {
    const image = element("img", { src: `data:image/png;base64,${png}`, width, height });
    image.alt = say("test_picture", { number: i + 1 });
    const button = element("button", { type: "button" }, image);
    button.addEventListener("click", () => {
      const context = element("canvas", { width, height }).getContext("2d");
      context.drawImage(image, 0, 0);
      use("tests", pictureOfCanvas(context));
    });
    byId("examples").append(button);
  });

  for (const radio of document.querySelectorAll('input[name="source"]')) {
    radio.addEventListener("change", () => {
      source = radio.value;
      for (const kind of Object.keys(current)) byId(kind).hidden = kind !== source;
      use(source, current[source]);
    });
  }

  // --- once ---------------------------------------------------------------------------------

  const { agreement, golden } = content;
  byId("logits-hint").textContent =
    say("logits_hint", { shift: minus(last.zeroPoint < 0 ? `+ ${-last.zeroPoint}` : `- ${last.zeroPoint}`), scale: short(last.scale) });
  byId("how-exact").textContent = say("how_exact", {
    ...Object.fromEntries(Object.entries(agreement).map(([name, value]) => [name, count(value)])),
    golden_equal: count(golden.equal), golden_logits: count(golden.logits),
  });
  const near = agreement.equal < agreement.logits; // a rounding here and there, or more?
  const rounding = agreement.equal > 0.9 * agreement.logits;
  byId("how-near").textContent = near ? say(rounding ? "how_rounding" : "how_inexact") : "";
  byId("how-graph").textContent = say("how_graph", { file: content.graph });
  byId("how-float").hidden = !network.layers.some((layer) => layer.floatWeights);
  drawing.use(looks[0]);
  // The first runs are slow: the browser translates the code while it runs. So not the user's.
  setTimeout(() => {
    const pixels = new Uint8Array(3 * width * height).map((_, i) => (i % 7) * 40);
    for (let i = 0; i < 3; i++) { classify(pixels); classifyFloat(pixels); }
  });

  /** For tests, and for a browser's console: tryPage.classify(tryPage.picture().data).logits */
  globalThis.tryPage = { classify, classifyFloat, picture: () => current[source] };
}
