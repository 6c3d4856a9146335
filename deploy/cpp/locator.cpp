// How it works is told in deploy/python/locator.py, function by function under the same names.

#include "locator.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <opencv2/core/hal/intrin.hpp>
#include <opencv2/imgproc.hpp>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "ruling.hpp"

#if defined(__GLIBC__) && !defined(__UCLIBC__)
#include <malloc.h>
#endif

namespace digits {
namespace {

constexpr int kLongSide = 640;      // the gray picture's longer side, about
constexpr int kDarkFrame = 112;     // median gray below which light strokes are looked for
constexpr int kClear = 12;          // gray levels between a light stroke and what is around it
constexpr int kDarkness = 64;       // added to the paper's gray: noise in shadows is no ink
constexpr int kLeastInk = 12;       // of 255: fainter is texture of the paper
constexpr int kPalest = 18;         // mean ink of a piece: paler is a stain, or a table's grain
constexpr size_t kMostPieces = 320; // in the order of their ink
constexpr int kDense = 4;           // times that the threshold is raised where there are more
constexpr int64_t kNoise = 1200;    // pieces: so many are no writing
constexpr int kRounds = 8;          // of raising the threshold of a piece that is too large
constexpr int kCrop = 96;           // pixels: no picture for the classifier is larger

struct Piece {
  int64_t top, left, bottom, right;  // the box, end exclusive
  int64_t area, ink, runs;           // its pixels, the sum of their ink, stretches of a row
  int name;                          // number of the component

