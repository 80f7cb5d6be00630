// EntryPoints: nodes spread over all vectors, of which a search by codes begins at the nearest. Floor 3.
#pragma once

#include <cstddef>

#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/kernels/table.hpp"
#include "fastcbir/search/keys.hpp"
#include "fastcbir/storage/graph.hpp"
#include "fastcbir/storage/packed_codec.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// The way down the upper levels reads a dozen rows from all over memory, one after the other. The codes of these nodes,
// relative to their mean, are a few sequential kilobytes that stay in the cache, and lead as near.
class EntryPoints {
 public:
  // Takes nodes of the highest levels, which are there by lot: about one in 1024.
  void choose(const PackedCodec& codec, const VectorStore& vectors, const GraphLinks& links);
  void clear();

  bool empty() const { return count_ == 0; }
  // How many nodes there were when they were chosen.
  std::size_t chosen_among() const { return chosen_among_; }
  bool contains(NodeId node) const;
  // The nearest by its code; there is at least one. `keys` has room for kernels::packed_key_room.
  NodeId nearest(const kernels::PackedKernels& kernels, const kernels::PackedQuery& query, Key* keys) const;

 private:
  std::size_t count_ = 0;
  std::size_t chosen_among_ = 0;
  AlignedBuffer nodes_;   // u32, filled up with no_node to whole blocks
  AlignedBuffer blocks_;  // codes, 32 nodes a block
};

}  // namespace fastcbir
