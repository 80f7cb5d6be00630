// Keys: a candidate's value, node and whether it was expanded, in one number that sorts. Floor 3.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "fastcbir/core/types.hpp"
#include "fastcbir/kernels/table.hpp"

namespace fastcbir {

// See kernels::BeamKernels. Nodes are below 2^31.
using Key = std::uint64_t;

// Floats as unsigned integers of the same order (-0 counts as 0).
inline std::uint32_t ordered_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.0f);
  return bits ^ ((bits >> 31) != 0 ? 0xFFFFFFFFu : 0x80000000u);
}
inline float from_ordered_bits(std::uint32_t bits) {
  return std::bit_cast<float>(bits ^ ((bits >> 31) != 0 ? 0x80000000u : 0xFFFFFFFFu));
}

// The least float above this one.
inline float next_above(float value) { return from_ordered_bits(ordered_bits(value) + 1); }

inline Key key_of(float value, NodeId node) { return Key{ordered_bits(value)} << 32 | Key{node} << 1; }
inline float value_of(Key key) { return from_ordered_bits(static_cast<std::uint32_t>(key >> 32)); }
inline NodeId node_of(Key key) { return static_cast<NodeId>(static_cast<std::uint32_t>(key) >> 1); }
inline Neighbor neighbor_of(Key key) { return {value_of(key), node_of(key)}; }
// A key that nothing of this value or above is smaller than.
inline Key bound_key(float value) { return Key{ordered_bits(value)} << 32; }

// Those keys that are below the limit, to the front in their order, without a branch on what they are; their number.
inline std::size_t keep_below(Key* keys, std::size_t count, Key limit) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Key key = keys[i];
    keys[kept] = key;
    kept += key < limit ? 1 : 0;
  }
  return kept;
}

}  // namespace fastcbir