  int64_t height() const { return bottom - top; }
  int64_t width() const { return right - left; }
  int64_t strength() const { return ink / area; }
};
using Pieces = std::vector<Piece>;

// --- from the frame to ink -----------------------------------------------------------

// Mean of 3 x 3 pixels.
cv::Mat smoothed(const cv::Mat& gray) {
  cv::Mat padded;
  cv::copyMakeBorder(gray, padded, 1, 1, 1, 1, cv::BORDER_REPLICATE);
  cv::Mat result(gray.size(), CV_8U);
  std::vector<uint16_t> column(static_cast<size_t>(padded.cols));
  for (int y = 0; y < gray.rows; ++y) {
    const uchar* above = padded.ptr(y);
    const uchar* here = padded.ptr(y + 1);
    const uchar* below = padded.ptr(y + 2);
    for (int x = 0; x < padded.cols; ++x) {
      column[x] = static_cast<uint16_t>(above[x] + here[x] + below[x]);
    }
    uchar* out = result.ptr(y);
    int x = 0;
#if CV_SIMD128
    // Up to 2,299 a ninth is 7,282 of 65,536, rounded down.
    const cv::v_uint16x8 half = cv::v_setall_u16(4), ninth = cv::v_setall_u16(7282);
    for (; x + 16 <= gray.cols; x += 16) {
      cv::v_uint16x8 means[2];
      for (int i = 0; i < 2; ++i) {
        const uint16_t* from = column.data() + x + 8 * i;
        const cv::v_uint16x8 sum =
            cv::v_add_wrap(cv::v_add_wrap(cv::v_load(from), cv::v_load(from + 1)),
                           cv::v_add_wrap(cv::v_load(from + 2), half));
        means[i] = cv::v_mul_hi(sum, ninth);
      }
      cv::v_store(out + x, cv::v_pack(means[0], means[1]));
    }
#endif
    for (; x < gray.cols; ++x) {
      out[x] = static_cast<uchar>((column[x] + column[x + 1] + column[x + 2] + 4) / 9);
    }
  }
  return result;
}

// Gray picture of whole blocks of `scale` x `scale` pixels.
cv::Mat reduced_gray(const cv::Mat& frame, int& scale) {
  scale = std::max(1, (std::max(frame.rows, frame.cols) + kLongSide / 2) / kLongSide);
  cv::Mat gray(frame.rows / scale, frame.cols / scale, CV_8U);
  const uint32_t pixels = static_cast<uint32_t>(scale * scale);
  // Weights of ITU-R BT.601, times 256.
  if (scale == 1) {
    for (int y = 0; y < gray.rows; ++y) {
      const uchar* pixel = frame.ptr(y);
      uchar* out = gray.ptr(y);
      int x = 0;
#if CV_SIMD128
      for (; x + 16 <= gray.cols; x += 16, pixel += 48) {
        cv::v_uint8x16 blue, green, red;
        cv::v_load_deinterleave(pixel, blue, green, red);
        cv::v_uint16x8 b[2], g[2], r[2];
        cv::v_expand(blue, b[0], b[1]);
        cv::v_expand(green, g[0], g[1]);
        cv::v_expand(red, r[0], r[1]);
        for (int i = 0; i < 2; ++i) {
          // Below 65,536: the sum does not wrap.
          b[i] = cv::v_add_wrap(
              cv::v_add_wrap(cv::v_mul_wrap(b[i], cv::v_setall_u16(29)), cv::v_setall_u16(128)),
              cv::v_add_wrap(cv::v_mul_wrap(g[i], cv::v_setall_u16(150)),
                             cv::v_mul_wrap(r[i], cv::v_setall_u16(77))));
        }
        cv::v_store(out + x, cv::v_pack(cv::v_shr<8>(b[0]), cv::v_shr<8>(b[1])));
      }
#endif
      for (; x < gray.cols; ++x, pixel += 3) {
        out[x] = static_cast<uchar>((29 * pixel[0] + 150 * pixel[1] + 77 * pixel[2] + 128) >> 8);
      }
    }
    return smoothed(gray);
  }
  std::vector<uint32_t> total(static_cast<size_t>(gray.cols));
  for (int y = 0; y < gray.rows; ++y) {
    std::fill(total.begin(), total.end(), 0u);
    for (int row = 0; row < scale; ++row) {
      const uchar* pixel = frame.ptr(y * scale + row);
      for (uint32_t& sum : total) {
        for (int column = 0; column < scale; ++column, pixel += 3) {
          sum += 29u * pixel[0] + 150u * pixel[1] + 77u * pixel[2];
        }
      }
    }
    uchar* out = gray.ptr(y);
    for (int x = 0; x < gray.cols; ++x) {
      out[x] = static_cast<uchar>((total[x] + 128u * pixels) / (256u * pixels));
    }
  }
  return gray;
}

// Gray of the paper: a closing with windows that reach `reach` pixels each way.
cv::Mat paper_under(const cv::Mat& gray, int reach) {
  cv::Mat picture;
  cv::copyMakeBorder(smoothed(gray), picture, reach, reach, reach, reach, cv::BORDER_REPLICATE);
  const cv::Size window(2 * reach + 1, 2 * reach + 1);
  const cv::Mat kernel = cv::getStructuringElement(cv::MORPH_RECT, window);
  cv::dilate(picture, picture, kernel);
  cv::erode(picture, picture, kernel);
  return picture(cv::Rect(reach, reach, gray.cols, gray.rows)).clone();
}

// How often each gray level stands among every second pixel of every second row.
std::array<int, 256> histogram(const cv::Mat& picture) {
  // Neighbours mostly have one level: counted in turns, no count waits for the one before.
  std::array<std::array<int, 256>, 4> counts{};
  for (int y = 0; y < picture.rows; y += 2) {
    const uchar* row = picture.ptr(y);
    int x = 0;
    for (; x + 6 < picture.cols; x += 8) {
      for (int i = 0; i < 4; ++i) ++counts[i][row[x + 2 * i]];
    }
    for (; x < picture.cols; x += 2) ++counts[0][row[x]];
  }
  for (int value = 0; value < 256; ++value) {
    for (int i = 1; i < 4; ++i) counts[0][value] += counts[i][value];
  }
  return counts[0];
}

// The value that `quarters` quarters of the counted pixels do not exceed.
int quantile(const std::array<int, 256>& counts, int quarters) {
  const int pixels = std::accumulate(counts.begin(), counts.end(), 0);
  const int wanted = (pixels * quarters + 3) / 4;
  int value = 0;
  for (int upto = counts[0]; upto < wanted; upto += counts[++value]) {
  }
  return value;
}

int clear_pixels(const cv::Mat& gray) {
  const cv::Mat paper = paper_under(gray, std::max(1, std::min(gray.rows, gray.cols) / 60));
  int count = 0;
  for (int y = 0; y < gray.rows; ++y) {
    const uchar *on = gray.ptr(y), *under = paper.ptr(y);
    for (int x = 0; x < gray.cols; ++x) count += under[x] >= on[x] + kClear;
  }
  return count;
}

bool is_light_on_dark(const cv::Mat& gray) {
  return quantile(histogram(gray), 2) < kDarkFrame && 2 * clear_pixels(255 - gray) > 3 * clear_pixels(gray);
}

cv::Mat paper_of(const cv::Mat& gray) {
  if (std::max(gray.rows, gray.cols) < kLongSide * 5 / 8) {
    return paper_under(gray, std::min(gray.rows, gray.cols) / 12);
  }
  cv::Mat half((gray.rows + 1) / 2, (gray.cols + 1) / 2, CV_8U);
  for (int y = 0; y < half.rows; ++y) {
    const uchar *upper = gray.ptr(2 * y), *lower = gray.ptr(std::min(2 * y + 1, gray.rows - 1));
    uchar* out = half.ptr(y);
    int x = 0;
#if CV_SIMD128
    for (; 2 * x + 32 <= gray.cols; x += 16) {
      cv::v_uint8x16 columns[4];
      cv::v_load_deinterleave(upper + 2 * x, columns[0], columns[1]);
      cv::v_load_deinterleave(lower + 2 * x, columns[2], columns[3]);
      cv::v_uint16x8 sums[2] = {cv::v_setall_u16(2), cv::v_setall_u16(2)};
      for (const cv::v_uint8x16& column : columns) {
        cv::v_uint16x8 low, high;
        cv::v_expand(column, low, high);
        sums[0] = cv::v_add_wrap(sums[0], low);
        sums[1] = cv::v_add_wrap(sums[1], high);
      }
      cv::v_store(out + x, cv::v_pack(cv::v_shr<2>(sums[0]), cv::v_shr<2>(sums[1])));
    }
#endif
    for (; x < gray.cols / 2; ++x) {
      const int sum = upper[2 * x] + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1];
      out[x] = static_cast<uchar>((sum + 2) >> 2);
    }
    const int last = gray.cols - 1;
    if (gray.cols % 2) out[half.cols - 1] = static_cast<uchar>((2 * upper[last] + 2 * lower[last] + 2) >> 2);
  }
  const cv::Mat paper = paper_under(half, std::min(half.rows, half.cols) / 12);
  cv::Mat whole(gray.size(), CV_8U);
  for (int y = 0; y < gray.rows; ++y) {
    const uchar* from = paper.ptr(y / 2);
    uchar* out = whole.ptr(y);
    if (y % 2) {
      std::memcpy(out, whole.ptr(y - 1), static_cast<size_t>(gray.cols));
      continue;
    }
    for (int x = 0; x < gray.cols / 2; ++x) out[2 * x] = out[2 * x + 1] = from[x];
    out[gray.cols - 1] = from[half.cols - 1];
  }
  return whole;
}

cv::Mat ink_on(const cv::Mat& gray, const cv::Mat& paper) {
  std::array<uint16_t, 256> shares;
  for (int light = 0; light < 256; ++light) {
    shares[light] = static_cast<uint16_t>(255 * 256 / (light + kDarkness));
  }
  cv::Mat taken, ink(gray.size(), CV_8U);
  cv::subtract(paper, gray, taken);  // not below 0
  std::vector<uint16_t> share(static_cast<size_t>(gray.cols));
  for (int y = 0; y < gray.rows; ++y) {
    const uchar *from = taken.ptr(y), *under = paper.ptr(y);
    // The paper's rows are mostly in pairs.
    if (y == 0 || std::memcmp(under, paper.ptr(y - 1), share.size()) != 0) {
      for (int x = 0; x < gray.cols; ++x) share[x] = shares[under[x]];
    }
    uchar* out = ink.ptr(y);
    int x = 0;
#if CV_SIMD128
    for (; x + 16 <= gray.cols; x += 16) {
      cv::v_uint16x8 low, high;
      cv::v_expand(cv::v_load(from + x), low, high);
      // The upper half of 256 times the product is the product by 256, rounded down.
      low = cv::v_mul_hi(cv::v_shl<8>(low), cv::v_load(&share[x]));
      high = cv::v_mul_hi(cv::v_shl<8>(high), cv::v_load(&share[x + 8]));
      cv::v_store(out + x, cv::v_pack(low, high));
    }
#endif
    for (; x < gray.cols; ++x) out[x] = static_cast<uchar>(from[x] * share[x] >> 8);
  }
  return ink;
}

// --- from ink to pieces --------------------------------------------------------------

struct Run {
  int row, start, end;
};

// The smallest member of the group that `one` is in; shortens the way there.
int first_of(std::vector<int>& name, int one) {
  while (name[one] != one) one = name[one] = name[name[one]];
  return one;
}

void join(std::vector<int>& name, int one, int other) {
  one = first_of(name, one);
  other = first_of(name, other);
  name[std::max(one, other)] = std::min(one, other);
}

// 8-connected components of a mask of 0 and 255: their runs, which component each run is of, and the
// components.
struct Components {
  std::vector<Run> runs;
  std::vector<int> names;
  Pieces pieces;
};

Components components(const cv::Mat& mask, const cv::Mat& ink) {
  Components found;
  std::vector<Run>& runs = found.runs;
  std::vector<int> name;
  size_t above = 0, row_start = 0;  // runs of the row above from here, and of this row
  for (int y = 0; y < mask.rows; ++y) {
    const size_t above_end = runs.size();
    above = row_start;
    row_start = above_end;
    const uchar* set = mask.ptr(y);
    for (int x = 0; x < mask.cols; ++x) {
      // A row is mostly empty, and the library looks at many bytes at once.
      const void* next = std::memchr(set + x, 255, static_cast<size_t>(mask.cols - x));
      if (!next) break;
      x = static_cast<int>(static_cast<const uchar*>(next) - set);
      const int start = x;
      while (x < mask.cols && set[x]) ++x;
      const int number = static_cast<int>(runs.size());
      runs.push_back({y, start, x});
      name.push_back(number);
      while (above < above_end && runs[above].end < start) ++above;
      for (size_t i = above; i < above_end && runs[i].start <= x; ++i) {
        join(name, static_cast<int>(i), number);
      }
    }
  }
  found.names.resize(runs.size());
  for (size_t i = 0; i < runs.size(); ++i) {
    const int first = first_of(name, static_cast<int>(i));
    const Run& run = runs[i];
    if (first == static_cast<int>(i)) {
      found.names[i] = static_cast<int>(found.pieces.size());
      found.pieces.push_back(
          {run.row, run.start, run.row + 1, run.end, 0, 0, 0, found.names[i]});
    } else {
      found.names[i] = found.names[first];
    }
    Piece& piece = found.pieces[found.names[i]];
    piece.left = std::min<int64_t>(piece.left, run.start);
    piece.right = std::max<int64_t>(piece.right, run.end);
    piece.bottom = run.row + 1;
    piece.area += run.end - run.start;
    piece.runs += 1;
    const uchar* values = ink.ptr(run.row);
    piece.ink = std::accumulate(values + run.start, values + run.end, piece.ink);
  }
  return found;
}

bool too_large(const Piece& piece, int height, int width) {
  const int64_t h = piece.height(), w = piece.width();
  const bool fills = 20 * w >= 19 * width || (10 * h >= 9 * height && 10 * w >= 9 * width);
  const bool wide = 3 * w >= width && 5 * w >= 8 * h;
  const bool blot = 3 * h > w && 9 * piece.area > 5 * piece.runs * std::max(h, w);
  return fills || wide || blot;
}

// The least ink of a stroke; `found` gets the components of what has as much.
int faintest(const cv::Mat& ink, Components& found) {
  const std::array<int, 256> counts = histogram(ink);
  int lowest = std::max(kLeastInk, std::min(4 * quantile(counts, 2), quantile(counts, 3) * 15 / 8));
  for (int round = 0; round < kDense; ++round) {
    found = components(ink >= lowest, ink);
    const auto count = std::count_if(
        found.pieces.begin(), found.pieces.end(),
        [](const Piece& piece) { return std::max(piece.height(), piece.width()) >= 4; });
    if (count <= (round ? kNoise / 4 : kNoise)) return lowest;
    lowest += lowest / 2;
  }
  found = components(ink >= lowest, ink);
  return lowest;
}

// Pixels of pieces of ink; `found`: the components at the lowest threshold. `across`: what goes
// from border to border is none.
cv::Mat strokes_of(const cv::Mat& ink, int lowest, Components found, bool across) {
  cv::Mat mask = cv::Mat::zeros(ink.size(), CV_8U), strokes = mask.clone();
  int level = lowest;
  for (int round = 0; round < kRounds && !found.pieces.empty(); ++round) {
    if (round) {
      found = components(mask, ink);
      mask = 0;
    }
    level += level / 4 + 1;
    for (size_t i = 0; i < found.runs.size(); ++i) {
      const Run& run = found.runs[i];
      const Piece& piece = found.pieces[found.names[i]];
      const bool large = too_large(piece, ink.rows, ink.cols) ||
                         (across && piece.height() == ink.rows);
      int64_t edge = piece.ink * 5 / (8 * piece.area);
      if (large) edge = std::max<int64_t>(edge, level);
      const uchar* values = ink.ptr(run.row);
      uchar* kept = (large ? mask : strokes).ptr(run.row);
      for (int x = run.start; x < run.end; ++x) kept[x] = values[x] >= edge ? 255 : 0;
    }
  }
  return strokes;
}

// `names` gets the number of each pixel's piece and one more (at most 65535), CV_16U; `lowest` the
// lowest threshold.
Pieces find_pieces(const cv::Mat& ink, cv::Mat& names, int& lowest) {
  Components dark;
  lowest = faintest(ink, dark);
  Components found = components(strokes_of(ink, lowest, dark, true), ink);
  if (found.pieces.empty()) {  // perhaps one digit, as large as the frame
    found = components(strokes_of(ink, lowest, dark, false), ink);
  }
  names = cv::Mat::zeros(ink.size(), CV_16U);
  for (size_t i = 0; i < found.runs.size(); ++i) {
    const Run& run = found.runs[i];
    uint16_t* row = names.ptr<uint16_t>(run.row);
    std::fill(row + run.start, row + run.end,
              static_cast<uint16_t>(std::min(found.names[i] + 1, 65535)));
  }
  return std::move(found.pieces);
}

// --- from pieces to digits -----------------------------------------------------------

bool has_shape(const Piece& piece, int height, int width) {
  const int64_t h = piece.height(), w = piece.width();
  const bool high = h >= std::max(8, std::min(height, width) / 30);
  const bool blot = 3 * w > h && 20 * piece.area > 17 * h * w;
  const bool whole = 20 * h >= 19 * height && 20 * w >= 19 * width;
  return high && w <= 2 * h && h <= 14 * w && !blot && !whole;
}

int near_border(int height, int width) { return 1 + std::min(height, width) / 128; }

bool is_line(const Piece& piece, int lowest, int height, int width) {
  const int64_t h = piece.height(), w = piece.width();
  return 5 * piece.ink < std::max(6 * lowest, 5 * kPalest) * piece.area ||
         (w >= 6 * h && 3 * w >= width) || (h >= 8 * w && 5 * h >= 4 * height);
}

bool is_inside(const Piece& inner, const Piece& outer) {
  return outer.top <= inner.top && outer.left <= inner.left && outer.bottom >= inner.bottom &&
         outer.right >= inner.right;
}

// Whether the inner piece keeps away from all four sides of the outer one.
bool is_clear(const Piece& inner, const Piece& outer) {
  return outer.top + 2 < inner.top && outer.left + 2 < inner.left &&
         outer.bottom > inner.bottom + 2 && outer.right > inner.right + 2;
}

// Whether a piece goes around a whole digit, or around several.
bool is_frame(size_t outer, const Pieces& pieces, int height, int width) {
  int within = 0, tall_within = 0;
  const Piece& around = pieces[outer];
  const int64_t h = around.height();
  const int near = near_border(height, width);
  const bool at_border = around.top <= near || around.left <= near ||
                         around.bottom >= height - near || around.right >= width - near;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (i == outer || !is_inside(pieces[i], around)) continue;
    if (10 * pieces[i].height() >= 3 * h && (at_border || is_clear(pieces[i], around))) return true;
    if (!has_shape(pieces[i], height, width)) continue;
    ++within;
    tall_within += 8 * pieces[i].height() >= h;
  }
  return tall_within >= 2 || within >= 8;
}

