// Reads handwritten digits on the Lockzhiner Vision Module: the C++ twin of
// deploy/python/digits.py, with the same options.
//
//   digits MODEL [--labels FILE] [--image FILE.bmp] [--whole] [--doubt [P]] [--no-viewer]
//                [--bench N] [--golden FOLDER [--log FILE]]

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <lockzhiner_vision_module/edit/edit.h>
#include <lockzhiner_vision_module/vision/deep_learning/classification/paddle_clas.h>
#include <lockzhiner_vision_module/vision/deep_learning/runtime/rknpu2_backend/rknpu2_backend.h>
#include <memory>
#include <numeric>
#include <opencv2/core.hpp>
#include <opencv2/highgui.hpp>
#include <opencv2/imgproc.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "golden.hpp"
#include "locator.hpp"
#include "reading.hpp"

namespace {

namespace vision = lockzhiner_vision_module::vision;
using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t stopped = 0;

constexpr int64_t kMostPixels = 50'000'000;  // of a picture

using Mistake = std::runtime_error;  // something the user can mend, in one line

struct Options {
  std::string model, labels, image, golden, log;
  bool whole = false, viewer = true;
  double doubt = 0;
  int bench = 0;
};

Options parsed(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == argc) throw Mistake(name + " needs a value");
      return argv[++i];
    };
    if (name == "--labels") options.labels = value();
    else if (name == "--image") options.image = value();
    else if (name == "--golden") options.golden = value();
    else if (name == "--log") options.log = value();
    else if (name == "--whole") options.whole = true;
    else if (name == "--no-viewer") options.viewer = false;
    else if (name == "--doubt") {
      // A number may follow: anything else is the next argument.
      const std::string text = i + 1 < argc ? argv[i + 1] : "";
      char* end = nullptr;
      const double given = std::strtod(text.c_str(), &end);
      const bool follows = !text.empty() && !*end;
      options.doubt = follows ? given : digits::kDoubt;
      i += follows;
      if (!(options.doubt >= 0 && options.doubt <= 1)) throw Mistake("--doubt: from 0 to 1");
    } else if (name == "--bench") {
      options.bench = std::atoi(value().c_str());
      if (options.bench < 1) throw Mistake("--bench: at least 1 frame");
    } else if (name[0] == '-' || !options.model.empty()) {
      throw Mistake("unknown argument " + name);
    } else {
      options.model = name;
    }
  }
  if (options.model.empty()) {
    throw Mistake("usage: digits MODEL [--labels FILE] [--image FILE.bmp] [--whole] [--doubt [P]] "
                  "[--no-viewer] [--bench N] [--golden FOLDER [--log FILE]]");
  }
  if (!options.log.empty() && options.golden.empty()) throw Mistake("--log belongs to --golden");
  return options;
}

// --- frames --------------------------------------------------------------------------

// A Windows bitmap of 24 bits without compression, as BGR.
cv::Mat read_bmp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Mistake(path + " cannot be read");
  const std::vector<uchar> content{std::istreambuf_iterator<char>(file), {}};
  const auto number = [&content](size_t at, int bytes) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= static_cast<uint32_t>(content[at + i]) << (8 * i);
    return value;
  };
  const Mistake refused(path + " is not a whole 24-bit BMP without compression: save it anew");
  if (content.size() < 54 || content[0] != 'B' || content[1] != 'M') throw refused;
  const int64_t width = static_cast<int32_t>(number(18, 4));
  const int64_t height = static_cast<int32_t>(number(22, 4));
  const int64_t rows = std::abs(height), stride = (width * 3 + 3) / 4 * 4;
  if (width * rows > kMostPixels) {
    throw Mistake(path + ": " + std::to_string(width) + " x " + std::to_string(rows) +
                  " pixels are no camera frame: make it smaller");
  }
  if (number(28, 2) != 24 || number(30, 4) != 0 || width < 1 || rows < 1 ||
      number(10, 4) + stride * rows > static_cast<int64_t>(content.size())) {
    throw refused;
  }
  cv::Mat picture(static_cast<int>(rows), static_cast<int>(width), CV_8UC3);
  for (int64_t y = 0; y < rows; ++y) {
    const int64_t row = height > 0 ? rows - 1 - y : y;  // mostly from the bottom up
    const uchar* from = content.data() + number(10, 4) + row * stride;
    std::copy(from, from + width * 3, picture.ptr(static_cast<int>(y)));
  }
  return picture;
}

