// ProductCodec: product quantisation, a byte for each part of the dimensions. Floor 2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/kernels/table.hpp"
#include "fastcbir/storage/block_codec.hpp"

namespace fastcbir {

// Product quantisation (Jegou et al., PAMI 2011) of differences to a base: the dimensions are cut into parts as even as
// can be, and of each the nearest of 256 entries is kept. Estimates are stretched as RaBitQ's are, which the entries, all
// of them somewhat too short, gain by.
class ProductCodec final : public BlockCodec {
 public:
  // Not trained: it can't pack. Throws std::invalid_argument unless 1 <= parts <= min(dim, max_parts), or for a space it
  // can't estimate in: cosine of 8-bit vectors.
  ProductCodec(const Space& space, std::size_t parts);
  static constexpr std::size_t max_parts = 256;  // sums of table entries fit 16 bits

  std::size_t parts() const { return begins_.size() - 1; }
  std::size_t begin(std::size_t part) const { return begins_[part]; }
  std::size_t width(std::size_t part) const { return begins_[part + 1] - begins_[part]; }

  // Part after part, 256 entries each: panels of 32 entries, coordinate after coordinate.
  const AlignedBuffer& books() const { return books_; }
  std::size_t books_bytes() const { return dim_ * kernels::product_entries * sizeof(float); }
  void set_books(AlignedBuffer books);
  bool trained() const { return books_.size() > 0; }
  std::size_t memory_bytes() const { return books_.size() + offsets_.size(); }

  const kernels::BlockScan& scan() const override { return table_->product; }
  void load_rows(std::span<const std::byte* const> rows, float* loaded, AlignedBuffer& scratch) const override;
  void pack(const float* base, std::span<const float* const> rows, std::byte* block,
            Workspace& workspace) const override;
  kernels::PackedQuery prepare(const void* query, QueryScratch& scratch) const override;
  bool suits_any_base() const override { return false; }

 private:
  const float* book(std::size_t part) const {
    return books_.as<float>().data() + begins_[part] * kernels::product_entries;
  }
  // What kernels must know of a difference and its code; values are the code's, in padded_dim() floats.
  kernels::PackedCode measure(const float* base, const float* difference, const float* values) const;

  std::vector<std::size_t> begins_;  // of the parts, and the end of the last
  AlignedBuffer books_;
  AlignedBuffer offsets_;  // half the squared length of each entry
};

}  // namespace fastcbir