// Height of the writing.
int64_t typical(const Pieces& pieces, int height, int width) {
  std::vector<int64_t> heights;
  for (const Piece& piece : pieces) {
    if (has_shape(piece, height, width)) heights.push_back(piece.height());
  }
  if (heights.empty()) return 0;
  std::sort(heights.begin(), heights.end());
  const auto first = std::find_if(heights.begin(), heights.end(),
                                  [&](int64_t h) { return 6 * h >= heights.back(); });
  return *(first + (heights.end() - first) / 2);
}

// Whether a piece at the border is a bit of what goes on outside, or a bar along it; `tall`: the
// height of the digits within.
bool is_bit(const Piece& piece, int64_t tall, int height, int width) {
  const int64_t h = piece.height(), w = piece.width();
  const int near = near_border(height, width);
  const bool at_end = piece.top <= near || piece.bottom >= height - near;
  const bool at_side = piece.left <= near || piece.right >= width - near;
  const bool cut_end = piece.top == 0 || piece.bottom == height;
  const bool cut_side = piece.left == 0 || piece.right == width;
  const bool small = tall == 0 || 3 * h < 2 * tall;
  return (at_end && 3 * h < height && ((cut_end && small) || 2 * h < w)) ||
         (at_side && 6 * w < width && ((cut_side && small) || 3 * w < h));
}

