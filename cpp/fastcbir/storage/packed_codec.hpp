// PackedCodec: the codes of a node's neighbours, beside the node itself. Floor 2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/kernels/table.hpp"
#include "fastcbir/storage/space.hpp"

namespace fastcbir {

// RaBitQ (Gao & Long, SIGMOD 2024) with one or two bits a dimension, laid out as SymphonyQG does (Gou et al., SIGMOD
// 2025). The code s of neighbour c of node p stands for the *difference* w = c - p, turned by one random rotation, and
//     <q - p, w> is estimated by <q - p, s> |w|^2 / <s, w>.
// With the exact distance of p at hand, that gives the distance of c; what does not depend on q is in two factors a
// neighbour, and since all nodes share the rotation, one look-up table a query serves every node.
class PackedCodec {
 public:
  // Throws std::invalid_argument for a space it can't estimate in: cosine of 8-bit vectors.
  PackedCodec(const Space& space, std::size_t planes, std::uint64_t seed);

  std::size_t planes() const { return planes_; }
  std::uint64_t seed() const { return seed_; }
  // Bytes of the codes of `links` neighbours, a multiple of 32.
  std::size_t block_bytes(std::size_t links) const {
    return links / kernels::packed_neighbors * kernels::packed_block_bytes(groups_, planes_);
  }

  // Factors are kept as multiples of this squared length, so that half precision holds them whatever the data's scale.
  // 0 until known. All blocks must be packed again after a change.
  float unit() const { return unit_; }
  void set_unit(float unit) { unit_ = unit; }
  // A typical squared distance of neighbours as a power of four; 1 for 0.
  static float unit_of(double squared_distance);

  // A stored row as the codes see it, in padded_dim() floats on cache lines.
  void rotate_row(const std::byte* row, float* rotated, AlignedBuffer& scratch) const;
  std::size_t padded_dim() const { return padded_dim_; }

  struct Workspace {
    std::vector<std::uint8_t> levels;
  };
  // Packs up to 32 neighbours of a node, all rotated. Unused places get estimates of infinity.
  void pack(const float* base, std::span<const float* const> neighbors, std::byte* block, Workspace& workspace) const;

  struct QueryScratch {
    AlignedBuffer rotated;
    AlignedBuffer table;
  };
  // `query` as the distance kernels take it. The result points into the scratch.
  kernels::PackedQuery prepare(const void* query, QueryScratch& scratch) const;

 private:
  void load(const void* data, bool is_query, float* values) const;
  void rotate(const float* values, float* rotated) const;

  const kernels::KernelTable* table_;
  std::size_t dim_;
  Metric metric_;
  ScalarType type_;
  std::size_t planes_;
  std::uint64_t seed_;
  std::size_t padded_dim_;  // of rotated vectors
  std::size_t groups_;
  float unit_ = 0;
  AlignedBuffer rotation_;    // small dimensions: an orthogonal matrix, a column an output
  std::size_t hadamard_ = 0;  // larger ones: rounds of random signs and Hadamard transforms of this many coordinates
  AlignedBuffer signs_;
};

}  // namespace fastcbir
