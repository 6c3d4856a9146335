// How it works is told in deploy/python/locator.py, function by function under the same names.

#include "locator.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <opencv2/imgproc.hpp>
#include <tuple>

namespace digits {
namespace {

constexpr int kLongSide = 320;      // the gray picture's longer side, about
constexpr int kDarkFrame = 112;     // median gray below which light strokes are looked for
constexpr int kClear = 12;          // gray levels between a light stroke and what is around it
constexpr int kDarkness = 64;       // added to the paper's gray: noise in shadows is no ink
constexpr int kLeastInk = 12;       // of 255: fainter is texture of the paper
constexpr size_t kMostPieces = 128; // more ink than this is no writing
constexpr size_t kMostDigits = 48;
constexpr int kRounds = 8;          // of raising the threshold of a piece that is too large

struct Piece {
  int64_t top, left, bottom, right;  // the box, end exclusive
  int64_t area, ink, runs;           // its pixels, the sum of their ink, stretches of a row

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
  std::vector<int> column(static_cast<size_t>(padded.cols));
  for (int y = 0; y < gray.rows; ++y) {
    const uchar* above = padded.ptr(y);
    const uchar* here = padded.ptr(y + 1);
    const uchar* below = padded.ptr(y + 2);
    for (int x = 0; x < padded.cols; ++x) column[x] = above[x] + here[x] + below[x];
    uchar* out = result.ptr(y);
    for (int x = 0; x < gray.cols; ++x) {
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
  std::vector<uint32_t> total(static_cast<size_t>(gray.cols));
  for (int y = 0; y < gray.rows; ++y) {
    std::fill(total.begin(), total.end(), 0u);
    for (int row = 0; row < scale; ++row) {
      const uchar* pixel = frame.ptr(y * scale + row);
      for (uint32_t& sum : total) {
        for (int column = 0; column < scale; ++column, pixel += 3) {
          // Weights of ITU-R BT.601, times 256.
          sum += 29u * pixel[0] + 150u * pixel[1] + 77u * pixel[2];
        }
      }
    }
    uchar* out = gray.ptr(y);
    for (int x = 0; x < gray.cols; ++x) {
      out[x] = static_cast<uchar>((total[x] + 128u * pixels) / (256u * pixels));
    }
  }
  return scale == 1 ? smoothed(gray) : gray;
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

// The lower median.
int median(const cv::Mat& picture) {
  std::array<int, 256> counts{};
  for (int y = 0; y < picture.rows; ++y) {
    for (const uchar *p = picture.ptr(y), *end = p + picture.cols; p != end; ++p) ++counts[*p];
  }
  const int half = (picture.rows * picture.cols + 1) / 2;
  int value = 0;
  for (int upto = counts[0]; upto < half; upto += counts[++value]) {
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
  return median(gray) < kDarkFrame && 2 * clear_pixels(255 - gray) > 3 * clear_pixels(gray);
}

cv::Mat ink_of_frame(cv::Mat gray) {
  if (is_light_on_dark(gray)) gray = 255 - gray;
  cv::Mat ink = paper_under(gray, std::min(gray.rows, gray.cols) / 12);
  for (int y = 0; y < gray.rows; ++y) {
    const uchar* on = gray.ptr(y);
    uchar* under = ink.ptr(y);
    for (int x = 0; x < gray.cols; ++x) {
      const int taken = std::max(0, under[x] - on[x]);
      under[x] = static_cast<uchar>(taken * 255 / (under[x] + kDarkness));
    }
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

// 8-connected components of a mask: their runs, which component each run is of, and the
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
      if (!set[x]) continue;
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
      found.pieces.push_back({run.row, run.start, run.row + 1, run.end, 0, 0, 0});
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
  const bool blot = 3 * h > w && 5 * piece.area > 2 * piece.runs * std::max(h, w);
  return fills || wide || blot;
}

Pieces find_pieces(const cv::Mat& ink, int& lowest) {
  lowest = std::max(kLeastInk, 4 * median(ink));
  int level = lowest;
  cv::Mat mask = ink >= lowest;
  cv::Mat strokes = cv::Mat::zeros(ink.size(), CV_8U);
  for (int round = 0; round < kRounds; ++round) {
    const Components found = components(mask, ink);
    if (found.pieces.empty()) break;
    level += level / 4 + 1;
    for (size_t i = 0; i < found.runs.size(); ++i) {
      const Run& run = found.runs[i];
      const Piece& piece = found.pieces[found.names[i]];
      const bool large = too_large(piece, ink.rows, ink.cols);
      int64_t edge = piece.ink * 5 / (8 * piece.area);
      if (large) edge = std::max<int64_t>(edge, level);
      const uchar* values = ink.ptr(run.row);
      uchar *left = mask.ptr(run.row), *done = strokes.ptr(run.row);
      for (int x = run.start; x < run.end; ++x) {
        const uchar kept = values[x] >= edge ? 255 : 0;
        (large ? left : done)[x] = kept;
        if (!large) left[x] = 0;
      }
    }
  }
  return components(strokes, ink).pieces;
}

// --- from pieces to digits -----------------------------------------------------------

bool has_shape(const Piece& piece, int height, int width) {
  const int64_t h = piece.height(), w = piece.width();
  const bool high = h >= std::max(8, std::min(height, width) / 30);
  const bool blot = 3 * w > h && 20 * piece.area > 17 * h * w;
  const bool whole = 20 * h >= 19 * height && 20 * w >= 19 * width;
  return high && w <= 2 * h && h <= 14 * w && !blot && !whole;
}

bool is_line_or_speck(const Piece& piece, int lowest, int height, int width) {
  const int64_t h = piece.height(), w = piece.width();
  const int near = 1 + std::min(height, width) / 64;
  const bool at_end = piece.top <= near || piece.bottom >= height - near;
  const bool at_side = piece.left <= near || piece.right >= width - near;
  return std::max(h, w) < 4 || 5 * piece.ink < 6 * lowest * piece.area ||
         (w >= 6 * h && 3 * w >= width) || (h >= 8 * w && 5 * h >= 4 * height) ||
         (at_end && 3 * h < height) || (at_side && 6 * w < width);
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
  const int near = 1 + std::min(height, width) / 64;
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

Pieces drop_lines(Pieces pieces, int lowest, int height, int width) {
  const auto drop = [&pieces](const auto& unwanted) {
    pieces.erase(std::remove_if(pieces.begin(), pieces.end(), unwanted), pieces.end());
  };
  drop([&](const Piece& piece) { return is_line_or_speck(piece, lowest, height, width); });
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return std::make_tuple(-a.ink, a.right, a.bottom, a.left, a.top) <
           std::make_tuple(-b.ink, b.right, b.bottom, b.left, b.top);
  });
  if (pieces.size() > kMostPieces) pieces.resize(kMostPieces);

  int64_t weighted = 0, amount = 0;
  for (const Piece& piece : pieces) {
    if (!has_shape(piece, height, width)) continue;
    weighted += piece.ink * piece.strength();
    amount += piece.ink;
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

bool belong(const Piece& a, const Piece& b) {
  if (2 * a.strength() < b.strength() || 2 * b.strength() < a.strength()) return false;
  // Shared; a gap is negative.
  const int64_t across = std::min(a.right, b.right) - std::max(a.left, b.left);
  const int64_t along = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  const int64_t narrower = std::min(a.width(), b.width());
  const int64_t size = std::max(std::max(a.height(), a.width() * 3 / 4),
                                std::max(b.height(), b.width() * 3 / 4));
  const int64_t smaller =
      std::min(std::max(a.height(), a.width()), std::max(b.height(), b.width()));
  const bool inside = across >= narrower && along >= std::min(a.height(), b.height());
  const bool stacked = 3 * across >= narrower && -10 * along <= size;
  const bool crumb = 2 * smaller <= size && -10 * across <= size && -10 * along <= size;
  return inside || stacked || crumb;
}

Pieces join_pieces(Pieces pieces) {
  while (true) {
    std::vector<int> name(pieces.size());
    std::iota(name.begin(), name.end(), 0);
    for (size_t i = 0; i < pieces.size(); ++i) {
      for (size_t j = i + 1; j < pieces.size(); ++j) {
        if (belong(pieces[i], pieces[j])) join(name, static_cast<int>(i), static_cast<int>(j));
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
  int64_t tallest = 0, darkest = 0;
  for (const Piece& piece : pieces) {
    if (has_shape(piece, height, width)) tallest = std::max(tallest, piece.height());
  }
  for (const Piece& piece : pieces) {
    if (has_shape(piece, height, width) && 2 * piece.height() >= tallest) {
      darkest = std::max(darkest, piece.strength());
    }
  }
  Pieces chosen;
  for (const Piece& piece : pieces) {
    if (has_shape(piece, height, width) && 5 * piece.height() >= 2 * tallest &&
        3 * piece.strength() >= darkest && chosen.size() < kMostDigits) {
      chosen.push_back(piece);
    }
  }
  return chosen;
}

Pieces reading_order(Pieces pieces) {
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return std::tie(a.left, a.top, a.right, a.bottom) < std::tie(b.left, b.top, b.right, b.bottom);
  });
  std::vector<Pieces> lines;
  for (const Piece& piece : pieces) {
    const auto goes_on = [&piece](const Pieces& line) {
      const Piece& end = line.back();
      const int64_t beside = std::min(piece.bottom, end.bottom) - std::max(piece.top, end.top);
      return 2 * beside >= std::min(piece.height(), end.height());
    };
    const auto line = std::find_if(lines.begin(), lines.end(), goes_on);
    if (line == lines.end()) {
      lines.push_back({piece});
    } else {
      line->push_back(piece);
    }
  }
  std::stable_sort(lines.begin(), lines.end(), [](const Pieces& a, const Pieces& b) {
    return std::make_tuple(a[0].top + a[0].bottom, a[0].left) <
           std::make_tuple(b[0].top + b[0].bottom, b[0].left);
  });
  Pieces ordered;
  for (const Pieces& line : lines) ordered.insert(ordered.end(), line.begin(), line.end());
  return ordered;
}

}  // namespace

std::vector<cv::Rect> locate(const cv::Mat& frame) {
  int scale = 1, lowest = 0;
  const cv::Mat gray = reduced_gray(frame, scale);
  if (std::min(gray.rows, gray.cols) < 16) return {};
  Pieces pieces = find_pieces(ink_of_frame(gray), lowest);
  pieces = join_pieces(drop_lines(std::move(pieces), lowest, gray.rows, gray.cols));
  std::vector<cv::Rect> boxes;
  for (const Piece& piece : reading_order(choose_digits(pieces, gray.rows, gray.cols))) {
    boxes.emplace_back(static_cast<int>(piece.left) * scale, static_cast<int>(piece.top) * scale,
                       static_cast<int>(piece.width()) * scale,
                       static_cast<int>(piece.height()) * scale);
  }
  return boxes;
}

cv::Rect square(const cv::Rect& box, int height, int width) {
  const int side = std::max(box.width, box.height) * 8 / 5 + 2;
  const int across = std::min(side, width), along = std::min(side, height);
  const int left = std::clamp((2 * box.x + box.width - across) / 2, 0, width - across);
  const int top = std::clamp((2 * box.y + box.height - along) / 2, 0, height - along);
  return {left, top, across, along};
}

}  // namespace digits
