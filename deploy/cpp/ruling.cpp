// How it works is told in deploy/python/ruling.py, function by function under the same names.

#include "ruling.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <opencv2/imgproc.hpp>
#include <tuple>
#include <utility>
#include <vector>

namespace digits {
namespace {

constexpr int kStrip = 8;     // columns
constexpr int kFewest = 5;    // columns of a strip in which the ridge is seen
constexpr int kOne = 16;      // a pixel, in the unit that places of lines are kept in
constexpr int kCrest = 3;     // pixels
constexpr int kGap = 5;       // strips a line may be lost for
constexpr int kLongGap = 20;  // where it has been seen in eight
constexpr int kShortest = 3;  // strips
constexpr int kDarker = 10;   // eighths of a line's ink, at most: darker is a stroke along it

// Rounds down, as Python does; the divisor is positive.
int floored(int64_t value, int64_t by) {
  return static_cast<int>(value >= 0 ? value / by : -((-value + by - 1) / by));
}

int upper_median(std::vector<int> values) {
  const auto middle = values.begin() + static_cast<long>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// --- crests and candidates -----------------------------------------------------------

// The largest (or least) of `reach` rows from each row on, for a picture with `reach` empty rows at
// either end: row y is that above row y of the picture, row y + reach + 1 that below it.
cv::Mat over_rows(const cv::Mat& ink, int reach, bool least) {
  cv::Mat padded;
  cv::copyMakeBorder(ink, padded, reach, reach, 0, 0, cv::BORDER_CONSTANT, 0);
  int rows = padded.rows;
  const auto fold = [&](int step) {
    rows -= step;
    // In place: a row is read before it is written.
    cv::Mat here = padded.rowRange(0, rows);
    const cv::Mat other = padded.rowRange(step, step + rows);
    if (least) {
      cv::min(here, other, here);
    } else {
      cv::max(here, other, here);
    }
  };
  int size = 1;
  for (; 2 * size <= reach; size *= 2) fold(size);
  if (reach > size) fold(reach - size);
  return padded;
}

cv::Mat ridges(const cv::Mat& ink, int floor, int reach) {
  const cv::Mat least = over_rows(ink, reach, true);
  const cv::Mat most = over_rows(ink, kCrest, false);
  // Whole pictures at once, which OpenCV does sixteen pixels at a time. What overflows is 255 and
  // larger than any ink, which 64 levels of darkness keep below 204.
  const auto twice = [](cv::Mat& picture) { cv::add(picture, picture, picture); };
  const auto rows = [&ink](const cv::Mat& picture, int first) {
    return picture.rowRange(first, first + ink.rows);
  };
  cv::Mat bare, fall, ridge, holds;
  cv::max(rows(least, 0), rows(least, reach + 1), bare);
  twice(bare);
  cv::compare(bare, ink, ridge, cv::CMP_LE);
  cv::max(rows(most, 0), rows(most, kCrest + 1), fall);
  cv::subtract(fall, ink, fall);
  for (int i = 0; i < 3; ++i) twice(fall);
  cv::compare(fall, ink, holds, cv::CMP_LE);
  ridge &= holds;
  cv::compare(ink, floor, holds, cv::CMP_GE);
  ridge &= holds;
  return ridge;
}

std::vector<std::vector<int>> candidates(const cv::Mat& ink, int floor, int reach) {
  const cv::Mat ridge = ridges(ink, floor, reach);
  const int strips = ink.cols / kStrip, height = ink.rows;
  // Counts have two empty rows above and below; a row is a number of words.
  constexpr int kWord = sizeof(uint64_t);
  const int stride = (strips + kWord - 1) / kWord * kWord;
  std::vector<uchar> counts(static_cast<size_t>((height + 4) * stride), 0);
  std::vector<int> begun(static_cast<size_t>(strips * kStrip), 0);
  const std::vector<uchar> none(static_cast<size_t>(ink.cols), 0);
  for (int y = 0; y <= height; ++y) {
    const uchar* row = y < height ? ridge.ptr(y) : none.data();
    const uchar* before = y > 0 ? ridge.ptr(y - 1) : none.data();
    // Most rows are as the row above: a strip is compared at once.
    for (int strip = 0; strip < strips; ++strip) {
      uint64_t here, above;
      static_assert(kStrip == kWord, "a strip is a word");
      std::memcpy(&here, row + strip * kStrip, sizeof here);
      std::memcpy(&above, before + strip * kStrip, sizeof above);
      if (here == above) continue;
      // A pixel is a byte of a word, 0 or 255, the first the lowest (ARM and x86 both).
      for (uint64_t changed = here ^ above; changed;) {
        const int place = __builtin_ctzll(changed) / 8, x = strip * kStrip + place;
        changed &= ~(uint64_t{255} << 8 * place);
        if (row[x]) {
          begun[x] = y;
        } else {
          ++counts[(begun[x] + (y - begun[x] - 1) / 2 + 2) * stride + strip];
        }
      }
    }
  }
  std::vector<std::vector<int>> found(static_cast<size_t>(strips));
  for (int y = 0; y < height; ++y) {
    const uchar *c0 = &counts[y * stride], *c1 = c0 + stride, *c2 = c1 + stride,
                *c3 = c2 + stride, *c4 = c3 + stride;
    for (int strip = 0; strip < strips; ++strip) {
      if (strip % kWord == 0) {
        // Eight strips at once: a byte holds 24, and more than its half if it holds enough.
        uint64_t words[3];
        std::memcpy(words, c1 + strip, sizeof(uint64_t));
        std::memcpy(words + 1, c2 + strip, sizeof(uint64_t));
        std::memcpy(words + 2, c3 + strip, sizeof(uint64_t));
        constexpr uint64_t kEach = 0x0101010101010101;
        const uint64_t enough = words[0] + words[1] + words[2] + kEach * (128 - kFewest);
        if (!(enough & kEach * 128)) {
          strip += kWord - 1;
          continue;
        }
      }
      const int near = c1[strip] + c2[strip] + c3[strip];
      if (near < kFewest) continue;
      const int before = c0[strip] + c1[strip] + c2[strip];
      const int after = c2[strip] + c3[strip] + c4[strip];
      if (near < before || near <= after) continue;
      found[strip].push_back(floored(kOne * (y * near + c3[strip] - c1[strip]), near));
    }
  }
  return found;
}

// --- from strip to strip -------------------------------------------------------------

struct Chain {
  std::vector<int> strips, places;

  int slope() const {
    const size_t back = places.size() - std::min<size_t>(places.size(), 8);
    const int steps = strips.back() - strips[back];
    return steps ? floored(places.back() - places[back], steps) : 0;
  }
  int next(int strip) const { return places.back() + slope() * (strip - strips.back()); }
};

std::vector<Chain> chains(const std::vector<std::vector<int>>& found) {
  std::vector<Chain> active, done;
  for (int strip = 0; strip < static_cast<int>(found.size()); ++strip) {
    const std::vector<int>& places = found[strip];
    std::vector<Chain> still;
    for (Chain& chain : active) {
      const int lost = strip - chain.strips.back();
      const bool goes_on = lost <= (chain.strips.size() < 8 ? kGap : kLongGap);
      (goes_on ? still : done).push_back(std::move(chain));
    }
    active = std::move(still);
    std::vector<std::tuple<int, int, int>> wanted;
    for (int number = 0; number < static_cast<int>(active.size()); ++number) {
      const Chain& chain = active[number];
      const int gap = strip - chain.strips.back(), place = chain.next(strip);
      const int seen = static_cast<int>(chain.places.size());
      const int reach = (seen < 4 ? 24 : 14) + std::min(4 * gap, 24);
      const auto first = std::lower_bound(places.begin(), places.end(), place - reach);
      for (auto other = first; other != places.end() && *other <= place + reach; ++other) {
        wanted.emplace_back(std::abs(*other - place) - 4 * std::min(seen, 8), number,
                            static_cast<int>(other - places.begin()));
      }
    }
    std::sort(wanted.begin(), wanted.end());
    std::vector<char> used_chains(active.size(), 0), used_places(places.size(), 0);
    for (const auto& [score, number, index] : wanted) {
      if (used_chains[number] || used_places[index]) continue;
      used_chains[number] = used_places[index] = 1;
      active[number].strips.push_back(strip);
      active[number].places.push_back(places[index]);
    }
    for (size_t i = 0; i < places.size(); ++i) {
      if (!used_places[i]) active.push_back({{strip}, {places[i]}});
    }
  }
  std::move(active.begin(), active.end(), std::back_inserter(done));
  std::vector<Chain> kept;
  for (Chain& chain : done) {
    const int seen = static_cast<int>(chain.strips.size());
    if (seen >= kShortest && 5 * seen >= 2 * (chain.strips.back() - chain.strips.front() + 1)) {
      kept.push_back(std::move(chain));
    }
  }
  return kept;
}

// Rows of a chain in every column from its first strip to its last.
std::vector<int> course(const Chain& chain, int height) {
  const int left = chain.strips.front() * kStrip, right = (chain.strips.back() + 1) * kStrip;
  const size_t last = chain.strips.size() - 2;
  std::vector<int> rows(static_cast<size_t>(right - left));
  for (size_t i = 0; i <= last; ++i) {
    const int a = chain.strips[i] * kStrip + kStrip / 2;
    const int b = chain.strips[i + 1] * kStrip + kStrip / 2;
    const int end = i == last ? right : b;
    for (int x = i == 0 ? left : a; x < end; ++x) {
      const int place = chain.places[i] +
                        floored((chain.places[i + 1] - chain.places[i]) * (x - a), b - a);
      rows[x - left] = std::clamp(floored(place + kOne / 2, kOne), 0, height - 1);
    }
  }
  return rows;
}

// --- lines ---------------------------------------------------------------------------

struct Line {
  int start;              // column of the first row
  std::vector<int> rows;  // one a column
  int strength, thick;    // medians of its ink, and of its rows of ink

  int size() const { return static_cast<int>(rows.size()); }
  int end() const { return start + size(); }
  int row(int x) const {
    const int last = size() - 1, place = x - start, back = std::min(last, 64);
    const int by = std::max(back, 1);
    if (place < 0) return rows[0] + floored((rows[back] - rows[0]) * place, by);
    if (place > last) {
      return rows[last] + floored((rows[last] - rows[last - back]) * (place - last), by);
    }
    return rows[place];
  }
};
using Lines = std::vector<Line>;
using Chosen = std::vector<const Line*>;

// How far there is ink above and below a point.
std::pair<int, int> spread(const cv::Mat& ink, int row, int column, int edge, int reach) {
  int up = 0, down = 0;
  while (up < 2 * reach && row - up > 0 && ink.at<uchar>(row - up - 1, column) >= edge) ++up;
  while (down < 2 * reach && row + down + 1 < ink.rows &&
         ink.at<uchar>(row + down + 1, column) >= edge) {
    ++down;
  }
  return {up, down};
}

Line measured(const cv::Mat& ink, int start, std::vector<int> rows, int floor, int reach) {
  Line line{start, std::move(rows), 0, 0};
  std::vector<int> values(line.rows.size());
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = ink.at<uchar>(line.rows[i], start + static_cast<int>(i));
  }
  line.strength = upper_median(values);
  const int edge = std::max(floor / 2, line.strength * 3 / 8);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto [up, down] = spread(ink, line.rows[i], start + static_cast<int>(i), edge, reach);
    values[i] = up + down;
  }
  line.thick = upper_median(values) + 1;
  return line;
}

std::vector<std::pair<int, int>> inked(const cv::Mat& ink, int start,
                                       const std::vector<int>& rows) {
  std::vector<int> most(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    for (int step = -2; step <= 2; ++step) {
      const int row = std::clamp(rows[i] + step, 0, ink.rows - 1);
      most[i] = std::max<int>(most[i], ink.at<uchar>(row, start + static_cast<int>(i)));
    }
  }
  const int middle = upper_median(most), size = static_cast<int>(rows.size());
  std::vector<std::pair<int, int>> parts;
  int first = 0;
  for (int x = 0; x < size;) {
    if (2 * most[x] >= middle) {
      ++x;
      continue;
    }
    const int begin = x;
    while (x < size && 2 * most[x] < middle) ++x;
    if (x - begin >= kStrip) {
      parts.emplace_back(first, begin);
      first = x;
    }
  }
  parts.emplace_back(first, size);
  return parts;
}

Lines lines_of(const cv::Mat& ink, int floor, int reach) {
  Lines lines;
  for (const Chain& chain : chains(candidates(ink, floor, reach))) {
    const std::vector<int> rows = course(chain, ink.rows);
    const int start = chain.strips.front() * kStrip;
    for (const auto& [first, last] : inked(ink, start, rows)) {
      if (last - first < kShortest * kStrip) continue;
      Line line = measured(ink, start + first, {rows.begin() + first, rows.begin() + last}, floor,
                           reach);
      if (line.thick <= reach + 2) lines.push_back(std::move(line));
    }
  }
  return lines;
}

// --- which lines are the paper's -----------------------------------------------------

bool is_family(const Chosen& lines, int length) {
  return std::count_if(lines.begin(), lines.end(), [length](const Line* line) {
           return 2 * line->size() >= length;
         }) >= 3;
}

bool at_border(int x, int length) {
  const int near = std::min(2 * kStrip, std::max(kStrip, length / 24));
  return x <= near || x >= length - near;
}

bool alike(const Line& line, const Line& other) {
  const auto [pale, dark] = std::minmax(line.strength, other.strength);
  const auto [thin, thick] = std::minmax(line.thick, other.thick);
  if (line.size() < 8 * kStrip) return 2 * dark <= 3 * pale && 2 * thick <= 3 * thin + 1;
  return dark <= 2 * pale && thick <= 2 * thin;
}

bool meets(const Line& other, int x, int y, int near) {
  const int place = std::clamp(y - other.start, 0, other.size() - 1);
  const int off = std::max({other.start - y, y - other.end(), 0});
  near += other.thick / 2;
  return off <= near && std::abs(other.rows[place] - x) <= near;
}

bool is_paper(const Line& line, const Chosen& along, const Chosen& across, int length, int most) {
  const int size = line.size();
  int firm = 0, same = 0;
  for (const auto& [x, y] : {std::make_pair(line.start, line.rows.front()),
                             std::make_pair(line.end(), line.rows.back())}) {
    if (at_border(x, length)) {
      ++firm;
      ++same;
      continue;
    }
    bool met = false, met_alike = false;
    for (const Line* other : across) {
      if (!meets(*other, x, y, kStrip + 3)) continue;
      met = true;
      met_alike = met_alike || alike(line, *other);
    }
    firm += met;
    same += met_alike;
  }
  if (same == 2 && 2 * size < length) {
    bool peers = false, like = false;
    for (const Line* other : along) {
      if (2 * other->size() < length) continue;
      peers = true;
      like = like || 3 * std::abs(other->thick - line.thick) <= other->thick + 1;
    }
    if (peers && !like) return false;
  }
  const bool slender = 24 * line.thick <= size;
  return same == 2 || (slender && (4 * size >= 3 * length || (firm && 10 * size >= 3 * most)));
}

const Line* nearest(const Line& line, const Chosen& family, int length) {
  if (!is_family(family, length)) return nullptr;
  const Line* best = nullptr;
  int closest = 0;
  const int half = line.size() / 2;
  for (const Line* other : family) {
    if (other == &line || 2 * other->size() < length) continue;
    const int away = std::abs(line.rows[half] - other->row(line.start + half));
    if (!best || away < closest) {
      best = other;
      closest = away;
    }
  }
  return best;
}

// Whether two long lines stand as far apart as a piece stands from its nearest.
bool is_spaced(const Line& line, const Chosen& family, int length) {
  const int x = line.start + line.size() / 2, y = line.rows[line.size() / 2];
  std::vector<int> places;
  int away = 1 << 30;
  for (const Line* other : family) {
    if (other == &line || 2 * other->size() < length) continue;
    places.push_back(other->row(x));
    away = std::min(away, std::abs(y - places.back()));
  }
  std::sort(places.begin(), places.end());
  for (size_t step = 1; step <= 2; ++step) {
    for (size_t i = 0; i + step < places.size(); ++i) {
      const int gap = places[i + step] - places[i];
      if (std::abs(gap - away) <= std::max(2, away / 12)) return true;
    }
  }
  return false;
}

bool is_parallel(const Line& line, const Chosen& family, int length) {
  const int size = line.size();
  if (!at_border(line.start, length) && !at_border(line.end(), length) && size < 12 * kStrip) {
    return false;
  }
  const Line* neighbour = nearest(line, family, length);
  if (!neighbour || !alike(line, *neighbour)) return false;
  if (3 * std::abs(line.thick - neighbour->thick) > neighbour->thick + 1) return false;
  int least = 1 << 30, most = -(1 << 30);
  for (const int i : {0, size / 2, size - 1}) {
    const int away = line.rows[i] - neighbour->row(line.start + i);
    least = std::min(least, away);
    most = std::max(most, away);
  }
  return 24 * (most - least) <= size + 48 && is_spaced(line, family, length);
}

Chosen without_strays(const Lines& lines, int length) {
  Chosen every, kept;
  for (const Line& line : lines) every.push_back(&line);
  if (!is_family(every, length)) return every;
  for (const Line* line : every) {
    const int size = line->size();
    if (4 * size >= 3 * length ||
        (10 * size >= 3 * length && is_spaced(*line, every, length))) {
      kept.push_back(line);
    }
  }
  return kept;
}

Chosen with_parallel(const Lines& every, const Chosen& kept, int length) {
  Chosen all = kept;
  for (const Line& line : every) {
    if (std::find(kept.begin(), kept.end(), &line) == kept.end() &&
        is_parallel(line, kept, length)) {
      all.push_back(&line);
    }
  }
  return all;
}

std::pair<Chosen, Chosen> anchored(const Lines& level, const Lines& upright, int height,
                                   int width) {
  const int most = std::max(height, width);
  Chosen lying = without_strays(level, width), standing = without_strays(upright, height);
  while (true) {
    Chosen kept, kept_standing;
    for (const Line* line : lying) {
      if (is_paper(*line, lying, standing, width, most)) kept.push_back(line);
    }
    for (const Line* line : standing) {
      if (is_paper(*line, standing, lying, height, most)) kept_standing.push_back(line);
    }
    if (kept.size() == lying.size() && kept_standing.size() == standing.size()) break;
    lying = std::move(kept);
    standing = std::move(kept_standing);
  }
  return {with_parallel(level, lying, width), with_parallel(upright, standing, height)};
}

// --- taking lines out ----------------------------------------------------------------

// Calls `each(column, row)` along a line and beyond its ends.
template <typename Each>
void extended(const Line& line, const Chosen& family, int width, Each each) {
  const int size = line.size();
  const Line* neighbour = 2 * size < width ? nearest(line, family, width) : nullptr;
  const int far = neighbour || 10 * size >= 3 * width ? width : 2 * kStrip;
  const int start = std::max(0, line.start - far), end = std::min(width, line.end() + far);
  for (int x = start; x < end; ++x) {
    if (x >= line.start && x < line.end()) {
      each(x, line.rows[x - line.start]);
    } else if (!neighbour) {
      each(x, line.row(x));
    } else if (x < line.start) {
      each(x, line.rows.front() + neighbour->row(x) - neighbour->row(line.start));
    } else {
      each(x, line.rows.back() + neighbour->row(x) - neighbour->row(line.end() - 1));
    }
  }
}

void remove(const cv::Mat& ink, cv::Mat& removed, const Chosen& lines, int floor, int reach) {
  const int height = ink.rows;
  for (const Line* line : lines) {
    const int edge = std::max(floor / 2, line->strength * 3 / 8);
    extended(*line, lines, ink.cols, [&](int column, int row) {
      if (row < 0 || row >= height) return;
      int best = row, value = ink.at<uchar>(row, column);
      for (const int step : {-1, 1, -2, 2}) {
        const int other = std::clamp(row + step, 0, height - 1);
        const int there = ink.at<uchar>(other, column);
        if (there > value) {
          best = other;
          value = there;
        }
      }
      if (8 * value > kDarker * line->strength + 32 || 2 * value < edge) return;
      const auto [up, down] = spread(ink, best, column, edge, reach);
      if (up + down >= line->thick + std::max(2, line->thick / 4)) return;
      const int first = std::max({0, best - up - 1, best - 2 * reach});
      const int last = std::min({height - 1, best + down + 1, best + 2 * reach});
      for (int y = first; y <= last; ++y) removed.at<uchar>(y, column) = 255;
    });
  }
}

}  // namespace

cv::Mat without_lines(const cv::Mat& ink, int floor, int reach) {
  cv::Mat turned;
  cv::transpose(ink, turned);
  const Lines level = lines_of(ink, floor, reach), upright = lines_of(turned, floor, reach);
  const auto [lying, standing] = anchored(level, upright, ink.rows, ink.cols);
  cv::Mat left = ink.clone();
  if (!lying.empty()) {
    cv::Mat removed = cv::Mat::zeros(ink.size(), CV_8U);
    remove(ink, removed, lying, floor, reach);
    left.setTo(0, removed);
    cv::transpose(left, turned);
  }
  if (!standing.empty()) {
    cv::Mat removed = cv::Mat::zeros(turned.size(), CV_8U);
    remove(turned, removed, standing, floor, reach);
    turned.setTo(0, removed);
    cv::transpose(turned, left);
  }
  return left;
}

}  // namespace digits