// The camera, or one picture again and again.
class Frames {
 public:
  explicit Frames(const std::string& image) {
    if (!image.empty()) {
      picture_ = read_bmp(image);
    } else if (!camera_.open(0)) {
      throw Mistake("the camera does not open: does another program use it?");
    }
  }

  cv::Mat read() {
    if (!picture_.empty()) return picture_.clone();
    cv::Mat frame;
    camera_ >> frame;  // opencv-mobile's VideoCapture has no read()
    if (frame.empty()) throw Mistake("the camera gives no frame: is its cable in place?");
    return frame;
  }

 private:
  cv::VideoCapture camera_;
  cv::Mat picture_;
};

// --- reading digits ------------------------------------------------------------------

struct Answer {
  cv::Rect box;
  std::string name, text;  // the name, and what is printed
  double score;
};

struct Reader {
  vision::PaddleClas model;
  std::vector<std::string> labels;  // empty: numbers are printed
  bool whole = false;
  double doubt = 0;  // a digit read with less certainty is `?` with its candidates
  std::vector<double> locations, crops, predictions;  // seconds of each stage
  int more = 0;  // digits of the last frame beyond those that were read

  std::string name_of(int label) const {
    if (labels.empty()) return std::to_string(label);
    if (label < 0 || label >= static_cast<int>(labels.size())) {
      throw Mistake("the model answered class " + std::to_string(label) + ", but there are " +
                    std::to_string(labels.size()) + " labels: the labels are not this model's");
    }
    return labels[static_cast<size_t>(label)];
  }

  void say_more() const {
    if (!more) return;
    std::printf("%d digits more than %zu: the first are read\n", more, digits::kMostDigits);
  }

  Answer answer_of(const digits::Digit& digit) const {
    const std::string name = name_of(digit.label);
    char score[32];
    std::snprintf(score, sizeof score, "%.2f", digit.score);
    if (digit.score >= doubt) return {digit.box, name, name + " (" + score + ")", digit.score};
    const std::string second = digit.second < 0 ? "" : " or " + name_of(digit.second);
    return {digit.box, "?", "? (" + name + second + ", " + score + ")", digit.score};
  }

  std::vector<Answer> read(const cv::Mat& frame) {
    const size_t first = predictions.size();
    const auto classify = [this](const cv::Mat& picture) -> std::pair<int, double> {
      const auto start = Clock::now();
      const auto result = model.Predict(picture);
      predictions.push_back(std::chrono::duration<double>(Clock::now() - start).count());
      return {static_cast<int>(result.label_id), static_cast<double>(result.score)};
    };
    std::vector<digits::Digit> found;
    if (whole) {
      const auto [label, score] = classify(frame.clone());
      found.push_back({{0, 0, frame.cols, frame.rows}, label, score, -1});
    } else {
      const auto start = Clock::now();
      const digits::Page page(frame);
      const auto located = Clock::now();
      digits::Reading all = digits::read_page(page, classify, doubt);
      found = std::move(all.digits);
      more = all.more;
      const std::chrono::duration<double> locating = located - start,
                                          reading = Clock::now() - located;
      locations.push_back(locating.count());
      crops.push_back(reading.count() - std::accumulate(predictions.begin() +
                                                            static_cast<long>(first),
                                                        predictions.end(), 0.0));
    }
    std::vector<Answer> answers;
    for (const digits::Digit& digit : found) answers.push_back(answer_of(digit));
    return answers;
  }
};

