// SortedBeam: the ef nearest nodes seen so far, sorted, each marked once expanded. Floor 3.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "fastcbir/core/types.hpp"

namespace fastcbir {

// Floats as unsigned integers of the same order (-0 counts as 0).
inline std::uint32_t ordered_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.0f);
  return bits ^ ((bits >> 31) != 0 ? 0xFFFFFFFFu : 0x80000000u);
}
inline float from_ordered_bits(std::uint32_t bits) {
  return std::bit_cast<float>(bits ^ ((bits >> 31) != 0 ? 0x80000000u : 0xFFFFFFFFu));
}

// Candidates and results at once: the search ends when all of the ef nearest are expanded, which is the stop rule of
// Malkov & Yashunin's algorithm 2. An entry is one 64-bit key (distance, node, expanded), so that order is one compare.
// Nodes are below 2^31.
class SortedBeam {
 public:
  void reset(std::size_t ef) {
    if (keys_.size() < ef + 1) keys_.resize(ef + 1);
    capacity_ = ef;
    size_ = 0;
    cursor_ = 0;
    worst_ = infinity;
  }

  // Values from here on are not worth a push.
  float bound() const { return worst_; }

  void push(float value, NodeId node) {
    const std::uint64_t key = std::uint64_t{ordered_bits(value)} << 32 | std::uint64_t{node} << 1;
    std::uint64_t* const keys = keys_.data();
    const std::size_t at = static_cast<std::size_t>(std::lower_bound(keys, keys + size_, key) - keys);
    if (at == capacity_) return;
    std::memmove(keys + at + 1, keys + at, (size_ - at) * sizeof(std::uint64_t));  // one slot more than ef is there
    keys[at] = key;
    size_ = std::min(size_ + 1, capacity_);
    cursor_ = std::min(cursor_, at);
    if (size_ == capacity_) worst_ = value_of(keys[size_ - 1]);
  }

  // The nearest node not yet expanded, which now is; false if there is none.
  bool pop(Neighbor& next) {
    while (cursor_ < size_ && (keys_[cursor_] & 1) != 0) ++cursor_;
    if (cursor_ == size_) return false;
    next = neighbor_of(keys_[cursor_]);
    keys_[cursor_++] |= 1;
    return true;
  }

  // The node that pop() would give next if nothing nearer came; no_node if none.
  NodeId peek() const {
    for (std::size_t at = cursor_; at < size_; ++at) {
      if ((keys_[at] & 1) == 0) return node_of(keys_[at]);
    }
    return no_node;
  }

  std::size_t size() const { return size_; }
  Neighbor operator[](std::size_t rank) const { return neighbor_of(keys_[rank]); }

 private:
  static float value_of(std::uint64_t key) { return from_ordered_bits(static_cast<std::uint32_t>(key >> 32)); }
  static NodeId node_of(std::uint64_t key) { return static_cast<NodeId>(static_cast<std::uint32_t>(key) >> 1); }
  static Neighbor neighbor_of(std::uint64_t key) { return {value_of(key), node_of(key)}; }

  std::vector<std::uint64_t> keys_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
  std::size_t cursor_ = 0;  // everything before it is expanded
  float worst_ = infinity;
};

}  // namespace fastcbir
