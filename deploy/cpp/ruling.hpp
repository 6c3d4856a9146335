// Printed lines of a paper: the C++ twin of deploy/python/ruling.py.

#pragma once

#include <opencv2/core.hpp>

namespace digits {

// `ink` (CV_8U) without printed lines: thin ones, at most `reach` pixels or so thick, of at least
// `floor` ink.
cv::Mat without_lines(const cv::Mat& ink, int floor, int reach);

}  // namespace digits
