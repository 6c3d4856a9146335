// How it works is told in deploy/python/ruling.py, function by function under the same names.

#include "ruling.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
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

// The largest (or least) of the `reach` pixels before each row, for all rows of a picture that
// has `reach` rows more at its top.
template <typename Extreme>
void over_rows(cv::Mat& padded, int reach, Extreme extreme) {
  const int columns = padded.cols;
  int rows = padded.rows;
  const auto fold = [&](int step) {
    rows -= step;
    for (int y = 0; y < rows; ++y) {
      uchar* here = padded.ptr(y);
      const uchar* other = padded.ptr(y + step);
      for (int x = 0; x < columns; ++x) here[x] = extreme(here[x], other[x]);
    }
  };
  int size = 1;
  for (; 2 * size <= reach; size *= 2) fold(size);
  if (reach > size) fold(reach - size);
}

cv::Mat padded_at(const cv::Mat& ink, int top, int bottom, uchar value) {
  cv::Mat padded(ink.rows + top + bottom, ink.cols, CV_8U, cv::Scalar(value));
  ink.copyTo(padded.rowRange(top, top + ink.rows));
  return padded;
}

struct Extremes {
  cv::Mat above, below;  // rows from the first on
  int offset;            // row of `below` that belongs to the first row
};

cv::Mat ridges(const cv::Mat& ink, int floor, int reach) {
  const auto least = [](uchar a, uchar b) { return std::min(a, b); };
  const auto most = [](uchar a, uchar b) { return std::max(a, b); };
  // Row y of the first holds the pixels y - reach to y - 1, row y + 1 of the second those from
  // y + 1 to y + reach.
  cv::Mat above = padded_at(ink, reach, 0, 0), below = padded_at(ink, 0, reach + 1, 0);
  cv::Mat higher = padded_at(ink, kCrest, 0, 0), lower = padded_at(ink, 0, kCrest + 1, 0);
  over_rows(above, reach, least);
  over_rows(below, reach, least);
  over_rows(higher, kCrest, most);
  over_rows(lower, kCrest, most);
  cv::Mat ridge(ink.size(), CV_8U);
  for (int y = 0; y < ink.rows; ++y) {
    const uchar* value = ink.ptr(y);
    const uchar *a = above.ptr(y), *b = below.ptr(y + 1);
    const uchar *h = higher.ptr(y), *l = lower.ptr(y + 1);
    uchar* out = ridge.ptr(y);
    for (int x = 0; x < ink.cols; ++x) {
      const int half = value[x] >> 1;
      out[x] = static_cast<uchar>((value[x] >= floor) & (a[x] <= half) & (b[x] <= half) &
                                  (8 * value[x] >= 7 * std::max(h[x], l[x])));
    }
  }
  return ridge;
}

std::vector<std::vector<int>> candidates(const cv::Mat& ink, int floor, int reach) {
  const cv::Mat ridge = ridges(ink, floor, reach);
  const int strips = ink.cols / kStrip, height = ink.rows;
  // Counts have two empty rows above and below.
  std::vector<std::vector<int>> counts(static_cast<size_t>(height) + 4,
                                       std::vector<int>(static_cast<size_t>(strips), 0));
  std::vector<int> begun(static_cast<size_t>(strips * kStrip), -1);
  for (int y = 0; y <= height; ++y) {
    const uchar* row = y < height ? ridge.ptr(y) : nullptr;
    for (int x = 0; x < strips * kStrip; ++x) {
      const bool set = row && row[x];
      if (set == (begun[x] >= 0)) continue;
      if (set) {
        begun[x] = y;
      } else {
        ++counts[begun[x] + (y - begun[x] - 1) / 2 + 2][x / kStrip];
        begun[x] = -1;
      }
    }
  }
  std::vector<std::vector<int>> found(static_cast<size_t>(strips));
  for (int y = 0; y < height; ++y) {
    const auto &c0 = counts[y], &c1 = counts[y + 1], &c2 = counts[y + 2], &c3 = counts[y + 3],
               &c4 = counts[y + 4];
    for (int strip = 0; strip < strips; ++strip) {
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

bool at_border(int x, int length) { return x <= 2 * kStrip || x >= length - 2 * kStrip; }

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
  return 24 * (most - least) <= size + 48;
}

Chosen without_strays(const Lines& lines, int length) {
  Chosen every;
  for (const Line& line : lines) every.push_back(&line);
  if (!is_family(every, length)) return every;
  every.erase(std::remove_if(every.begin(), every.end(),
                             [length](const Line* line) { return 10 * line->size() < 3 * length; }),
              every.end());
  return every;
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