void drop_bits(Pieces& pieces, int height, int width) {
  const int near = near_border(height, width);
  Pieces within;
  for (const Piece& piece : pieces) {
    if (piece.top > near && piece.bottom < height - near && piece.left > near &&
        piece.right < width - near) {
      within.push_back(piece);
    }
  }
  const int64_t tall = typical(within, height, width);
  pieces.erase(std::remove_if(pieces.begin(), pieces.end(),
                              [&](const Piece& p) { return is_bit(p, tall, height, width); }),
               pieces.end());
}

Pieces drop_lines(Pieces pieces, int lowest, int height, int width) {
  const auto drop = [&pieces](const auto& unwanted) {
    pieces.erase(std::remove_if(pieces.begin(), pieces.end(), unwanted), pieces.end());
  };
  drop([](const Piece& piece) { return std::max(piece.height(), piece.width()) < 4; });
  if (static_cast<int64_t>(pieces.size()) > kNoise) return {};
  drop([&](const Piece& piece) { return is_line(piece, lowest, height, width); });
  drop_bits(pieces, height, width);
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return std::make_tuple(-a.ink, a.right, a.bottom, a.left, a.top) <
           std::make_tuple(-b.ink, b.right, b.bottom, b.left, b.top);
  });
  if (pieces.size() > kMostPieces) pieces.resize(kMostPieces);

  int64_t weighted = 0, amount = 0;
  for (const Piece& piece : pieces) {
    if (!has_shape(piece, height, width)) continue;
    const int64_t weight = piece.ink * piece.strength() * piece.strength();
    weighted += weight * piece.strength();
    amount += weight;
  }
  if (amount > 0) {
    const int64_t writing = weighted / amount;
    drop([&](const Piece& piece) { return 5 * piece.strength() < 2 * writing; });
  }

  Pieces kept;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (!is_frame(i, pieces, height, width)) kept.push_back(pieces[i]);
  }
  return kept;
}

