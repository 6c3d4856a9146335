// How it works is told in deploy/python/reading.py, function by function under the same names.

#include "reading.hpp"

#include <algorithm>
#include <array>

namespace digits {
namespace {

constexpr int kCuts = 2;              // of a box, one after another
constexpr double kSure = 0.8;         // so sure is the reading of a whole that no cut is tried
constexpr double kSurelyWide = 0.9;   // the same of a box that is wider than digits are
constexpr double kGain = 0.3;         // that the parts must be surer than the whole
constexpr double kWideGain = 0.15;    // the same, where the box is wider than others
constexpr double kStrokeGain = 0.5;   // the same, where a part may be a mere stroke
constexpr double kLeast = 0.3;        // what is read with less certainty is no digit
constexpr double kUsual = 0.95;       // the certainty of a digit, counted beside the others'
constexpr double kCompany = 2;        // times the mean certainty of the others counts
constexpr double kBelief = 1.5;       // less of a digit's own and theirs: print, and no digits

using Digits = std::vector<Digit>;

double gain(const Page& page, const cv::Rect& box, const std::array<cv::Rect, 2>& pair,
            const Digits& parts) {
  if (std::any_of(parts.begin(), parts.end(), [&box](const Digit& part) {
        return part.label == 1 && 5 * part.box.height < 4 * box.height;
      })) {
    return kStrokeGain;
  }
  if (pair[0].y + pair[0].height <= pair[1].y) return kGain;  // one above the other
  if (2 * box.width > 3 * box.height) return 0;
  std::vector<int> widths;
  for (const cv::Rect& other : page.boxes) widths.push_back(other.width);
  std::sort(widths.begin(), widths.end());
  const bool wide = widths.size() > 2 && 5 * box.width >= 7 * widths[widths.size() / 2];
  return wide ? kWideGain : kGain;
}

Digits judged(const Page& page, const cv::Rect& box, const Classify& classify, int depth) {
  const auto [label, certainty] = classify(page.crop(box));
  const Digit whole{box, label, certainty, -1};
  if (!depth || (whole.score >= kSure && 2 * box.width <= 3 * box.height)) return {whole};
  // No digit is as wide.
  const bool refused = box.width > 2 * box.height &&
                       (whole.score < kSurelyWide || box.width > 3 * box.height);
  Digits best;
  if (!refused) best.push_back(whole);
  double score = -1;
  for (const auto& pair : page.cuts(box)) {
    Digits parts = judged(page, pair[0], classify, depth - 1);
    const Digits others = judged(page, pair[1], classify, depth - 1);
    if (parts.empty() || others.empty()) continue;
    parts.insert(parts.end(), others.begin(), others.end());
    double least = parts[0].score;
    for (const Digit& part : parts) least = std::min(least, part.score);
    if (least > score && (refused || least > whole.score + gain(page, box, pair, parts))) {
      best = parts;
      score = least;
    }
  }
  return best;
}

Digits believed(const Digits& found) {
  double total = 0;
  for (const Digit& digit : found) total += digit.score;
  total = kUsual + total;
  Digits digits;
  for (const Digit& digit : found) {
    const double others = kCompany * (total - digit.score) / static_cast<double>(found.size());
    if (digit.score >= kLeast && digit.score + others >= kBelief) digits.push_back(digit);
  }
  return digits;
}

}  // namespace

Reading read_page(const Page& page, const Classify& classify, double doubt) {
  Digits found;
  for (const cv::Rect& box : page.boxes) {
    const int depth = kCuts + (box.width > 2 * box.height);
    for (const Digit& digit : judged(page, box, classify, depth)) found.push_back(digit);
  }
  found = believed(found);
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
