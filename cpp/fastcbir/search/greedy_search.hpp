// THE graph loop: best-first search, for every index, codec, filter and stop policy. Floor 3.
#pragma once

#include <cstddef>
#include <vector>

#include "fastcbir/core/types.hpp"
#include "fastcbir/search/progress.hpp"
#include "fastcbir/search/visited.hpp"

namespace fastcbir {

// Where an expander writes a neighbourhood.
struct Neighborhood {
  std::vector<NodeId> nodes;
  std::vector<float> values;

  void reserve(std::size_t links) {
    if (nodes.size() < links) {
      nodes.resize(links);
      values.resize(links);
    }
  }
};

// Expands the frontier's nearest node, again and again, until the frontier has none left or the policy ends it.
//   Expander  count = expand(node, visited, nodes, values); prefetch_node(node), distances_of(count)
//   Frontier  pop(next), peek(), bound(), push(value, node)
//   Stop      see stop/policy.hpp
// The caller has put the entry nodes into both the frontier and the visited set.
template <class Expander, class Frontier, class Stop>
void greedy_search(const Expander& expander, VisitedSet& visited, Frontier& frontier, Stop&& stop,
                   SearchProgress& progress, Neighborhood& neighborhood) {
  NodeId* const nodes = neighborhood.nodes.data();
  float* const values = neighborhood.values.data();
  Neighbor current;
  while (frontier.pop(current)) {
    expander.prefetch_node(frontier.peek());
    const std::size_t count = expander(current.node, visited, nodes, values);
    progress.distances += expander.distances_of(count);
    ++progress.expansions;
    for (std::size_t i = 0; i < count; ++i) {
      if (values[i] < frontier.bound()) frontier.push(values[i], nodes[i]);
    }
    if (stop(progress, frontier)) return;
  }
}

// The walk down the upper levels: to the nearest neighbour until none is nearer.
template <class Expander>
Neighbor greedy_descent(const Expander& expander, Neighbor start, VisitedSet& visited, SearchProgress& progress,
                        Neighborhood& neighborhood) {
  for (bool moved = true; moved;) {
    moved = false;
    const std::size_t count = expander(start.node, visited, neighborhood.nodes.data(), neighborhood.values.data());
    progress.distances += static_cast<std::uint32_t>(count);
    for (std::size_t i = 0; i < count; ++i) {
      if (const Neighbor other{neighborhood.values[i], neighborhood.nodes[i]}; other < start) {
        start = other;
        moved = true;
      }
    }
  }
  return start;
}

}  // namespace fastcbir
