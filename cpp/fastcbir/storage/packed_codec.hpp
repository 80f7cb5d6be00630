// PackedCodec: the codes of a node's neighbours, beside the node itself. Floor 2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/kernels/table.hpp"
#include "fastcbir/storage/block_codec.hpp"

namespace fastcbir {

// RaBitQ (Gao & Long, SIGMOD 2024) with one or two bits a dimension, laid out as SymphonyQG does (Gou et al., SIGMOD
// 2025). All differences are turned by one random rotation, so that one look-up table a query serves every base.
class PackedCodec final : public BlockCodec {
 public:
  // Throws std::invalid_argument for a space it can't estimate in: cosine of 8-bit vectors.
  PackedCodec(const Space& space, std::size_t planes, std::uint64_t seed);

  std::size_t planes() const { return planes_; }
  std::uint64_t seed() const { return seed_; }
  const kernels::BlockScan& scan() const override { return table_->packed; }
  void load_rows(std::span<const std::byte* const> rows, float* rotated, AlignedBuffer& scratch) const override;
  void pack(const float* base, std::span<const float* const> rows, std::byte* block,
            Workspace& workspace) const override;
  kernels::PackedQuery prepare(const void* query, QueryScratch& scratch) const override;
  bool suits_any_base() const override { return true; }

 private:
  void rotate(const float* values, std::size_t rows, float* rotated) const;

  std::size_t planes_;
  std::uint64_t seed_;
  std::size_t groups_;
  AlignedBuffer rotation_;    // small dimensions: an orthogonal matrix, a column an output
  std::size_t hadamard_ = 0;  // larger ones: rounds of random signs and Hadamard transforms of this many coordinates
  AlignedBuffer signs_;
};

}  // namespace fastcbir
