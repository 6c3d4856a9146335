// Our own declarations of the calls that deploy/cpp/main.cpp makes, for tests on a PC: this is not
// the SDK. The headers' names and the calls are the published ones; the types are guesses.

#pragma once

#include <opencv2/core.hpp>
#include <string>

namespace lockzhiner_vision_module::vision {

struct ClassificationResult {
  int label_id;
  float score;
};

class PaddleClas {
 public:
  bool Initialize(const std::string& path);
  ClassificationResult Predict(const cv::Mat& picture);
};

}  // namespace lockzhiner_vision_module::vision
