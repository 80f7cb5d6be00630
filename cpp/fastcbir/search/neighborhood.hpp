// Neighborhood: the neighbours of one expanded node. Floor 3.
#pragma once

#include <cstddef>
#include <vector>

#include "fastcbir/core/types.hpp"
#include "fastcbir/search/keys.hpp"

namespace fastcbir {

// Where an expander works and writes.
struct Neighborhood {
  std::vector<Key> keys;
  std::vector<NodeId> nodes;
  std::vector<float> values;

  // A few more than the links: vector code writes whole registers.
  void reserve(std::size_t links) {
    if (nodes.size() >= links) return;
    nodes.resize(links);
    values.resize(links);
    keys.resize(links + 8);
  }
};

}  // namespace fastcbir
