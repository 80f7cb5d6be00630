// GatherExpander: scores a node's neighbours by reading each one's row where it lies. Floor 3.
#pragma once

#include <algorithm>
#include <cstddef>

#include "fastcbir/core/prefetch.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/kernels/table.hpp"
#include "fastcbir/search/neighborhood.hpp"
#include "fastcbir/search/progress.hpp"
#include "fastcbir/search/visited.hpp"
#include "fastcbir/storage/graph.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// The largest neighbourhood an expander yields at once.
inline constexpr std::size_t max_links = 2048;

class GatherExpander {
 public:
  GatherExpander(const GraphLinks& links, std::size_t level, const VectorStore& vectors,
                 const kernels::DistanceKernels& kernels, std::size_t dim, const void* query, float scale = 1)
      : links_(links),
        level_(level),
        capacity_(links.capacity(level)),
        vectors_(vectors),
        kernels_(kernels),
        dim_(dim),
        prefetch_bytes_(std::min<std::size_t>(vectors.stride_bytes(), 1024)),
        query_(query),
        scale_(scale) {}

  // The value of one node.
  float value(NodeId node) const { return kernels_.one(query_, vectors_.row(node), dim_) * scale_; }

  // Asks for the links of a node that may be expanded soon.
  FASTCBIR_INLINE void prefetch_node(NodeId node) const {
    if (node != no_node) prefetch(links_.block(node, level_), capacity_ * sizeof(NodeId));
  }

  // The keys of the neighbours of `node` not seen before; how many there are. There is room for max_links.
  std::size_t operator()(NodeId node, VisitedSet& visited, Neighborhood& neighborhood, SearchProgress& progress) const {
    NodeId* const nodes = neighborhood.nodes.data();
    float* const values = neighborhood.values.data();
    Key* const keys = neighborhood.keys.data();
    const std::uint32_t* slots = links_.block(node, level_);
    std::size_t count = 0;
    for (std::size_t i = 0; i < capacity_; ++i) {
      const NodeId neighbor = load_link(slots[i]);
      if (neighbor == no_node) break;
      nodes[count] = neighbor;
      count += visited.insert(neighbor) ? 1 : 0;
    }
    score(nodes, count, values);
    progress.distances += static_cast<std::uint32_t>(count);
    for (std::size_t i = 0; i < count; ++i) keys[i] = key_of(values[i], nodes[i]);
    return count;
  }

  void score(const NodeId* nodes, std::size_t count, float* values) const {
    constexpr std::size_t group = 4;
    constexpr std::size_t ahead = 2 * group;  // rows on their way while a group is computed
    for (std::size_t i = 0; i < std::min(ahead, count); ++i) prefetch(vectors_.row(nodes[i]), prefetch_bytes_);
    for (std::size_t begin = 0; begin < count; begin += group) {
      for (std::size_t i = begin + ahead; i < std::min(begin + ahead + group, count); ++i) {
        prefetch(vectors_.row(nodes[i]), prefetch_bytes_);
      }
      const void* rows[group];
      // A last, smaller group repeats its last row: cheaper than a loop of single distances.
      for (std::size_t i = 0; i < group; ++i) rows[i] = vectors_.row(nodes[std::min(begin + i, count - 1)]);
      float group_values[group];
      kernels_.gather4(query_, rows, dim_, group_values);
      for (std::size_t i = 0; i < std::min(group, count - begin); ++i) values[begin + i] = group_values[i] * scale_;
    }
  }

 private:
  const GraphLinks& links_;
  std::size_t level_;
  std::size_t capacity_;
  const VectorStore& vectors_;
  const kernels::DistanceKernels& kernels_;
  std::size_t dim_;
  std::size_t prefetch_bytes_;
  const void* query_;
  float scale_;
};

}  // namespace fastcbir
