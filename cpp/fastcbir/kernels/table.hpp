// The one table through which the rest of the core reaches SIMD code. Floor 1: may import core/types.hpp only.
//
// Each instruction set has a translation unit of its own (an "island", see ARCHITECTURE.md) that exports one KernelTable.
// All pointers are set in every table: what an instruction set does not speed up, it fills from the next simpler body.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastcbir/core/types.hpp"

namespace fastcbir::kernels {

// Contract shared by all distance kernels
//   * query and rows are 64-byte aligned; beyond `dim` they are zero up to the next multiple of 64 bytes *of the row*
//     (that is 16 f32, 32 f16, 64 u8/i8 coordinates), and kernels read whole such blocks. `dim` itself may be ragged.
//   * element types: f32 query on f32 rows; f32 query on f16 rows; u8 on u8; i8 on i8.
//   * results: l2 -> squared Euclidean distance; ip -> minus the inner product;
//     cosine -> minus the inner product over the row's norm (0 for a zero row); the caller, who knows the query's norm,
//     finishes it. f32 and f16 rows are stored normalised, so that the index uses ip for them.
//   * one, gather4, gather8, block and tile of one table give bit-identical results for the same pair: an answer does
//     not depend on how its candidates were grouped. Integer kernels are exact up to the final conversion to float.
//   * `dim` is at most 65,536, so that 32-bit sums of 8-bit products cannot overflow (65,536 * 255^2 < 2^32: u32 sums).
using OneFn = float (*)(const void* query, const void* row, std::size_t dim);
using GatherFn = void (*)(const void* query, const void* const* rows, std::size_t dim, float* out);
using BlockFn = void (*)(const void* query, const void* rows, std::size_t row_stride_bytes, std::size_t row_count,
                         std::size_t dim, float* out);
// out[q * out_stride + r], queries and rows both contiguous with their strides in bytes: the exact scan's kernel.
using TileFn = void (*)(const void* queries, std::size_t query_stride_bytes, std::size_t query_count, const void* rows,
                        std::size_t row_stride_bytes, std::size_t row_count, std::size_t dim, float* out,
                        std::size_t out_stride);

struct DistanceKernels {
  OneFn one;
  GatherFn gather4;
  GatherFn gather8;
  BlockFn block;
  TileFn tile;
};

// A query as codes are compared with it: the inner product of the query and a code is scale * sum + offset, where sum
// adds up table entries (see storage/packed_codec.hpp and storage/product_codec.hpp).
struct PackedQuery {
  const std::uint8_t* table;  // 16 entries for each group of four dimensions, or 256 for each part; 64-byte aligned
  std::size_t groups;         // a multiple of 4; of product codes the parts, even
  std::size_t planes;         // bits a dimension: 1 or 2; of product codes 1
  float scale;
  float offset;
  float unit;  // what the blocks' factors are multiples of
};

// A block holds the codes of up to 32 neighbours of one node:
//   f16 add[32], f16 mul[32]
//   planes x groups x 16 bytes, the plane of the higher bits first. A group's 16 bytes hold a nibble a neighbour, bit i
//   for dimension i of the group: neighbour j is in byte (j % 8) * 2 + (j / 8) % 2, low nibble for j < 16.
inline constexpr std::size_t packed_neighbors = 32;
inline constexpr std::size_t packed_key_room = packed_neighbors + 8;  // kernels write beyond what they find
constexpr std::size_t packed_block_bytes(std::size_t groups, std::size_t planes) {
  return 4 * packed_neighbors + planes * groups * 16;
}

// What a code is made from, and what its factors are: the sums of its kernel.
struct PackedCode {
  float length2;          // |w|^2
  float along;            // <s, w>
  float base_code;        // <p, s>
  float base_difference;  // <p, w>
};

// What a look-up table must hold.
struct PackedExtent {
  float widest;    // the largest of the groups' sums of absolute values
  float negative;  // the sum of the coordinates below 0
  float sum;       // of all
};

// How the codes of a block are compared with queries.
struct BlockScan {
  // The estimate of neighbour j is base + unit * (add[j] + mul[j] * <query, code j>). Writes the keys of those below
  // `bound`, with the nodes that `nodes[j]` names, in the order of j, and returns how many; keys has packed_key_room. Sums of
  // table entries are exact: they must stay below 2^16 a plane. Blocks and nodes are 64-byte aligned.
  std::size_t (*candidates)(const PackedQuery& query, const void* block, const std::uint32_t* nodes, float base,
                            float bound, std::uint64_t* keys);
  // The same for four queries of one codec at once: keys of query q begin at keys + q * packed_key_room, found[q] of them.
  void (*candidates4)(const PackedQuery* const* queries, const void* block, const std::uint32_t* nodes,
                      const float* bases, const float* bounds, std::uint64_t* keys, std::size_t* found);
};

struct PackedKernels : BlockScan {
  // The code s of w = row - base, in 2 or 4 even levels, as numbers 0, 1 or 0..3 in `levels`. The outer levels begin at
  // `outer` times the root mean square of w, whose first `dim` of `count` coordinates count; count is a multiple of 16.
  PackedCode (*encode)(const float* base, const float* row, std::size_t count, std::size_t dim, std::size_t planes,
                       float outer, std::uint8_t* levels);
  // Of coordinates in `groups` of four, a multiple of four groups; 64-byte aligned.
  PackedExtent (*extent)(const float* coordinates, std::size_t groups);
  // table[16 g + b] = round((sum of the coordinates of group g whose bit is set in b - least such sum) / step).
  void (*table)(const float* coordinates, std::size_t groups, float step, std::uint8_t* table);
};

// Product codes: a block is f16 add[32], f16 mul[32], then for each part a byte a neighbour, in their order.
inline constexpr std::size_t product_entries = 256;
constexpr std::size_t product_block_bytes(std::size_t parts) { return 4 * packed_neighbors + parts * packed_neighbors; }
struct ProductKernels : BlockScan {
  // products[e] = <values, entry e> of a codebook: panels of 32 entries, coordinate after coordinate; 64-byte aligned.
  void (*products)(const float* panels, const float* values, std::size_t dim, float* products);
  // table[256 p + e] = round((products[256 p + e] - least of part p) / step), with the step that makes the largest entry
  // 255, which it returns (1 if all entries of each part are alike); adds up the least products in `offset`.
  float (*table)(const float* products, std::size_t parts, std::uint8_t* table, float& offset);
};

// A candidate of a graph search is one 64-bit key: its value, as bits that order like the number (those of a float with
// the sign bit turned over, or all of them for negative ones), then its node, then whether it was expanded.
struct BeamKernels {
  // Inserts `count` > 0 keys, none of them above the last of the beam, into a sorted beam of `size` keys, which keeps the
  // smallest `capacity`; returns the rank of the first inserted one, or capacity. `keys` is 64-byte aligned and has room
  // for capacity rounded up to 8, of which those from `size` on hold empty_key. May reorder the new keys.
  std::size_t (*insert)(std::uint64_t* keys, std::size_t size, std::size_t capacity, std::uint64_t* added,
                        std::size_t count);
  // Up to this capacity that is quicker than to collect twice as many keys and drop half of them.
  std::size_t quick_capacity;
};
inline constexpr std::uint64_t empty_key = ~std::uint64_t{0};

// Sixteen regression trees of depth 4, side by side: the nodes n of all trees lie together, the children of n are 2 n + 1
// and 2 n + 2, and the leaves follow the nodes.
inline constexpr std::size_t forest_lanes = 16;
inline constexpr std::size_t forest_depth = 4;
inline constexpr std::size_t forest_nodes = 15;
inline constexpr std::size_t forest_leaves = 16;
inline constexpr std::size_t forest_features = 8;
struct alignas(row_alignment) ForestBlock {
  std::uint32_t feature[forest_nodes][forest_lanes];  // below forest_features
  float threshold[forest_nodes][forest_lanes];        // to the right if the feature is above it
  float leaf[forest_leaves][forest_lanes];
};

// Centroids in panels of panel_width: coordinate after coordinate, each of them all. The last panel is filled up with
// centroids whose offset is infinite.
inline constexpr std::size_t panel_width = 32;
inline constexpr std::size_t panel_rows = 12;
struct CentroidPanels {
  const float* values;   // count x dim x panel_width; 64-byte aligned
  const float* offsets;  // count x panel_width; 64-byte aligned
  std::size_t count;     // at least 1; at most 2^22 centroids
  std::size_t dim;
};

struct KernelTable {
  const char* name;  // as FASTCBIR_ISA spells it
  DistanceKernels distance[scalar_type_count][metric_count];
  PackedKernels packed;
  ProductKernels product;
  BeamKernels beam;
  // The sum of the leaves that forest_features numbers, none of them NaN, lead to in `count` blocks of trees.
  float (*forest)(const float* features, const ForestBlock* blocks, std::size_t count);
  // For each row the least of all offset - <row, centroid>, and which centroid has it: the first, where several have.
  // row_count is a multiple of panel_rows.
  void (*nearest)(const CentroidPanels& panels, const float* rows, std::size_t row_stride_bytes, std::size_t row_count,
                  float* least, std::uint32_t* found);
  // projected[r][j] = the sum of values[r][i] columns[i * count + j] for each of the rows r; count is a multiple of 16;
  // all are 64-byte aligned. A row's sums do not depend on the others.
  void (*project)(const float* columns, const float* values, std::size_t rows, std::size_t count, float* projected);
  // The Walsh-Hadamard transform, not normalised, of values times factors, in place; count is a power of two, at least
  // 16; 64-byte aligned.
  void (*hadamard)(float* values, const float* factors, std::size_t count);
  // In double: exact enough for any float, and infinite or NaN only if a value is. No alignment asked of any of these.
  double (*squared_norm)(const float* values, std::size_t count);
  void (*scale)(const float* from, double factor, float* to, std::size_t count);
  // IEEE 754 half precision, round to nearest even; no alignment or padding asked of either side.
  void (*f32_to_f16)(const float* from, std::uint16_t* to, std::size_t count);
  void (*f16_to_f32)(const std::uint16_t* from, float* to, std::size_t count);
};

inline const DistanceKernels& distance_kernels(const KernelTable& table, ScalarType type, Metric metric) {
  return table.distance[static_cast<std::size_t>(type)][static_cast<std::size_t>(metric)];
}

}  // namespace fastcbir::kernels
