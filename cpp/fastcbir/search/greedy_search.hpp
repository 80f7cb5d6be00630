// THE graph loop: best-first search, for every index, codec, filter and stop policy. Floor 3.
#pragma once

#include <algorithm>
#include <cstddef>

#include "fastcbir/core/types.hpp"
#include "fastcbir/search/keys.hpp"
#include "fastcbir/search/neighborhood.hpp"
#include "fastcbir/search/progress.hpp"
#include "fastcbir/search/visited.hpp"

namespace fastcbir {

// Expands the frontier's nearest node, again and again, until the frontier has none left or the policy ends it.
//   Expander  count = expand(node, visited, neighborhood, progress), which writes keys and counts its distances;
//             prefetch_node(node)
//   Frontier  pop(next), peek(), bound(), push(keys, count)
//   Stop      see stop/policy.hpp
// The caller has put the entry nodes into both the frontier and the visited set.
template <class Expander, class Frontier, class Stop>
void greedy_search(const Expander& expander, VisitedSet& visited, Frontier& frontier, Stop&& stop,
                   SearchProgress& progress, Neighborhood& neighborhood) {
  Neighbor current;
  while (frontier.pop(current)) {
    expander.prefetch_node(frontier.peek());
    const std::size_t count = expander(current.node, visited, neighborhood, progress);
    ++progress.expansions;
    frontier.push(neighborhood.keys.data(), count);
    if (stop(progress, frontier)) return;
  }
}

// The walk down the upper levels: to the nearest neighbour until none is nearer.
template <class Expander>
Neighbor greedy_descent(const Expander& expander, Neighbor start, VisitedSet& visited, SearchProgress& progress,
                        Neighborhood& neighborhood) {
  Key nearest = key_of(start.distance, start.node);
  for (bool moved = true; moved;) {
    const Key before = nearest;
    const std::size_t count = expander(node_of(nearest), visited, neighborhood, progress);
    for (std::size_t i = 0; i < count; ++i) nearest = std::min(nearest, neighborhood.keys[i]);
    moved = nearest != before;
  }
  return neighbor_of(nearest);
}

}  // namespace fastcbir
