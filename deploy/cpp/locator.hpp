// Where the digits are in a camera frame, and each alone on its paper: the C++ twin of
// deploy/python/locator.py.
//
// The two do the same integer arithmetic in the same order and give the same boxes and pictures,
// to the pixel. Needs OpenCV's core and imgproc.

#pragma once

#include <array>
#include <opencv2/core.hpp>
#include <vector>

namespace digits {

constexpr size_t kMostDigits = 48;  // of a frame

// A frame whose digits have been found, dark on light or, in a dark frame, light on dark, from
// about 7 % of the frame's height up.
class Page {
 public:
  // frame: CV_8UC1, CV_8UC3 (BGR) or CV_8UC4 (BGRA); it is not copied. Throws
  // std::invalid_argument if it is none of these.
  explicit Page(const cv::Mat& frame);

  // Boxes of at most 48 digits, in pixels of the frame, in reading order: lines from the top, each
  // from the left; and how many further digits there were.
  std::vector<cv::Rect> boxes;
  int more = 0;

  // One digit's ink on the tone of its own paper, dark on light, in the middle of a square that is
  // at most 96 pixels wide, CV_8UC3. `wider` leaves more paper around, for a second look.
  cv::Mat crop(const cv::Rect& box, bool wider = false) const;

  // Ways of cutting a box in two, should it hold digits that touch.
  std::vector<std::array<cv::Rect, 2>> cuts(const cv::Rect& box) const;

 private:
  cv::Rect place_of(const cv::Rect& box) const;  // in the gray picture
  cv::Mat own(const cv::Rect& place) const;      // the ink that belongs to a box

  cv::Mat frame_, paper_, ink_, names_;
  int scale_ = 1, lowest_ = 0;
  bool dark_ = false;
  std::vector<int> areas_;   // by the names of pieces
  std::vector<char> kept_;
};

std::vector<cv::Rect> locate(const cv::Mat& frame);

// The picture of one digit for the classifier: see `Page::crop`.
cv::Mat crop(const cv::Mat& frame, const cv::Rect& box);

// Lets the process keep what a frame's pictures took for the next frame: asking the kernel for it
// anew takes as long as finding the digits. For a program that reads many frames.
void keep_memory();

// Numbers of the boxes in the order of reading.
std::vector<size_t> reading_order(const std::vector<cv::Rect>& boxes);

}  // namespace digits
