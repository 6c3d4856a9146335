// The golden pack: pictures with known answers, and the log of what this board answered.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace digits {

struct Golden {
  size_t images = 0, height = 0, width = 0;
  bool rgb = false;              // order of the bytes; else BGR
  std::string model;             // JSON text, with its quotes: it is only copied into the log
  std::vector<uint8_t> content;  // the pictures, H x W x 3 bytes each, as the network takes them
};

// Read golden.json and images.bin. Throws std::runtime_error with one line for the user.
Golden read_golden(const std::string& folder);

// The log, JSON lines: a header, a line a picture, and `{"done": true}`. It appears under its name
// when it is finished.
class GoldenLog {
 public:
  GoldenLog(const std::string& path, const Golden& golden);

  // Label and score are the SDK's own, the logits the NPU's raw output.
  void add(size_t image, int label, float score, const std::vector<int8_t>& logits);

  void finish();

 private:
  std::string path_, text_;
};

}  // namespace digits
