// Nearest neighbours between two sets of descriptors, both ways at once. Floor 3: storage and below.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// What every descriptor of a set A finds in a set B, and back. Distances are kernel values of the space: squared
// Euclidean for l2, minus the inner product for ip. Of equal distances the first descriptor wins.
struct NearestOutput {
  std::int32_t* b_of_a;  // (A,), -1 where B is empty
  float* nearest;        // (A,), infinity where B is empty
  float* second;         // (A,), of the second nearest: what a ratio test compares with; infinity if B has one
  std::int32_t* a_of_b;  // (B,), -1 where A is empty
};

// One pass over blocks of the A x B distances, of which no more than one block is held. Rows must be of a space whose
// queries are stored as rows are: f32, u8 or i8.
void nearest_both_ways(const Space& space, const VectorStore& a, const VectorStore& b, const NearestOutput& out);

}  // namespace fastcbir
