// Where the digits are in a camera frame: the C++ twin of deploy/python/locator.py.
//
// The two do the same integer arithmetic in the same order and give the same boxes, to the pixel.
// Needs OpenCV's core and imgproc.

#pragma once

#include <opencv2/core.hpp>
#include <vector>

namespace digits {

// Boxes of the digits in a frame, in pixels of the frame, in reading order: lines from the top,
// each from the left.
//
// Digits are found from about 7 % of the frame's height up, dark on light or, in a dark frame,
// light on dark.
//
// frame: CV_8UC3, BGR.
std::vector<cv::Rect> locate(const cv::Mat& frame);

// The square around a box that is given to the classifier. It lies inside the frame; it is no
// square where the frame is too narrow for one.
cv::Rect square(const cv::Rect& box, int height, int width);

}  // namespace digits
