// LoFTR's coarse matching (Sun et al., CVPR 2021) without its L x S matrix. Floor 3: storage and below.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// A coarse feature map, whose cells are numbered row by row.
struct CellGrid {
  std::size_t rows;
  std::size_t columns;

  std::size_t size() const { return rows * columns; }
};

struct CoarseMatch {
  std::int32_t a;  // cell of image A
  std::int32_t b;  // cell of image B
  float confidence;
};

// With s = scale * <a_i, b_j>, the confidence of cells i and j is softmax over j times softmax over i of s. A match is
// a pair that is the other's best, is more confident than the threshold, and whose cells are at least `border` cells
// from all edges of their images. Sorted by cell of A.
//
// Two passes over tiles of s: the first sums up exponentials of rows and columns, the second looks for the best; the
// products are computed twice, which costs less than keeping (and reading thrice) 92 MB for two photos of 640 x 480.
// `space` is an ip space of f32. The answer does not depend on the number of threads.
std::vector<CoarseMatch> dual_softmax_matches(const Space& space, const VectorStore& a, CellGrid grid_a,
                                              const VectorStore& b, CellGrid grid_b, float scale, float threshold,
                                              std::size_t border, std::size_t threads);

}  // namespace fastcbir
