#include <doctest/doctest.h>

#include <vector>

#include "fastcbir/core/bitset.hpp"

using fastcbir::NodeBitset;

TEST_CASE("a bitset does what a vector of bools does") {
  NodeBitset bits;
  std::vector<bool> expected;
  const std::pair<std::size_t, bool> resizes[] = {{3, false},  {10, true},  {64, false}, {64, true},
                                                  {129, true}, {70, false}, {200, false}};
  unsigned seed = 7;
  for (const auto& [size, value] : resizes) {
    bits.resize(size, value);
    expected.resize(size, value);
    for (int i = 0; i < 20; ++i) {
      seed = seed * 1664525 + 1013904223;
      const std::size_t at = (seed >> 8) % size;
      if ((seed & 1) != 0) {
        bits.set(at);
        expected[at] = true;
      } else {
        bits.reset(at);
        expected[at] = false;
      }
    }
    std::vector<std::size_t> set;
    for (std::size_t i = 0; i < size; ++i) {
      CHECK(bits[i] == expected[i]);
      if (expected[i]) set.push_back(i);
    }
    CHECK(bits.count() == set.size());
    std::vector<std::size_t> visited;
    bits.for_each([&](std::size_t at) { visited.push_back(at); });
    CHECK(visited == set);
  }
}
