#include "fastcbir/match/nearest.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace fastcbir {
namespace {

// A block of distances (16 KiB) and the descriptors it compares stay in the first- and second-level caches.
constexpr std::size_t a_block = 16;
constexpr std::size_t b_block = 256;

// Values looked at in one go: most hold nothing new, which their minimum tells without a branch for each.
constexpr std::size_t glance = 32;

// Rows of one block of distances, `b_block` apart, against what was found before.
void take_rows(const float* values, std::size_t a_first, std::size_t a_count, std::size_t b_first, std::size_t b_count,
               const NearestOutput& out) {
  for (std::size_t i = 0; i < a_count; ++i) {
    const float* const row = values + i * b_block;
    float nearest = out.nearest[a_first + i];
    float second = out.second[a_first + i];
    std::int32_t place = out.b_of_a[a_first + i];
    for (std::size_t j = 0; j < b_count; j += glance) {
      const std::size_t end = std::min(b_count, j + glance);
      if (end == j + glance) {
        std::array<float, 8> least;
        for (std::size_t lane = 0; lane < 8; ++lane) least[lane] = row[j + lane];
        for (std::size_t k = 8; k < glance; k += 8) {
          for (std::size_t lane = 0; lane < 8; ++lane) least[lane] = std::min(least[lane], row[j + k + lane]);
        }
        if (*std::min_element(least.begin(), least.end()) >= second) continue;
      }
      for (std::size_t k = j; k < end; ++k) {
        if (row[k] >= second) continue;
        if (row[k] < nearest) {
          second = nearest;
          nearest = row[k];
          place = static_cast<std::int32_t>(b_first + k);
        } else {
          second = row[k];
        }
      }
    }
    out.nearest[a_first + i] = nearest;
    out.second[a_first + i] = second;
    out.b_of_a[a_first + i] = place;
  }
}

// The same for its columns.
void take_columns(const float* values, std::size_t a_first, std::size_t a_count, std::size_t b_first,
                  std::size_t b_count, std::vector<float>& nearest_of_b, const NearestOutput& out) {
  std::array<float, b_block> least;
  for (std::size_t j = 0; j < b_block; ++j) least[j] = values[j];
  for (std::size_t i = 1; i < a_count; ++i) {
    for (std::size_t j = 0; j < b_block; ++j) least[j] = std::min(least[j], values[i * b_block + j]);
  }
  for (std::size_t j = 0; j < b_count; ++j) {
    if (least[j] >= nearest_of_b[b_first + j]) continue;
    nearest_of_b[b_first + j] = least[j];
    std::size_t i = 0;
    while (values[i * b_block + j] != least[j]) ++i;
    out.a_of_b[b_first + j] = static_cast<std::int32_t>(a_first + i);
  }
}

}  // namespace

void nearest_both_ways(const Space& space, const VectorStore& a, const VectorStore& b, const NearestOutput& out) {
  std::fill_n(out.b_of_a, a.size(), -1);
  std::fill_n(out.nearest, a.size(), infinity);
  std::fill_n(out.second, a.size(), infinity);
  std::fill_n(out.a_of_b, b.size(), -1);
  std::vector<float> nearest_of_b(b.size(), infinity);
  std::array<float, a_block * b_block> values{};
  for (std::size_t a_first = 0; a_first < a.size(); a_first += a_block) {
    const std::size_t a_count = std::min(a_block, a.size() - a_first);
    for (std::size_t b_first = 0; b_first < b.size(); b_first += b_block) {
      const std::size_t b_count = std::min(b_block, b.size() - b_first);
      space.kernels().tile(a.row(static_cast<NodeId>(a_first)), a.stride_bytes(), a_count,
                           b.row(static_cast<NodeId>(b_first)), b.stride_bytes(), b_count, space.dim(), values.data(),
                           b_block);
      take_rows(values.data(), a_first, a_count, b_first, b_count, out);
      take_columns(values.data(), a_first, a_count, b_first, b_count, nearest_of_b, out);
    }
  }
}

}  // namespace fastcbir
