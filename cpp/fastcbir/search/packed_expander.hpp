// PackedExpander: scores a node's neighbours by their codes, which lie beside the node itself. Floor 3.
#pragma once

#include <algorithm>
#include <cstddef>

#include "fastcbir/core/bitset.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/kernels/table.hpp"
#include "fastcbir/search/neighborhood.hpp"
#include "fastcbir/search/prefetch.hpp"
#include "fastcbir/search/progress.hpp"
#include "fastcbir/search/top_k.hpp"
#include "fastcbir/search/visited.hpp"
#include "fastcbir/storage/graph.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// One visit reads one stretch of codes and one row. The node's own distance is exact, and is what the result collects;
// its neighbours' are estimates, on which the frontier feeds. A node may stand in the frontier several times, with
// estimates from different sides (the best of which leads to it soonest); it is expanded once.
template <class Frontier>
class PackedExpander {
 public:
  PackedExpander(const GraphLinks& links, const VectorStore& vectors, const kernels::DistanceKernels& exact,
                 std::size_t dim, const void* query, const kernels::PackedKernels& packed,
                 const kernels::PackedQuery& packed_query, const Frontier& frontier, const NodeBitset* passing,
                 TopK& results)
      : links_(links),
        vectors_(vectors),
        exact_(exact.one),
        candidates_(packed.candidates),
        dim_(dim),
        query_(query),
        packed_query_(packed_query),
        block_bytes_(kernels::packed_block_bytes(packed_query.groups, packed_query.planes)),
        frontier_(frontier),
        passing_(passing),
        results_(results) {}

  FASTCBIR_INLINE void prefetch_node(NodeId node) const {
    if (node == no_node) return;
    prefetch(vectors_.row(node), std::min<std::size_t>(vectors_.stride_bytes(), 1024));
    prefetch(links_.block(node, 0), std::min<std::size_t>(links_.stride0_bytes(), 1536));
  }

  std::size_t operator()(NodeId node, VisitedSet& visited, Neighborhood& neighborhood, SearchProgress& progress) const {
    if (!visited.insert(node)) return 0;
    ++progress.distances;
    const float own = exact_(query_, vectors_.row(node), dim_);
    if (own <= results_.bound() && (passing_ == nullptr || (*passing_)[node])) results_.push(own, node);

    const std::uint32_t* slots = links_.block(node, 0);
    const std::byte* block = links_.payload(node);
    Key* const keys = neighborhood.keys.data();
    const float bound = frontier_.bound();
    Key nearest = kernels::empty_key;
    std::size_t count = 0;
    for (std::size_t first = 0; first < links_.capacity(0); first += kernels::packed_neighbors) {
      const std::size_t found = candidates_(packed_query_, block, slots + first, own, bound, keys + count);
      block += block_bytes_;
      for (std::size_t i = count, end = count + found; i < end; ++i) {
        const Key key = keys[i];
        const bool is_new = !visited.contains(node_of(key));
        keys[count] = key;
        count += is_new ? 1 : 0;
        nearest = std::min(nearest, is_new ? key : kernels::empty_key);
      }
    }
    // Most likely the next to be expanded: its record comes while the frontier takes in the others.
    if (nearest != kernels::empty_key) prefetch_node(node_of(nearest));
    return count;
  }

 private:
  const GraphLinks& links_;
  const VectorStore& vectors_;
  kernels::OneFn exact_;
  decltype(kernels::PackedKernels::candidates) candidates_;
  std::size_t dim_;
  const void* query_;
  kernels::PackedQuery packed_query_;
  std::size_t block_bytes_;
  const Frontier& frontier_;
  const NodeBitset* passing_;
  TopK& results_;
};

}  // namespace fastcbir
