// Stop policies: asked once per expanded node or scanned list whether the search is done. Floor 3.
//
// A policy is a template parameter of the graph loop and the list loop. It has
//     bool operator()(const SearchProgress& progress, Frontier& frontier)
// and true ends the search with what has been found. One whose body is a constant costs nothing. The learned ones are in
// price_stop.hpp and list_stop.hpp; trace.hpp has the one that writes down what others are learned from.
#pragma once

#include <cstdint>

#include "fastcbir/search/progress.hpp"

namespace fastcbir {

// The search ends by itself.
struct NeverStop {
  template <class Frontier>
  constexpr bool operator()(const SearchProgress&, const Frontier&) const {
    return false;
  }
};

// At most about this many distances: the last expansion may go a neighbourhood over.
struct BudgetStop {
  std::uint32_t max_distances;

  template <class Frontier>
  constexpr bool operator()(const SearchProgress& progress, const Frontier&) const {
    return progress.distances >= max_distances;
  }
};

}  // namespace fastcbir