// Whether `bar` is the bar of a 5, flat, at the head of the rest and to its right.
bool is_bar_of(const Piece& bar, const Piece& rest, int64_t size, int64_t tall) {
  const auto is_flat = [tall](const Piece& piece) {
    const int64_t h = piece.height(), w = piece.width();
    return 3 * h <= tall && w <= tall && 4 * w >= tall && 2 * w >= 3 * h;
  };
  return is_flat(bar) && !is_flat(rest) && bar.left >= rest.left &&
         10 * (bar.left - rest.right) <= size && 10 * (rest.top - bar.bottom) <= size &&
         3 * (bar.top - rest.top) <= rest.height();
}

// Whether two pieces are of one digit; `few`: there are too few to tell the height of the writing.
bool belong(const Piece& a, const Piece& b, int64_t tall, bool few) {
  if (2 * a.strength() < b.strength() || 2 * b.strength() < a.strength()) return false;
  // Shared; a gap is negative.
  const int64_t across = std::min(a.right, b.right) - std::max(a.left, b.left);
  const int64_t along = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  const int64_t narrower = std::min(a.width(), b.width());
  const int64_t lower = std::min(a.height(), b.height());
  const int64_t size = std::max(std::max(a.height(), a.width() * 3 / 4),
                                std::max(b.height(), b.width() * 3 / 4));
  const int64_t smaller =
      std::min(std::max(a.height(), a.width()), std::max(b.height(), b.width()));
  const bool inside = across >= narrower && along >= lower && 3 * smaller <= 2 * size;
  const bool part = 5 * smaller <= 2 * tall && 8 * smaller >= tall;
  const int64_t both = std::max(a.bottom, b.bottom) - std::min(a.top, b.top);
  const int64_t wide = std::max(a.right, b.right) - std::min(a.left, b.left);
  const bool halves = ((4 * along <= lower && 4 * both <= 5 * tall) || (few && 2 * along <= lower)) &&
                      2 * wide <= 3 * std::max(tall, both);
  const bool stacked = 3 * across >= narrower && -10 * along <= size && (part || halves);
  const bool crumb = part && -10 * across <= size && -10 * along <= size;
  return inside || stacked || crumb || is_bar_of(a, b, size, tall) || is_bar_of(b, a, size, tall);
}

Pieces join_pieces(Pieces pieces, int height, int width) {
  while (true) {
    std::vector<int> name(pieces.size());
    std::iota(name.begin(), name.end(), 0);
    const int64_t tall = std::max<int64_t>(typical(pieces, height, width), 1);
    const bool few = std::count_if(pieces.begin(), pieces.end(), [&](const Piece& piece) {
                       return has_shape(piece, height, width);
                     }) <= 2;
    for (size_t i = 0; i < pieces.size(); ++i) {
      for (size_t j = i + 1; j < pieces.size(); ++j) {
        if (belong(pieces[i], pieces[j], tall, few)) join(name, static_cast<int>(i), static_cast<int>(j));
      }
    }
    Pieces whole;
    std::vector<size_t> place(pieces.size());
    for (size_t i = 0; i < pieces.size(); ++i) {
      const size_t first = static_cast<size_t>(first_of(name, static_cast<int>(i)));
      if (first == i) {
        place[i] = whole.size();
        whole.push_back(pieces[i]);
        continue;
      }
      Piece& all = whole[place[first]];
      all.top = std::min(all.top, pieces[i].top);
      all.left = std::min(all.left, pieces[i].left);
      all.bottom = std::max(all.bottom, pieces[i].bottom);
      all.right = std::max(all.right, pieces[i].right);
      all.area += pieces[i].area;
      all.ink += pieces[i].ink;
      all.runs += pieces[i].runs;
    }
    if (whole.size() == pieces.size()) return pieces;
    pieces = whole;
  }
}

