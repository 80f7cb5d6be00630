// THE list loop: scores lists of rows one after the other, with the same stop policies as the graph loop. Floor 3.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fastcbir/core/bitset.hpp"
#include "fastcbir/core/prefetch.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/kernels/table.hpp"
#include "fastcbir/search/keys.hpp"
#include "fastcbir/search/progress.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// A list is at most this long: scores of one stay in the first-level cache.
inline constexpr std::size_t list_block = 256;

// Keys of those of `count` values that are not above the bound, in their order; the number of them. keys has room for all.
template <class NodeAt>
std::size_t keys_within(const float* values, std::size_t count, float bound, NodeAt&& node_at, Key* keys) {
  constexpr std::size_t group = 16;
  std::size_t found = 0;
  for (std::size_t begin = 0; begin < count; begin += group) {
    const std::size_t some = std::min(group, count - begin);
    std::uint32_t any = 0;
    for (std::size_t i = 0; i < some; ++i) any |= static_cast<std::uint32_t>(values[begin + i] <= bound);
    if (any == 0) continue;
    for (std::size_t i = begin; i < begin + some; ++i) {
      if (values[i] <= bound) keys[found++] = key_of(values[i], node_at(i));
    }
  }
  return found;
}

// Those keys whose nodes pass, to the front; their number.
inline std::size_t keep_passing(const NodeBitset& passing, Key* keys, std::size_t found) {
  return static_cast<std::size_t>(std::remove_if(keys, keys + found, [&](Key key) { return !passing[node_of(key)]; }) -
                                  keys);
}

// The rows of a store as lists of neighbours in memory.
class BlockScorer {
 public:
  BlockScorer(const VectorStore& vectors, const kernels::DistanceKernels& kernels, std::size_t dim, const void* query)
      : vectors_(vectors), kernels_(kernels), dim_(dim), query_(query) {}

  bool next() {
    first_ = end_;
    end_ = std::min(first_ + list_block, vectors_.size());
    scored_ = false;
    return first_ < end_;
  }
  std::size_t score(float bound, Key* keys, std::size_t& found) {
    if (scored_) return 0;
    scored_ = true;
    const std::size_t count = end_ - first_;
    alignas(row_alignment) float values[list_block];
    kernels_.block(query_, vectors_.row(static_cast<NodeId>(first_)), vectors_.stride_bytes(), count, dim_, values);
    found = keys_within(
        values, count, bound, [&](std::size_t i) { return static_cast<NodeId>(first_ + i); }, keys);
    return count;
  }

 private:
  std::size_t first_ = 0;
  std::size_t end_ = 0;
  bool scored_ = false;
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

  bool next() {
    first_ = end_;
    end_ = std::min(first_ + list_block, nodes_.size());
    scored_ = false;
    return first_ < end_;
  }
  std::size_t score(float bound, Key* keys, std::size_t& found) {
    if (scored_) return 0;
    scored_ = true;
    const auto nodes = nodes_.subspan(first_, end_ - first_);
    alignas(row_alignment) float values[list_block];
    score_nodes(nodes, values);
    found = keys_within(
        values, nodes.size(), bound, [&](std::size_t i) { return nodes[i]; }, keys);
    return nodes.size();
  }

  // Rows lie anywhere, so those of the next group are asked for while one is scored.
  void score_nodes(std::span<const NodeId> nodes, float* values) const {
    constexpr std::size_t group = 8;
    for (std::size_t begin = 0; begin < nodes.size(); begin += group) {
      for (std::size_t i = begin + group; i < std::min(begin + 2 * group, nodes.size()); ++i) {
        prefetch(vectors_.row(nodes[i]), vectors_.stride_bytes());
      }
      const void* rows[group];
      for (std::size_t i = 0; i < group; ++i) rows[i] = vectors_.row(nodes[std::min(begin + i, nodes.size() - 1)]);
      float group_values[group];
      kernels_.gather8(query_, rows, dim_, group_values);
      std::copy_n(group_values, std::min(group, nodes.size() - begin), values + begin);
    }
  }

 private:
  std::size_t first_ = 0;
  std::size_t end_ = 0;
  bool scored_ = false;
  std::span<const NodeId> nodes_;
  const VectorStore& vectors_;
  const kernels::DistanceKernels& kernels_;
  std::size_t dim_;
  const void* query_;
};

// Scorer:  bool next()    on to the next list; false if there is none
//          size_t score(bound, keys, found)   of the next rows of the list, at most list_block; 0 at its end. Writes the
//                         keys of those that may be worth a push, and how many
// Sink: bound(), and push(value, node) or push(keys, count), which may overwrite them. passing: null if all rows do.
template <class Scorer, class Sink, class Stop>
void scan_lists(Scorer&& scorer, const NodeBitset* passing, Sink& sink, Stop&& stop, SearchProgress& progress) {
  alignas(row_alignment) Key keys[list_block + 40];  // kernels write beyond what they find
  std::size_t found = 0;
  while (scorer.next()) {
    while (const std::size_t count = scorer.score(sink.bound(), keys, found)) {
      if (passing != nullptr) found = keep_passing(*passing, keys, found);
      if constexpr (requires { sink.push(keys, found); }) {
        if (found > 0) sink.push(keys, found);
      } else {
        for (std::size_t i = 0; i < found; ++i) {
          const Neighbor neighbor = neighbor_of(keys[i]);
          if (neighbor.distance <= sink.bound()) sink.push(neighbor.distance, neighbor.node);
        }
      }
      progress.distances += static_cast<std::uint32_t>(count);
    }
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
