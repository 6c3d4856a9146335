// Our own declarations of the calls that deploy/cpp/main.cpp makes, for tests on a PC: this is not
// the SDK. The headers' names and the calls are the published ones; the types are guesses.

#pragma once

#include <opencv2/core.hpp>

namespace lockzhiner_vision_module::edit {

class Edit {
 public:
  bool StartAndAcceptConnection();
  bool Print(const cv::Mat& picture);
};

}  // namespace lockzhiner_vision_module::edit