Pieces choose_digits(const Pieces& pieces, int height, int width) {
  const int64_t tall = typical(pieces, height, width);
  if (!tall) return {};
  const auto is_shaped = [&](const Piece& piece) {
    const int64_t h = piece.height(), w = piece.width();
    // A scribble crosses a row more often than a digit, or its pen is too thin for its size.
    const bool scribble = 8 * piece.runs > 7 * std::max(4 * h, 5 * w) ||
                          12 * piece.area < h * w || 36 * piece.area < piece.runs * std::max(h, w);
    return !scribble &&
           (has_shape(piece, height, width) ||
            (w > 2 * h && w <= 8 * h && 10 * h >= 6 * tall && 10 * h <= 16 * tall));
  };
  int64_t darkest = -1;
  for (const Piece& piece : pieces) {
    if (is_shaped(piece) && 2 * piece.height() >= tall) {
      darkest = std::max(darkest, piece.strength());
    }
  }
  if (darkest < 0) return {};
  Pieces chosen;
  for (const Piece& piece : pieces) {
    if (is_shaped(piece) && 3 * piece.height() >= tall && 3 * piece.strength() >= darkest) {
      chosen.push_back(piece);
    }
  }
  const auto thick = [](const Piece& piece) { return 16 * piece.area / piece.runs; };
  const auto is_sliver = [](const Piece& piece) { return 5 * piece.width() < piece.height(); };
  std::vector<int64_t> others;
  int64_t tallest = 0;
  for (const Piece& piece : chosen) {
    if (is_sliver(piece)) continue;
    others.push_back(thick(piece));
    tallest = std::max(tallest, piece.height());
  }
  if (others.empty()) return chosen;
  std::sort(others.begin(), others.end());
  const int64_t usual = others[others.size() / 2];
  chosen.erase(std::remove_if(chosen.begin(), chosen.end(),
                              [&](const Piece& piece) {
                                const int64_t h = piece.height();
                                return (is_sliver(piece) && 3 * thick(piece) < usual) ||
                                       (4 * piece.width() < h && 2 * h > 3 * tallest);
                              }),
               chosen.end());
  return chosen;
}

}  // namespace

// --- the order of reading ------------------------------------------------------------

std::vector<size_t> reading_order(const std::vector<cv::Rect>& boxes) {
  std::vector<size_t> from_left(boxes.size());
  std::iota(from_left.begin(), from_left.end(), 0);
  std::stable_sort(from_left.begin(), from_left.end(), [&](size_t i, size_t j) {
    const cv::Rect &a = boxes[i], &b = boxes[j];
    return std::make_tuple(a.x, a.y, a.x + a.width, a.y + a.height) <
           std::make_tuple(b.x, b.y, b.x + b.width, b.y + b.height);
  });
  std::vector<std::vector<size_t>> lines;
  for (const size_t i : from_left) {
    const cv::Rect& box = boxes[i];
    const auto goes_on = [&](const std::vector<size_t>& line) {
      const cv::Rect& end = boxes[line.back()];
      const int beside =
          std::min(box.y + box.height, end.y + end.height) - std::max(box.y, end.y);
      return 2 * beside >= std::min(box.height, end.height);
    };
    const auto line = std::find_if(lines.begin(), lines.end(), goes_on);
    if (line == lines.end()) {
      lines.push_back({i});
    } else {
      line->push_back(i);
    }
  }
  std::stable_sort(lines.begin(), lines.end(), [&](const auto& a, const auto& b) {
    const cv::Rect &one = boxes[a[0]], &other = boxes[b[0]];
    return std::make_tuple(2 * one.y + one.height, one.x) <
           std::make_tuple(2 * other.y + other.height, other.x);
  });
  std::vector<size_t> ordered;
  for (const auto& line : lines) ordered.insert(ordered.end(), line.begin(), line.end());
  return ordered;
}

// --- a page --------------------------------------------------------------------------

