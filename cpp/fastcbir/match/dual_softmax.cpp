#include "fastcbir/match/dual_softmax.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "fastcbir/core/parallel.hpp"

namespace fastcbir {
namespace {

constexpr std::size_t a_block = 16;
constexpr std::size_t b_block = 256;
// Rows are dealt into a fixed number of shares, whose column sums are added in order: equal answers for any number of
// threads.
constexpr std::size_t shares = 16;

// e^x for x <= 0, to 2 ulp or so; 0 below -87. Branch-free, so that compilers make vectors of it.
inline float exp_of_negative(float x) {
  const float bounded = std::max(x, -87.0f);
  const float shifted = bounded * 1.44269504f + 12582912.0f;  // + 1.5 * 2^23 rounds to a whole number
  const float whole = shifted - 12582912.0f;
  const float rest = (bounded - whole * 0.693145752f) - whole * 1.42860677e-6f;
  float sum = 1.3981999e-3f;
  sum = sum * rest + 8.3334519e-3f;
  sum = sum * rest + 4.1665796e-2f;
  sum = sum * rest + 1.6666666e-1f;
  sum = sum * rest + 0.5f;
  sum = sum * rest * rest + rest + 1.0f;
  const auto power = std::bit_cast<std::int32_t>(shifted) << 23;  // the whole number, as an exponent
  const float value = std::bit_cast<float>(std::bit_cast<std::int32_t>(sum) + power);
  return x < -87.0f ? 0.0f : value;
}

// log(sum(e^s)) of the rows or columns of s, as they pass by.
struct LogSums {
  std::vector<float> greatest;
  std::vector<float> sum;  // of e^(s - greatest)

  explicit LogSums(std::size_t count) : greatest(count, -infinity), sum(count, 0.0f) {}

  void merge(const LogSums& other) {
    for (std::size_t i = 0; i < sum.size(); ++i) {
      if (other.sum[i] == 0) continue;
      const float top = std::max(greatest[i], other.greatest[i]);
      sum[i] = sum[i] * exp_of_negative(greatest[i] - top) + other.sum[i] * exp_of_negative(other.greatest[i] - top);
      greatest[i] = top;
    }
  }

  float log(std::size_t i) const { return greatest[i] + std::log(sum[i]); }
};

struct Best {
  std::vector<float> value;
  std::vector<std::int32_t> place;

  explicit Best(std::size_t count) : value(count, -infinity), place(count, -1) {}
};

class Matcher {
 public:
  Matcher(const Space& space, const VectorStore& a, const VectorStore& b, float scale, std::size_t threads)
      : space_(space), a_(a), b_(b), scale_(scale), threads_(threads) {}

  void run() {
    share_rows_ = round_up((a_.size() + shares - 1) / shares, a_block);
    sum_up();
    find_best();
  }

  float confidence(std::size_t i) const {
    return std::exp(best_of_a_.value[i] - log_of_a_[i]);  // value: 2 s - log of column
  }
  std::int32_t best_of_a(std::size_t i) const { return best_of_a_.place[i]; }
  std::int32_t best_of_b(std::size_t j) const { return best_of_b_.place[j]; }

 private:
  using Tile = std::array<float, a_block * b_block>;

  // body(tile, first row, rows, first column, columns) over the tiles of a share; the tile holds s.
  template <class Body>
  void each_tile(std::size_t share, const Body& body) const {
    Tile tile;
    const std::size_t end = std::min(a_.size(), (share + 1) * share_rows_);
    for (std::size_t a_first = share * share_rows_; a_first < end; a_first += a_block) {
      const std::size_t a_count = std::min(a_block, end - a_first);
      for (std::size_t b_first = 0; b_first < b_.size(); b_first += b_block) {
        const std::size_t b_count = std::min(b_block, b_.size() - b_first);
        space_.kernels().tile(a_.row(static_cast<NodeId>(a_first)), a_.stride_bytes(), a_count,
                              b_.row(static_cast<NodeId>(b_first)), b_.stride_bytes(), b_count, space_.dim(),
                              tile.data(), b_block);
        for (float& value : tile) value *= -scale_;  // the kernel gives minus the product
        body(tile.data(), a_first, a_count, b_first, b_count);
      }
    }
  }

  void sum_up() {
    LogSums rows(a_.size());
    std::vector<LogSums> columns(shares, LogSums(b_.size()));
    parallel_for(shares, 1, threads_, nullptr, [&](std::size_t, std::size_t begin, std::size_t end) {
      for (std::size_t share = begin; share < end; ++share) {
        each_tile(share, [&](const float* tile, std::size_t a_first, std::size_t a_count, std::size_t b_first,
                             std::size_t b_count) {
          add_rows(tile, a_first, a_count, b_count, rows);
          add_columns(tile, a_count, b_first, b_count, columns[share]);
        });
      }
    });
    for (std::size_t share = 1; share < shares; ++share) columns[0].merge(columns[share]);
    log_of_a_.resize(a_.size());
    log_of_b_.resize(b_.size());
    for (std::size_t i = 0; i < a_.size(); ++i) log_of_a_[i] = rows.log(i);
    for (std::size_t j = 0; j < b_.size(); ++j) log_of_b_[j] = columns[0].log(j);
  }

