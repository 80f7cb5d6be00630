// PackedExpander and CollectingExpander score a node's neighbours by their codes, which lie beside the node. Floor 3.
#pragma once

#include <algorithm>
#include <cstddef>

#include "fastcbir/core/bitset.hpp"
#include "fastcbir/core/prefetch.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/kernels/table.hpp"
#include "fastcbir/search/candidates.hpp"
#include "fastcbir/search/neighborhood.hpp"
#include "fastcbir/search/progress.hpp"
#include "fastcbir/search/sorted_top_k.hpp"
#include "fastcbir/search/visited.hpp"
#include "fastcbir/storage/graph.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// What a node has beside itself: its row, and the codes of its neighbours.
class PackedRecords {
 public:
  PackedRecords(const GraphLinks& links, const VectorStore& vectors, const kernels::DistanceKernels& exact,
                std::size_t dim, const void* query, const kernels::PackedKernels& packed,
                const kernels::PackedQuery& packed_query)
      : links_(links),
        vectors_(vectors),
        exact_(exact.one),
        candidates_(packed.candidates),
        dim_(dim),
        query_(query),
        packed_query_(packed_query),
        block_bytes_(kernels::packed_block_bytes(packed_query.groups, packed_query.planes)) {}

  FASTCBIR_INLINE void prefetch_node(NodeId node) const {
    if (node == no_node) return;
    prefetch(vectors_.row(node), std::min<std::size_t>(vectors_.stride_bytes(), 1024));
    prefetch(links_.block(node, 0), std::min<std::size_t>(links_.stride0_bytes(), 1536));
  }

  float value(NodeId node) const { return exact_(query_, vectors_.row(node), dim_); }

  // The keys of those neighbours of a node whose estimates are below `bound` and which `keep(keys, count)` moves to the
  // front, as in VisitedSet; how many there are. `own` is the node's value. each(keys, count): they come in parts.
  template <class Keep, class Each>
  FASTCBIR_INLINE std::size_t neighbors(NodeId node, float own, float bound, Keep&& keep, Key* keys,
                                        Each&& each) const {
    const std::uint32_t* slots = links_.block(node, 0);
    const std::byte* block = links_.payload(node);
    std::size_t count = 0;
    for (std::size_t first = 0; first < links_.capacity(0); first += kernels::packed_neighbors) {
      Key* const part = keys + count;
      const std::size_t kept = keep(part, candidates_(packed_query_, block, slots + first, own, bound, part));
      block += block_bytes_;
      each(part, kept);
      count += kept;
    }
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
};

// One visit reads one stretch of codes and one row. The node's own distance is exact, and is what the result collects;
// its neighbours' are estimates, on which the frontier feeds. A node may stand in the frontier several times, with
// estimates from different sides (the best of which leads to it soonest); it is expanded once.
template <class Frontier>
class PackedExpander {
 public:
  PackedExpander(const PackedRecords& records, const Frontier& frontier, const NodeBitset* passing, SortedTopK& results)
      : records_(records), frontier_(frontier), passing_(passing), results_(results) {}

  FASTCBIR_INLINE void prefetch_node(NodeId node) const { records_.prefetch_node(node); }

  std::size_t operator()(NodeId node, VisitedSet& visited, Neighborhood& neighborhood, SearchProgress& progress) const {
    if (!visited.insert(node)) return 0;
    ++progress.distances;
    const float own = records_.value(node);
    if (own <= results_.bound() && (passing_ == nullptr || (*passing_)[node])) results_.push(own, node);
    Key nearest = kernels::empty_key;
    const auto keep = [&](Key* keys, std::size_t found) {
      std::size_t kept = 0;
      for (std::size_t i = 0; i < found; ++i) {
        const Key key = keys[i];
        const bool is_new = !visited.contains(node_of(key));
        keys[kept] = key;
        kept += is_new ? 1 : 0;
        nearest = std::min(nearest, is_new ? key : kernels::empty_key);
      }
      return kept;
    };
    const std::size_t count = records_.neighbors(node, own, frontier_.bound(), keep, neighborhood.keys.data(),
                                                 [](const Key*, std::size_t) {});
    // Most likely the next to be expanded: its record comes while the frontier takes in the others.
    if (nearest != kernels::empty_key) prefetch_node(node_of(nearest));
    return count;
  }

 private:
  const PackedRecords& records_;
  const Frontier& frontier_;
  const NodeBitset* passing_;
  SortedTopK& results_;
};

// From so many results on, a visit to each would be too much.
inline constexpr std::size_t many_results = 32;

// For these: the nearest by their estimates are collected, to be compared in the end. Here a node stands in the frontier
// once, with its first estimate. The caller has put the first node into the frontier, the visited set and the collection.
template <class Frontier>
class CollectingExpander {
 public:
  CollectingExpander(const PackedRecords& records, const Frontier& frontier, Candidates& collected)
      : records_(records), frontier_(frontier), collected_(collected) {}

  FASTCBIR_INLINE void prefetch_node(NodeId node) const { records_.prefetch_node(node); }

  std::size_t operator()(NodeId node, VisitedSet& visited, Neighborhood& neighborhood, SearchProgress& progress) const {
    ++progress.distances;
    return records_.neighbors(
        node, records_.value(node), std::max(frontier_.bound(), collected_.bound()),
        [&](Key* keys, std::size_t count) { return visited.insert_new(keys, count); }, neighborhood.keys.data(),
        [&](const Key* keys, std::size_t count) { collected_.offer(keys, count); });
  }

 private:
  const PackedRecords& records_;
  const Frontier& frontier_;
  Candidates& collected_;
};

}  // namespace fastcbir