namespace {

cv::Mat as_bgr(const cv::Mat& frame) {
  if (frame.depth() != CV_8U) throw std::invalid_argument("8 bits a channel are read");
  const int channels = frame.channels();
  if (frame.empty() || channels == 3) return frame;
  if (channels != 1 && channels != 4) {
    throw std::invalid_argument("a frame has 1, 3 or 4 channels");
  }
  cv::Mat result;
  cv::cvtColor(frame, result, channels == 1 ? cv::COLOR_GRAY2BGR : cv::COLOR_BGRA2BGR);
  return result;
}

// number / by, for a number below 65,536 and a divisor from 1 to 255: the module's processor, a
// Cortex-A7, divides slowly. Too much by less than a 256th, so never up to the next whole number.
int quotient(int number, int by) {
  static const std::array<uint32_t, 256> inverses = [] {
    std::array<uint32_t, 256> all{};
    for (uint32_t i = 1; i < 256; ++i) all[i] = (1u << 24) / i + 1;
    return all;
  }();
  return static_cast<int>(static_cast<uint64_t>(number) * inverses[by] >> 24);
}

int floored(int value, int by) { return value >= 0 ? value / by : -((-value + by - 1) / by); }

// Mean of a block of `factor` x `factor` pixels that may reach beyond the frame, where there is
// nothing; `inverted`: of what the pixels lack to 255.
void put_mean(const cv::Mat& frame, int left, int top, int factor, bool inverted, uchar* out) {
  const int pixels = factor * factor;
  const int x0 = std::max(left, 0), x1 = std::min(left + factor, frame.cols);
  const int y0 = std::max(top, 0), y1 = std::min(top + factor, frame.rows);
  int sum[3] = {pixels / 2, pixels / 2, pixels / 2};
  for (int y = y0; y < y1; ++y) {
    const uchar* pixel = frame.ptr(y) + 3 * x0;
    for (int x = x0; x < x1; ++x, pixel += 3) {
      for (int k = 0; k < 3; ++k) sum[k] += pixel[k];
    }
  }
  const int seen = 255 * (x1 - x0) * (y1 - y0) + 2 * (pixels / 2);
  for (int k = 0; k < 3; ++k) {
    const int all = inverted ? seen - sum[k] : sum[k];
    out[k] = static_cast<uchar>(pixels == 1 ? all : pixels == 4 ? all >> 2 : all / pixels);
  }
}

// Up to three places, apart from each other and from the ends, where `amounts` is least.
std::vector<int> thinnest(const std::vector<int>& amounts) {
  const int length = static_cast<int>(amounts.size());
  std::vector<std::tuple<int, int, int>> order;
  for (int at = length / 5; at < length - length / 5; ++at) {
    order.emplace_back(amounts[at], std::abs(2 * at - length), at);
  }
  std::sort(order.begin(), order.end());
  std::vector<int> chosen;
  for (const auto& candidate : order) {
    const int at = std::get<2>(candidate);
    const bool apart = std::all_of(chosen.begin(), chosen.end(), [&](int other) {
      return 8 * std::abs(at - other) >= length;
    });
    if (chosen.size() < 3 && apart) chosen.push_back(at);
  }
  return chosen;
}

// The box of what is not 0.
cv::Rect trimmed_to_ink(const cv::Mat& ink) {
  int left = ink.cols, top = ink.rows, right = 0, bottom = 0;
  for (int y = 0; y < ink.rows; ++y) {
    const uchar* row = ink.ptr(y);
    for (int x = 0; x < ink.cols; ++x) {
      if (!row[x]) continue;
      left = std::min(left, x);
      top = std::min(top, y);
      right = std::max(right, x + 1);
      bottom = y + 1;
    }
  }
  return right ? cv::Rect(left, top, right - left, bottom - top) : cv::Rect();
}

}  // namespace

Page::Page(const cv::Mat& given) : frame_(as_bgr(given)) {
  if (std::min(frame_.rows, frame_.cols) < 16) return;
  cv::Mat gray = reduced_gray(frame_, scale_);
  if (std::min(gray.rows, gray.cols) < 16) return;
  dark_ = is_light_on_dark(gray);
  if (dark_) gray = 255 - gray;
  paper_ = paper_of(gray);
  const int height = gray.rows, width = gray.cols;
  ink_ = without_lines(ink_on(gray, paper_), kLeastInk, std::max(2, std::max(height, width) / 42));
  Pieces pieces = find_pieces(ink_, names_, lowest_);
  areas_.assign(pieces.size() + 1, 0);
  kept_.assign(pieces.size() + 1, 0);
  for (const Piece& piece : pieces) areas_[piece.name + 1] = static_cast<int>(piece.area);
  pieces = drop_lines(std::move(pieces), lowest_, height, width);
  for (const Piece& piece : pieces) kept_[piece.name + 1] = 1;
  pieces = choose_digits(join_pieces(std::move(pieces), height, width), height, width);
  std::vector<cv::Rect> found;
  for (const Piece& piece : pieces) {
    found.emplace_back(static_cast<int>(piece.left), static_cast<int>(piece.top),
                       static_cast<int>(piece.width()), static_cast<int>(piece.height()));
  }
  for (const size_t i : reading_order(found)) {
    const cv::Rect& box = found[i];
    if (boxes.size() == kMostDigits) {
      ++more;
    } else {
      boxes.emplace_back(box.x * scale_, box.y * scale_, box.width * scale_, box.height * scale_);
    }
  }
}

cv::Mat Page::own(const cv::Rect& place) const {
  std::vector<int> inside(kept_.size(), 0);
  for (int y = place.y; y < place.y + place.height; ++y) {
    const uint16_t* row = names_.ptr<uint16_t>(y);
    for (int x = place.x; x < place.x + place.width; ++x) {
      if (kept_[row[x]]) ++inside[row[x]];
    }
  }
  const int all = std::accumulate(inside.begin(), inside.end(), 0);
  cv::Mat own(place.size(), CV_8U);
  for (int y = 0; y < place.height; ++y) {
    const uint16_t* row = names_.ptr<uint16_t>(place.y + y) + place.x;
    uchar* out = own.ptr(y);
    for (int x = 0; x < place.width; ++x) {
      const int count = inside[row[x]];
      out[x] = count > 0 && (2 * count >= areas_[row[x]] || 2 * count >= all) ? 255 : 0;
    }
  }
  return own;
}

cv::Rect Page::place_of(const cv::Rect& box) const {
  const cv::Rect all(0, 0, names_.cols, names_.rows);
  return cv::Rect(box.x / scale_, box.y / scale_, box.width / scale_, box.height / scale_) & all;
}

