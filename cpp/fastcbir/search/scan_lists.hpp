// THE list loop: scores lists of rows one after the other, with the same stop policies as the graph loop. Floor 3.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "fastcbir/core/bitset.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/kernels/table.hpp"
#include "fastcbir/search/progress.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// A list is at most this long: scores of one stay in the first-level cache.
inline constexpr std::size_t list_block = 256;

// The rows of a store as lists of neighbours in memory.
class BlockScorer {
 public:
  BlockScorer(const VectorStore& vectors, const kernels::DistanceKernels& kernels, std::size_t dim, const void* query)
      : vectors_(vectors), kernels_(kernels), dim_(dim), query_(query) {}

  std::size_t list_count() const { return (vectors_.size() + list_block - 1) / list_block; }
  std::size_t operator()(std::size_t list, float* values) const {
    const std::size_t first = list * list_block;
    const std::size_t count = std::min(list_block, vectors_.size() - first);
    kernels_.block(query_, vectors_.row(static_cast<NodeId>(first)), vectors_.stride_bytes(), count, dim_, values);
    return count;
  }
  NodeId node(std::size_t list, std::size_t at) const { return static_cast<NodeId>(list * list_block + at); }

 private:
  const VectorStore& vectors_;
  const kernels::DistanceKernels& kernels_;
  std::size_t dim_;
  const void* query_;
};

// Named rows, in lists: the few that pass a filter.
class NamedScorer {
 public:
  NamedScorer(std::span<const NodeId> nodes, const VectorStore& vectors, const kernels::DistanceKernels& kernels,
              std::size_t dim, const void* query)
      : nodes_(nodes), vectors_(vectors), kernels_(kernels), dim_(dim), query_(query) {}

  std::size_t list_count() const { return (nodes_.size() + list_block - 1) / list_block; }
  std::size_t operator()(std::size_t list, float* values) const {
    const auto nodes = nodes_.subspan(list * list_block, std::min(list_block, nodes_.size() - list * list_block));
    constexpr std::size_t group = 8;
    for (std::size_t begin = 0; begin < nodes.size(); begin += group) {
      const void* rows[group];
      for (std::size_t i = 0; i < group; ++i) rows[i] = vectors_.row(nodes[std::min(begin + i, nodes.size() - 1)]);
      float group_values[group];
      kernels_.gather8(query_, rows, dim_, group_values);
      std::copy_n(group_values, std::min(group, nodes.size() - begin), values + begin);
    }
    return nodes.size();
  }
  NodeId node(std::size_t list, std::size_t at) const { return nodes_[list * list_block + at]; }

 private:
  std::span<const NodeId> nodes_;
  const VectorStore& vectors_;
  const kernels::DistanceKernels& kernels_;
  std::size_t dim_;
  const void* query_;
};

// Sink: bound(), push(value, node). passing: null if all rows do.
template <class Scorer, class Sink, class Stop>
void scan_lists(const Scorer& scorer, const NodeBitset* passing, Sink& sink, Stop&& stop, SearchProgress& progress) {
  float values[list_block];
  for (std::size_t list = 0; list < scorer.list_count(); ++list) {
    const std::size_t count = scorer(list, values);
    for (std::size_t i = 0; i < count; ++i) {
      if (values[i] > sink.bound()) continue;
      const NodeId node = scorer.node(list, i);
      if (passing == nullptr || (*passing)[node]) sink.push(values[i], node);
    }
    progress.distances += static_cast<std::uint32_t>(count);
    ++progress.expansions;
    if (stop(progress, sink)) return;
  }
}

// Collects everything within a radius: a sink of scan_lists.
struct RadiusSink {
  float radius;
  std::vector<Neighbor> found;

  float bound() const { return radius; }
  void push(float value, NodeId node) { found.push_back({value, node}); }
};

}  // namespace fastcbir
