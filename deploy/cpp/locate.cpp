// Prints the boxes that the locator finds in raw frames, one JSON line a frame. For the PC: it is
// how the tests compare it with the Python locator.
//
//   locate WIDTH HEIGHT FRAME.bgr...

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "locator.hpp"

int main(int argc, char** argv) {
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
    const std::vector<cv::Rect> boxes = digits::locate(frame);
    const std::chrono::duration<double, std::milli> took =
        std::chrono::steady_clock::now() - start;
    std::printf("{\"milliseconds\": %.3f, \"boxes\": [", took.count());
    for (size_t n = 0; n < boxes.size(); ++n) {
      const cv::Rect& b = boxes[n];
      const cv::Rect s = digits::square(b, height, width);
      std::printf("%s{\"box\": [%d, %d, %d, %d], \"square\": [%d, %d, %d, %d]}", n ? ", " : "",
                  b.x, b.y, b.width, b.height, s.x, s.y, s.width, s.height);
    }
    std::printf("]}\n");
  }
  return 0;
}
