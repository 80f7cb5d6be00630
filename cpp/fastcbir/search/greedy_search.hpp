// THE graph loop: best-first search, for every index, codec, filter and stop policy. Floor 3.
#pragma once

#include <algorithm>
#include <array>
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
//
// ahead: from the bottom of the first descent on, so many nodes are taken from the frontier before what the present one
// leads to is known. They come from memory in the meantime: of nodes with codes, with four, a fifth less time, and a
// little more is found. Where a smaller frontier would have ended can't be told from such a search, and the policy is not
// to limit the frontier.
template <std::size_t ahead = 0, class Expander, class Frontier, class Stop>
void greedy_search(const Expander& expander, VisitedSet& visited, Frontier& frontier, Stop&& stop,
                   SearchProgress& progress, Neighborhood& neighborhood) {
  std::array<Neighbor, ahead + 1> taken;  // in turn, from `first` on
  std::size_t first = 0, count_taken = 0;
  Neighbor current;
  if (!frontier.pop(current)) return;
  for (bool downhill = true;;) {
    if (ahead == 0 || downhill) {
      expander.prefetch_node(frontier.peek());
    } else {
      for (Neighbor next; count_taken < ahead && frontier.pop(next); ++count_taken) {
        expander.prefetch_node(next.node);
        taken[(first + count_taken) % taken.size()] = next;
      }
    }
    const std::size_t count = expander(current.node, visited, neighborhood, progress);
    ++progress.expansions;
    frontier.push(neighborhood.keys.data(), count);
    if (stop(progress, frontier)) return;
    Neighbor next;
    bool known = false;
    for (; count_taken > 0 && !known; --count_taken) {
      next = taken[first];
      first = (first + 1) % taken.size();
      known = next.distance <= frontier.bound();  // else nearer ones have come since
    }
    if (!known && !frontier.pop(next)) return;
    downhill = downhill && next.distance < current.distance;
    current = next;
  }
}

// With codes.
inline constexpr std::size_t nodes_ahead = 4;

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
