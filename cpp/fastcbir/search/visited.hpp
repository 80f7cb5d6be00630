// VisitedSet: which nodes this search has seen. Floor 3.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "fastcbir/core/types.hpp"
#include "fastcbir/search/keys.hpp"

namespace fastcbir {

// One byte a node holds the epoch (the number of the search) in which it was last seen, so that a new search begins
// without touching them; the bytes are cleared once in 255 searches.
class VisitedSet {
 public:
  void begin(std::size_t node_count) {
    if (epochs_.size() < node_count) epochs_.resize(node_count, 0);
    if (++epoch_ == 0) {
      std::memset(epochs_.data(), 0, epochs_.size());
      epoch_ = 1;
    }
  }

  // True if the node had not been seen in this search; it has been now.
  bool insert(NodeId node) {
    const bool fresh = epochs_[node] != epoch_;
    epochs_[node] = epoch_;
    return fresh;
  }

  // Of these keys, those of nodes not seen before, to the front in their order; how many. All are seen from now on. Which
  // are new is guessed wrong half the time: no branch on it.
  std::size_t insert_new(Key* keys, std::size_t count) {
    std::uint8_t* const epochs = epochs_.data();
    const std::uint8_t epoch = epoch_;  // a byte that is written might be this one, for all the compiler knows
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const Key key = keys[i];
      std::uint8_t& seen = epochs[node_of(key)];
      const std::size_t fresh = seen != epoch ? 1 : 0;
      seen = epoch;
      keys[kept] = key;
      kept += fresh;
    }
    return kept;
  }

  bool contains(NodeId node) const { return epochs_[node] == epoch_; }

  std::size_t memory_bytes() const { return epochs_.capacity(); }

 private:
  std::vector<std::uint8_t> epochs_;
  std::uint8_t epoch_ = 0;
};

}  // namespace fastcbir
