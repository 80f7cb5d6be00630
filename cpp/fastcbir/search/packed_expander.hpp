// PackedExpander: scores a node's neighbours by their codes, which lie beside the node itself. Floor 3.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>

#include "fastcbir/core/bitset.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/kernels/table.hpp"
#include "fastcbir/search/prefetch.hpp"
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
        estimates_(packed.estimates),
        dim_(dim),
        query_(query),
        packed_query_(packed_query),
        block_bytes_(kernels::packed_block_bytes(packed_query.groups, packed_query.planes)),
        frontier_(frontier),
        passing_(passing),
        results_(results) {}

  static constexpr std::uint32_t distances_of(std::size_t count) { return count > 0 ? 1 : 0; }

  FASTCBIR_INLINE void prefetch_node(NodeId node) const {
    if (node == no_node) return;
    prefetch(vectors_.row(node), std::min<std::size_t>(vectors_.stride_bytes(), 4096));
    prefetch(links_.block(node, 0), links_.stride0_bytes());
  }

  std::size_t operator()(NodeId node, VisitedSet& visited, NodeId* nodes, float* values) const {
    if (!visited.insert(node)) return 0;
    const float own = exact_(query_, vectors_.row(node), dim_);
    if (own <= results_.bound() && (passing_ == nullptr || (*passing_)[node])) results_.push(own, node);

    const std::uint32_t* slots = links_.block(node, 0);
    const std::byte* block = links_.payload(node);
    const float bound = frontier_.bound();
    std::size_t count = 0;
    Neighbor nearest;
    for (std::size_t first = 0; first < links_.capacity(0); first += kernels::packed_neighbors) {
      alignas(64) float estimated[kernels::packed_neighbors];
      std::uint32_t below = estimates_(packed_query_, block, own, bound, estimated);
      block += block_bytes_;
      for (; below != 0; below &= below - 1) {
        const auto at = static_cast<std::size_t>(std::countr_zero(below));
        const NodeId neighbor = slots[first + at];
        if (neighbor == no_node) break;  // unused places are the last
        nodes[count] = neighbor;
        values[count] = estimated[at];
        if (visited.contains(neighbor)) continue;
        if (estimated[at] < nearest.distance) nearest = {estimated[at], neighbor};
        ++count;
      }
    }
    // Most likely the next to be expanded: its record comes while the frontier takes in the others.
    if (nearest.node != no_node) prefetch_node(nearest.node);
    return count;
  }

 private:
  const GraphLinks& links_;
  const VectorStore& vectors_;
  kernels::OneFn exact_;
  std::uint32_t (*estimates_)(const kernels::PackedQuery&, const void*, float, float, float*);
  std::size_t dim_;
  const void* query_;
  kernels::PackedQuery packed_query_;
  std::size_t block_bytes_;
  const Frontier& frontier_;
  const NodeBitset* passing_;
  TopK& results_;
};

}  // namespace fastcbir
