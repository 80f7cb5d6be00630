#include "fastcbir/match/nearest.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace fastcbir {
namespace {

// A block of distances (16 KiB) and the descriptors it compares stay in the first- and second-level caches.
constexpr std::size_t a_block = 16;
constexpr std::size_t b_block = 256;

}  // namespace

void nearest_both_ways(const Space& space, const VectorStore& a, const VectorStore& b, const NearestOutput& out) {
  std::fill_n(out.b_of_a, a.size(), -1);
  std::fill_n(out.nearest, a.size(), infinity);
  std::fill_n(out.second, a.size(), infinity);
  std::fill_n(out.a_of_b, b.size(), -1);
  std::vector<float> nearest_of_b(b.size(), infinity);
  std::array<float, a_block * b_block> values;
  for (std::size_t a_first = 0; a_first < a.size(); a_first += a_block) {
    const std::size_t a_count = std::min(a_block, a.size() - a_first);
    for (std::size_t b_first = 0; b_first < b.size(); b_first += b_block) {
      const std::size_t b_count = std::min(b_block, b.size() - b_first);
      space.kernels().tile(a.row(static_cast<NodeId>(a_first)), a.stride_bytes(), a_count,
                           b.row(static_cast<NodeId>(b_first)), b.stride_bytes(), b_count, space.dim(), values.data(),
                           b_block);
      float* const column_nearest = nearest_of_b.data() + b_first;
      std::int32_t* const column_a = out.a_of_b + b_first;
      for (std::size_t i = 0; i < a_count; ++i) {
        const float* const row = values.data() + i * b_block;
        const auto number = static_cast<std::int32_t>(a_first + i);
        for (std::size_t j = 0; j < b_count; ++j) {
          const bool nearer = row[j] < column_nearest[j];
          column_nearest[j] = nearer ? row[j] : column_nearest[j];
          column_a[j] = nearer ? number : column_a[j];
        }
        float nearest = out.nearest[number];
        float second = out.second[number];
        for (std::size_t j = 0; j < b_count; ++j) {
          if (row[j] >= second) continue;  // nearly always, after the first few
          if (row[j] < nearest) {
            second = nearest;
            nearest = row[j];
            out.b_of_a[number] = static_cast<std::int32_t>(b_first + j);
          } else {
            second = row[j];
          }
        }
        out.nearest[number] = nearest;
        out.second[number] = second;
      }
    }
  }
}

}  // namespace fastcbir
