// How it works is told in deploy/python/reading.py, function by function under the same names.

#include "reading.hpp"

#include <algorithm>

namespace digits {
namespace {

constexpr double kGain = 0.2;  // that the reading of two parts must be surer than of the whole

Digit digit_of(const Page& page, const cv::Rect& box, const Classify& classify) {
  const auto [label, score] = classify(page.crop(box));
  return {box, label, score, -1};
}

void judge(const Page& page, const Digit& whole, const Classify& classify,
           std::vector<Digit>& found) {
  const int width = whole.box.width, height = whole.box.height;
  std::vector<Digit> best;
  double best_score = 0;
  for (const auto& pair : page.cuts(whole.box)) {
    std::vector<Digit> parts;
    for (const cv::Rect& part : pair) parts.push_back(digit_of(page, part, classify));
    const double score = std::min(parts[0].score, parts[1].score);
    if (best.empty() || score > best_score) {
      best_score = score;
      best = parts;
    }
  }
  const double gain = 2 * width > 3 * height ? 0 : kGain;
  if (width <= 2 * height && (best.empty() || best_score < whole.score + gain)) {
    found.push_back(whole);
    return;
  }
  for (const Digit& part : best) judge(page, part, classify, found);
}

}  // namespace

Reading read_page(const Page& page, const Classify& classify, double doubt) {
  std::vector<Digit> found;
  for (const cv::Rect& box : page.boxes) {
    judge(page, digit_of(page, box, classify), classify, found);
  }
  std::vector<cv::Rect> boxes;
  for (Digit& digit : found) {
    boxes.push_back(digit.box);
    if (digit.score >= doubt) continue;
    const int again = classify(page.crop(digit.box, true)).first;
    if (again != digit.label) digit.second = again;
  }
  Reading reading;
  reading.more = page.more;
  for (const size_t i : reading_order(boxes)) {
    // Boxes of digits that touch may have become more digits than there were boxes.
    if (reading.digits.size() < kMostDigits) reading.digits.push_back(found[i]);
    else ++reading.more;
  }
  return reading;
}

}  // namespace digits
