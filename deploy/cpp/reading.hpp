// From a frame to digits: the C++ twin of deploy/python/reading.py.

#pragma once

#include <functional>
#include <opencv2/core.hpp>
#include <utility>
#include <vector>

#include "locator.hpp"

namespace digits {

constexpr double kDoubt = 0.8;  // score below which an answer is doubtful, unless another is asked for

struct Digit {
  cv::Rect box;     // in pixels of the frame
  int label;        // the class, as the classifier answered it
  double score;     // its certainty, 0-1
  int second = -1;  // what else it may be, where that was asked and another look found it
};

// The class of a picture (CV_8UC3, BGR) and its certainty.
using Classify = std::function<std::pair<int, double>(const cv::Mat&)>;

struct Reading {
  std::vector<Digit> digits;  // at most kMostDigits, in reading order
  int more = 0;               // further digits that there were
};

// Reads the digits of a page. Digits read with less certainty than `doubt` are looked
// at again.
Reading read_page(const Page& page, const Classify& classify, double doubt = 0);

}  // namespace digits
