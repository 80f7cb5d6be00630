// How inverted lists are filled: rows find their lists, and their codes are packed beside them. Floor 4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fastcbir/build/ivf_params.hpp"
#include "fastcbir/core/parallel.hpp"
#include "fastcbir/search/partition.hpp"
#include "fastcbir/storage/block_codec.hpp"
#include "fastcbir/storage/lists.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// What finds the rows of an index. Not trained yet: no partition.
struct ListStructure {
  std::shared_ptr<const Partition> partition;
  std::shared_ptr<BlockCodec> codec;  // null: no codes
  float reach = 1;                    // see typical_reach
  InvertedLists lists;
  // The centroids themselves as one list, so that a query need not be compared with them all: there are as many as rows
  // it is compared with later. Made once codes are, for a flat partition of many centroids; else empty.
  InvertedLists coarse;
  AlignedBuffer middle;  // the row that their codes start from
};

// Makes structure.coarse, where that pays.
void pack_centroids(ListStructure& structure, const Space& space);

// Of the codes that the parameters ask for, not trained; null for none.
std::shared_ptr<BlockCodec> make_codec(const Space& space, const IvfParams& params);

// Lists without nodes. partition, codec: may be null.
ListStructure empty_structure(std::shared_ptr<const Partition> partition, std::shared_ptr<BlockCodec> codec,
                              float reach);

// The lists of rows [first, first + lists.size()).
ParallelOutcome assign_lists(const Partition& partition, const VectorStore& rows, std::size_t first,
                             std::span<std::uint32_t> lists, std::size_t threads, Monitor* monitor);

// Puts nodes first, first + 1, ... into their lists; those marked in `skip` (may be null) are left out. Throws before
// anything has changed, or what the monitor throws while codes are packed.
void append_nodes(ListStructure& structure, const Space& space, const VectorStore& rows, std::size_t first,
                  std::span<const std::uint32_t> lists, const NodeBitset* skip, std::size_t threads, Monitor* monitor);

}  // namespace fastcbir