void draw(cv::Mat& frame, const std::vector<Answer>& found) {
  const cv::Scalar green(0, 200, 0);
  const int thick = std::max(1, frame.rows / 240);
  for (const Answer& digit : found) {
    char text[64];
    std::snprintf(text, sizeof text, "%s %.0f%%", digit.name.c_str(), 100 * digit.score);
    cv::rectangle(frame, digit.box, green, thick);
    cv::putText(frame, text, {digit.box.x, std::max(12, digit.box.y - 4)},
                cv::FONT_HERSHEY_SIMPLEX, frame.rows / 800.0, green, thick);
  }
}

std::vector<std::string> read_labels(const std::string& given, const std::string& model) {
  const std::string folder = model.substr(0, model.rfind('/') + 1);
  const std::string path = given.empty() ? folder + "labels.txt" : given;
  std::ifstream file(path);
  if (!file && !given.empty()) {
    throw Mistake(path + " cannot be read: copy labels.txt beside the model");
  }
  std::vector<std::string> labels;
  for (std::string line; std::getline(file, line);) labels.push_back(line);
  return labels;
}

using Viewer = std::unique_ptr<lockzhiner_vision_module::edit::Edit>;

// The maker's viewer. Waits until it connects, for as long as that takes.
Viewer open_viewer(bool wanted) {
  if (!wanted) return nullptr;
  Viewer viewer(new lockzhiner_vision_module::edit::Edit);
  std::puts("waiting for the viewer on the PC to connect (--no-viewer does without)");
  std::fflush(stdout);
  viewer->StartAndAcceptConnection();
  return viewer;
}