cv::Mat Page::crop(const cv::Rect& box, bool wider) const {
  const int longest = std::max(box.width, box.height);
  const int side = longest * (wider ? 10 : 8) / 5 + 2;
  const int factor = (side + kCrop - 1) / kCrop, size = side / factor;
  const int left = box.x + floored(box.width - size * factor, 2);
  const int top = box.y + floored(box.height - size * factor, 2);
  // This digit's ink, and what is near it.
  const int reach = 1 + longest / scale_ / 32;
  const cv::Rect place = place_of(box);
  cv::Mat around, near;
  cv::copyMakeBorder(own(place), around, reach, reach, reach, reach, cv::BORDER_CONSTANT, 0);
  cv::dilate(around, near, cv::Mat::ones(2 * reach + 1, 2 * reach + 1, CV_8U));

  cv::Mat picture(size, size, CV_8UC3);
  cv::Mat paper = cv::Mat::zeros(size, size, CV_8U);  // 0: not this digit
  std::array<int64_t, 3> bare{0, 0, 0};
  int64_t count = 0;
  std::vector<int> columns(static_cast<size_t>(size));
  for (int j = 0; j < size; ++j) columns[j] = floored(left + j * factor + factor / 2, scale_);
  const auto column_from = [&columns](int x) {
    return static_cast<int>(std::lower_bound(columns.begin(), columns.end(), x) - columns.begin());
  };
  const int near_from = column_from(place.x - reach);
  const int near_to = column_from(place.x - reach + near.cols);
  for (int i = 0; i < size; ++i) {
    const int y = floored(top + i * factor + factor / 2, scale_), r = y - place.y + reach;
    if (y < 0 || y >= names_.rows) continue;
    const uint16_t* names = names_.ptr<uint16_t>(y);
    const bool beside = r < 0 || r >= near.rows;
    // Away from the digit only every second block of every second row is looked at.
    if (beside && i % 2) continue;
    for (int j = i % 2 ? near_from : 0; j < (i % 2 ? near_to : size); ++j) {
      const int x = columns[j], c = x - place.x + reach;
      if (x < 0 || x >= names_.cols) continue;
      const bool inside = !beside && j >= near_from && j < near_to;
      const bool mine = inside && near.ptr(r)[c] && (names[x] == 0 || around.ptr(r)[c]);
      if (!mine && (i % 2 || j % 2 || names[x] || ink_.ptr(y)[x] >= lowest_)) continue;
      uchar* block = picture.ptr(i) + 3 * j;
      put_mean(frame_, left + j * factor, top + i * factor, factor, dark_, block);
      if (mine) {
        paper.ptr(i)[j] = std::max<uchar>(paper_.ptr(y)[x], 1);
      } else {
        for (int k = 0; k < 3; ++k) bare[k] += block[k];
        ++count;
      }
    }
  }
  std::array<int, 3> tone{200, 200, 200};
  if (count) {
    for (int k = 0; k < 3; ++k) tone[k] = static_cast<int>((bare[k] + count / 2) / count);
  }
  const int gray = (29 * tone[0] + 150 * tone[1] + 77 * tone[2]) >> 8;
  for (int i = 0; i < size; ++i) {
    const uchar* under = paper.ptr(i);
    uchar* out = picture.ptr(i);
    for (int j = 0; j < size; ++j, out += 3) {
      for (int k = 0; k < 3; ++k) {
        const int ink = under[j] ? quotient(out[k] * gray, under[j]) : tone[k];
        out[k] = static_cast<uchar>(std::min(ink, tone[k]));
      }
    }
  }
  return picture;
}

std::vector<std::array<cv::Rect, 2>> Page::cuts(const cv::Rect& box) const {
  const cv::Rect place = place_of(box);
  const cv::Mat ink = own(place);
  std::vector<int> heights;
  for (const cv::Rect& other : boxes) heights.push_back(other.height);
  std::sort(heights.begin(), heights.end());
  const int usual = heights[heights.size() / 2];
  std::vector<std::array<cv::Rect, 2>> parts;  // in `ink`
  // From the first to the last ink of each column, or row.
  const auto extents = [&ink](bool of_columns) {
    const size_t count = static_cast<size_t>(of_columns ? ink.cols : ink.rows);
    std::vector<int> first(count, 0), last(count, 0);
    for (int y = 0; y < ink.rows; ++y) {
      for (int x = 0; x < ink.cols; ++x) {
        if (!ink.at<uchar>(y, x)) continue;
        const int at = of_columns ? x : y, place = of_columns ? y : x;
        if (!last[at]) first[at] = place;
        last[at] = place + 1;
      }
    }
    for (size_t i = 0; i < count; ++i) last[i] -= first[i];
    return last;
  };
  if (4 * ink.cols >= 3 * ink.rows) {
    for (const int column : thinnest(extents(true))) {
      parts.push_back({cv::Rect(0, 0, column, ink.rows),
                       cv::Rect(column, 0, ink.cols - column, ink.rows)});
    }
  }
  if (heights.size() > 2 && 2 * box.height >= 3 * usual) {
    for (const int row : thinnest(extents(false))) {
      parts.push_back({cv::Rect(0, 0, ink.cols, row),
                       cv::Rect(0, row, ink.cols, ink.rows - row)});
    }
  }
  const int least = 2 * std::min(box.height, usual);
  std::vector<std::array<cv::Rect, 2>> pairs;
  for (const auto& pair : parts) {
    std::array<cv::Rect, 2> trimmed;
    bool good = true;
    for (size_t i = 0; i < 2; ++i) {
      const cv::Rect tight = trimmed_to_ink(ink(pair[i]));
      trimmed[i] = {(place.x + pair[i].x + tight.x) * scale_,
                    (place.y + pair[i].y + tight.y) * scale_, tight.width * scale_,
                    tight.height * scale_};
      good = good && !tight.empty() && 5 * trimmed[i].height >= least;
    }
    if (good) pairs.push_back(trimmed);
  }
  return pairs;
}

void keep_memory() {
#if defined(__GLIBC__) && !defined(__UCLIBC__)
  mallopt(M_MMAP_THRESHOLD, 64 << 20);
  mallopt(M_TRIM_THRESHOLD, 128 << 20);
#endif
}

std::vector<cv::Rect> locate(const cv::Mat& frame) { return Page(frame).boxes; }

cv::Mat crop(const cv::Mat& frame, const cv::Rect& box) { return Page(frame).crop(box); }

}  // namespace digits
