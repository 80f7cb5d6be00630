// BlockCodec: what codes beside nodes have in common. Floor 2.
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

// Codes of rows around a base, the node whose neighbours they are or the centroid of their list. The code s of row c
// stands for the *difference* w = c - p to the base p, and
//     <q - p, w> is estimated by <q - p, s> |w|^2 / <s, w>.
// With the exact distance of p at hand, that gives the distance of c; what does not depend on q is in two factors a row.
class BlockCodec {
 public:
  virtual ~BlockCodec() = default;

  // Bytes of the codes of `rows`, a multiple of 32; itself a multiple of 32.
  std::size_t block_bytes(std::size_t rows) const { return rows / kernels::packed_neighbors * block_bytes_; }
  virtual const kernels::BlockScan& scan() const = 0;

  // Factors are kept as multiples of this squared length, so that half precision holds them whatever the data's scale.
  // 0 until known. All blocks must be packed again after a change.
  float unit() const { return unit_; }
  void set_unit(float unit) { unit_ = unit; }
  // A typical squared distance to a base as a power of four; 1 for 0.
  static float unit_of(double squared_distance);

  // Stored rows as the codes see them, each in padded_dim() floats on cache lines; zero beyond its coordinates.
  std::size_t padded_dim() const { return padded_dim_; }
  virtual void load_rows(std::span<const std::byte* const> rows, float* loaded, AlignedBuffer& scratch) const = 0;

  struct Workspace {
    std::vector<std::uint8_t> levels;
    AlignedBuffer differences;
    std::vector<float> least;
    std::vector<std::uint32_t> entries;
  };
  // Packs up to 32 rows around a base, all loaded. Unused places get estimates of infinity.
  virtual void pack(const float* base, std::span<const float* const> rows, std::byte* block,
                    Workspace& workspace) const = 0;

  struct QueryScratch {
    AlignedBuffer values;
    AlignedBuffer table;
  };
  // `query` as the distance kernels take it. The result points into the scratch.
  virtual kernels::PackedQuery prepare(const void* query, QueryScratch& scratch) const = 0;

  // Whether codes of the differences to any base are as good: those of the centroids to their mean, too.
  virtual bool suits_any_base() const = 0;

 protected:
  // Throws std::invalid_argument for a space it can't estimate in: cosine of 8-bit vectors.
  BlockCodec(const Space& space, std::size_t padded_dim);

  // As load_rows.
  void load_plain(std::span<const std::byte* const> rows, float* loaded) const;
  // The stored row, or the query that is compared with such rows, as padded_dim() floats.
  void load(const void* data, bool is_query, float* values) const;
  // Clears a block, and gives its places from `count` on estimates of infinity.
  void clear(std::byte* block, std::size_t count) const;
  void write_factors(const kernels::PackedCode& code, std::byte* block, std::size_t place) const;

  const kernels::KernelTable* table_;
  std::size_t dim_;
  Metric metric_;
  ScalarType type_;
  std::size_t padded_dim_;
  std::size_t block_bytes_ = 0;  // of 32 rows: what comes after says how many
  float unit_ = 0;
};

}  // namespace fastcbir