// A line is printed when the answer changes, at most one a second otherwise.
void run(Reader& reader, Frames& frames, const Viewer& viewer, bool once) {
  std::string last = "nothing printed yet";
  auto printed = Clock::now();
  while (!stopped) {
    cv::Mat frame = frames.read();
    const std::vector<Answer> found = reader.read(frame);
    std::string answer, line;
    for (const Answer& digit : found) {
      answer += digit.name + "\n";
      line += (line.empty() ? "" : " ") + digit.text;
    }
    if (viewer) {
      draw(frame, found);
      viewer->Print(frame);
    }
    if (answer != last || Clock::now() - printed >= std::chrono::seconds(1)) {
      std::puts(line.empty() ? "no digit" : line.c_str());
      reader.say_more();
      std::fflush(stdout);
      last = answer;
      printed = Clock::now();
    }
    if (once) return;
  }
  std::puts("stopped");
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// Frames a second of the whole call, and of `Predict` alone, as medians.
void bench(Reader& reader, Frames& frames, const Viewer& viewer, int count) {
  std::vector<double> calls;
  size_t digits = 0;
  for (int i = 0; i < count && !stopped; ++i) {
    const auto start = Clock::now();
    cv::Mat frame = frames.read();
    const std::vector<Answer> found = reader.read(frame);
    draw(frame, found);
    calls.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    digits += found.size();
    if (viewer) viewer->Print(frame);
  }
  if (calls.empty()) return;
  const double call = median(calls);
  std::printf("%.1f frames/s for capture, locate, crop, classify and draw "
              "(median of %zu: %.2f ms, %.1f digits a frame)\n",
              1 / call, calls.size(), 1000 * call,
              static_cast<double>(digits) / static_cast<double>(calls.size()));
  reader.say_more();
  if (!reader.whole) {
    std::printf("locate %.2f ms, crop %.2f ms a frame (medians)\n",
                1000 * median(reader.locations), 1000 * median(reader.crops));
  }
  if (reader.predictions.empty()) {
    std::puts("predict was never called: no digit in any frame (--whole takes the whole frame)");
    return;
  }
  const double single = median(reader.predictions);
  std::printf("%.1f calls/s for predict alone (median of %zu: %.2f ms)\n", 1 / single,
              reader.predictions.size(), 1000 * single);
}

// --- golden pack ---------------------------------------------------------------------

Mistake refused_model(const std::string& model) {
  return Mistake("the module refused " + model + ": was it built for rv1106, and copied whole?");
}

struct Classified {
  int label;
  float score;
};

// What the SDK's classifier, which the demo uses, says of each picture of a golden pack.
std::vector<Classified> classified(const std::string& model, digits::Golden& golden) {
  vision::PaddleClas classifier;
  if (!classifier.Initialize(model)) throw refused_model(model);
  std::vector<Classified> answers;
  const int height = static_cast<int>(golden.height), width = static_cast<int>(golden.width);
  const size_t bytes = golden.content.size() / golden.images;
  for (size_t i = 0; i < golden.images; ++i) {
    const cv::Mat picture(height, width, CV_8UC3, golden.content.data() + i * bytes);
    cv::Mat frame = picture.clone();  // a frame of the module is BGR
    if (golden.rgb) cv::cvtColor(picture, frame, cv::COLOR_RGB2BGR);
    const auto result = classifier.Predict(frame);
    answers.push_back({static_cast<int>(result.label_id), static_cast<float>(result.score)});
  }
  return answers;
}

// Log what the SDK's classifier answers to a golden pack, and the INT8 logits of the raw backend: the
// first shows what the SDK does to a picture, the second what the NPU does.
void run_golden(const std::string& model, const std::string& folder, const std::string& log) {
  digits::Golden golden = digits::read_golden(folder);
  const std::vector<Classified> answers = classified(model, golden);
  vision::RKNPU2Backend backend;
  if (!backend.Initialize(model)) throw refused_model(model);
  // `auto` and plain casts: the exact types of these calls are not published.
  auto&& input = backend.GetInputTensor(0);
  auto&& output = backend.GetOutputTensor(0);
  const auto dims = input.GetDims();  // N, H, W, C
  const size_t bytes = golden.height * golden.width * 3;
  if (dims.size() != 4 || static_cast<size_t>(dims[1]) != golden.height ||
      static_cast<size_t>(dims[2]) != golden.width || dims[3] != 3) {
    throw Mistake("the model's input is not the golden pack's size: they are of different runs");
  }
  if (static_cast<size_t>(input.GetElemsBytes()) != bytes) {
    throw Mistake("the rows of the model's input have a stride: its width must be a multiple of 16");
  }
  const auto* logits = (const int8_t*)output.GetData();
  size_t classes = 1;  // by the shape: the memory behind it may be padded
  for (const auto side : output.GetDims()) classes *= static_cast<size_t>(side);
  if (!logits || classes > static_cast<size_t>(output.GetElemsBytes())) {
    throw Mistake("the model has no INT8 output");
  }

  digits::GoldenLog lines(log, golden);
  for (size_t i = 0; i < golden.images; ++i) {
    const auto* picture = golden.content.data() + i * bytes;
    std::copy(picture, picture + bytes, (uint8_t*)input.GetData());
    if (!backend.Run()) throw Mistake("the NPU did not run the model: see dmesg");
    lines.add(i, answers[i].label, answers[i].score, {logits, logits + classes});
  }
  lines.finish();
  std::printf("%zu pictures, written to %s\n", golden.images, log.c_str());
}

void read_and_show(const Options& options) {
  if (!std::ifstream(options.model)) throw Mistake("there is no model " + options.model);
  if (!options.golden.empty()) {
    const std::string log = options.log.empty() ? options.golden + "/cpp.jsonl" : options.log;
    return run_golden(options.model, options.golden, log);
  }
  Reader reader;
  reader.labels = read_labels(options.labels, options.model);
  reader.whole = options.whole;
  reader.doubt = options.doubt;
  if (!reader.model.Initialize(options.model)) throw refused_model(options.model);
  Frames frames(options.image);
  const Viewer viewer = open_viewer(options.viewer);
  if (options.bench) return bench(reader, frames, viewer, options.bench);
  run(reader, frames, viewer, !options.image.empty());
}

}  // namespace

int main(int argc, char** argv) {
  digits::keep_memory();
  std::signal(SIGINT, [](int) { stopped = 1; });
  try {
    read_and_show(parsed(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