  static void add_rows(const float* tile, std::size_t a_first, std::size_t a_count, std::size_t b_count,
                       LogSums& rows) {
    for (std::size_t i = 0; i < a_count; ++i) {
      const float* const row = tile + i * b_block;
      const float top = std::max(rows.greatest[a_first + i], *std::max_element(row, row + b_count));
      std::array<float, 8> lanes{};  // eight sums at once: one would wait for itself
      std::size_t j = 0;
      for (; j + 8 <= b_count; j += 8) {
        for (std::size_t lane = 0; lane < 8; ++lane) lanes[lane] += exp_of_negative(row[j + lane] - top);
      }
      float sum = 0;
      for (; j < b_count; ++j) sum += exp_of_negative(row[j] - top);
      for (const float lane : lanes) sum += lane;
      float& total = rows.sum[a_first + i];
      total = total * exp_of_negative(rows.greatest[a_first + i] - top) + sum;
      rows.greatest[a_first + i] = top;
    }
  }

  static void add_columns(const float* tile, std::size_t a_count, std::size_t b_first, std::size_t b_count,
                          LogSums& columns) {
    float* const greatest = columns.greatest.data() + b_first;
    float* const sum = columns.sum.data() + b_first;
    std::array<float, b_block> top;
    for (std::size_t j = 0; j < b_count; ++j) top[j] = greatest[j];
    for (std::size_t i = 0; i < a_count; ++i) {
      for (std::size_t j = 0; j < b_count; ++j) top[j] = std::max(top[j], tile[i * b_block + j]);
    }
    for (std::size_t j = 0; j < b_count; ++j) {
      sum[j] *= exp_of_negative(greatest[j] - top[j]);
      greatest[j] = top[j];
    }
    for (std::size_t i = 0; i < a_count; ++i) {
      for (std::size_t j = 0; j < b_count; ++j) sum[j] += exp_of_negative(tile[i * b_block + j] - top[j]);
    }
  }

  // log confidence = 2 s - log_of_a - log_of_b: the constant term of a row or column does not move its maximum.
  void find_best() {
    best_of_a_ = Best(a_.size());
    std::vector<Best> columns(shares, Best(b_.size()));
    parallel_for(shares, 1, threads_, nullptr, [&](std::size_t, std::size_t begin, std::size_t end) {
      for (std::size_t share = begin; share < end; ++share) {
        Best& of_b = columns[share];
        each_tile(share, [&](const float* tile, std::size_t a_first, std::size_t a_count, std::size_t b_first,
                             std::size_t b_count) {
          for (std::size_t i = 0; i < a_count; ++i) {
            const float* const row = tile + i * b_block;
            const auto number = static_cast<std::int32_t>(a_first + i);
            best_in_row(row, b_first, b_count, number);
            const float log_of_row = log_of_a_[a_first + i];
            float* const value = of_b.value.data() + b_first;
            std::int32_t* const place = of_b.place.data() + b_first;
            for (std::size_t j = 0; j < b_count; ++j) {
              const float found = 2 * row[j] - log_of_row;
              const bool better = found > value[j];
              value[j] = better ? found : value[j];
              place[j] = better ? number : place[j];
            }
          }
        });
      }
    });
    best_of_b_ = std::move(columns[0]);
    for (std::size_t share = 1; share < shares; ++share) {
      for (std::size_t j = 0; j < b_.size(); ++j) {
        if (columns[share].value[j] <= best_of_b_.value[j]) continue;
        best_of_b_.value[j] = columns[share].value[j];
        best_of_b_.place[j] = columns[share].place[j];
      }
    }
  }

  void best_in_row(const float* row, std::size_t b_first, std::size_t b_count, std::int32_t number) {
    float value = best_of_a_.value[number];
    std::int32_t place = best_of_a_.place[number];
    for (std::size_t j = 0; j < b_count; ++j) {
      const float found = 2 * row[j] - log_of_b_[b_first + j];
      if (found <= value) continue;
      value = found;
      place = static_cast<std::int32_t>(b_first + j);
    }
    best_of_a_.value[number] = value;
    best_of_a_.place[number] = place;
  }

  const Space& space_;
  const VectorStore& a_;
  const VectorStore& b_;
  float scale_;
  std::size_t threads_;
  std::size_t share_rows_ = 0;
  std::vector<float> log_of_a_;
  std::vector<float> log_of_b_;
  Best best_of_a_{0};
  Best best_of_b_{0};
};

bool inside(std::size_t cell, CellGrid grid, std::size_t border) {
  const std::size_t row = cell / grid.columns;
  const std::size_t column = cell % grid.columns;
  return row >= border && row + border < grid.rows && column >= border && column + border < grid.columns;
}

}  // namespace

std::vector<CoarseMatch> dual_softmax_matches(const Space& space, const VectorStore& a, CellGrid grid_a,
                                              const VectorStore& b, CellGrid grid_b, float scale, float threshold,
                                              std::size_t border, std::size_t threads) {
  std::vector<CoarseMatch> found;
  if (a.size() == 0 || b.size() == 0) return found;
  Matcher matcher(space, a, b, scale, threads);
  matcher.run();
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::int32_t j = matcher.best_of_a(i);
    if (j < 0 || matcher.best_of_b(static_cast<std::size_t>(j)) != static_cast<std::int32_t>(i)) continue;
    const float confidence = matcher.confidence(i);
    if (!(confidence > threshold)) continue;
    if (!inside(i, grid_a, border) || !inside(static_cast<std::size_t>(j), grid_b, border)) continue;
    found.push_back({static_cast<std::int32_t>(i), j, confidence});
  }
  return found;
}

}  // namespace fastcbir
