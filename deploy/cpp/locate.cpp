// Prints the boxes that the locator finds in raw frames, the side and the checksums of their crops,
// and what a made-up classifier reads there, one JSON line a frame. For the PC: it is how the tests
// compare it with the Python locator.
//
//   locate WIDTH HEIGHT FRAME.bgr...

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "locator.hpp"
#include "reading.hpp"

namespace {

// Adler-32 (RFC 1950), as zlib.adler32 in Python.
unsigned checksum(const cv::Mat& picture) {
  unsigned a = 1, b = 0;
  const size_t bytes = picture.total() * picture.elemSize();
  for (size_t i = 0; i < bytes; ++i) {
    a = (a + picture.data[i]) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

// An answer that hangs on every byte, and is sure or not: all ways of cutting digits are taken.
std::pair<int, double> made_up(const cv::Mat& picture) {
  const unsigned number = checksum(picture);
  return {static_cast<int>(number % 10), number / 10 % 101 / 100.0};
}

}  // namespace

int main(int argc, char** argv) {
  digits::keep_memory();
  const int width = argc > 3 ? std::atoi(argv[1]) : 0;
  const int height = argc > 3 ? std::atoi(argv[2]) : 0;
  if (width < 1 || height < 1 || width > 16384 || height > 16384) {
    std::fprintf(stderr, "error: usage: locate WIDTH HEIGHT FRAME.bgr...\n");
    return 1;
  }
  cv::Mat frame(height, width, CV_8UC3);
  const std::streamsize size = static_cast<std::streamsize>(frame.total() * frame.elemSize());
  for (int i = 3; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file.read(reinterpret_cast<char*>(frame.data), size) || file.peek() != EOF) {
      std::fprintf(stderr, "error: %s is not a frame of %ld bytes (BGR, %d x %d)\n", argv[i],
                   static_cast<long>(size), width, height);
      return 1;
    }
    const auto start = std::chrono::steady_clock::now();
    const digits::Page page(frame);
    const auto located = std::chrono::steady_clock::now();
    std::vector<cv::Mat> crops;
    for (const cv::Rect& box : page.boxes) crops.push_back(page.crop(box));
    const auto cropped = std::chrono::steady_clock::now();
    using Milliseconds = std::chrono::duration<double, std::milli>;
    std::printf("{\"locate_ms\": %.3f, \"crop_ms\": %.3f, \"more\": %d, \"boxes\": [",
                Milliseconds(located - start).count(), Milliseconds(cropped - located).count(),
                page.more);
    for (size_t n = 0; n < page.boxes.size(); ++n) {
      const cv::Rect& b = page.boxes[n];
      std::printf("%s{\"box\": [%d, %d, %d, %d], \"crop\": [%d, %u, %u], \"cuts\": [",
                  n ? ", " : "", b.x, b.y, b.width, b.height, crops[n].rows, checksum(crops[n]),
                  checksum(page.crop(b, true)));
      const auto cuts = page.cuts(b);
      for (size_t m = 0; m < cuts.size(); ++m) {
        const auto& [one, other] = cuts[m];
        std::printf("%s[%d, %d, %d, %d, %d, %d, %d, %d]", m ? ", " : "", one.x, one.y, one.width,
                    one.height, other.x, other.y, other.width, other.height);
      }
      std::printf("]}");
    }
    std::printf("], \"read\": [");
    const digits::Reading reading = digits::read_page(page, made_up, 0.5);
    for (size_t n = 0; n < reading.digits.size(); ++n) {
      const digits::Digit& digit = reading.digits[n];
      std::printf("%s[%d, %d, %d, %d, %d, %d]", n ? ", " : "", digit.box.x, digit.box.y,
                  digit.box.width, digit.box.height, digit.label, digit.second);
    }
    std::printf("], \"left_out\": %d}\n", reading.more);
  }
  return 0;
}
