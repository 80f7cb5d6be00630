#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/search/heap_frontier.hpp"
#include "fastcbir/search/visited.hpp"

using namespace fastcbir;

TEST_CASE("top k keeps the k nearest, ties by node") {
  TopK top;
  for (const std::size_t k : {0, 1, 5, 100}) {
    top.reset(k);
    std::vector<Neighbor> all;
    for (std::uint64_t i = 0; i < 80; ++i) {
      const Neighbor entry{static_cast<float>(mix64(i) % 10), static_cast<NodeId>(i)};
      all.push_back(entry);
      if (entry.distance <= top.bound()) top.push(entry.distance, entry.node);
    }
    std::sort(all.begin(), all.end());
    all.resize(std::min(k, all.size()));
    const auto found = top.sorted();
    REQUIRE(found.size() == all.size());
    for (std::size_t i = 0; i < all.size(); ++i) CHECK(found[i].node == all[i].node);
  }
}

TEST_CASE("nodes that do not pass lead the way, but are not found") {
  NodeBitset passing(100);
  for (std::size_t i = 0; i < 100; i += 10) passing.set(i);
  HeapFrontier frontier;
  frontier.reset(3, &passing);
  for (NodeId node = 0; node < 100; ++node) {
    if (static_cast<float>(99 - node) < frontier.bound()) frontier.push(static_cast<float>(99 - node), node);
  }
  Neighbor next;
  REQUIRE(frontier.pop(next));
  CHECK(next.node == 99);  // nearest of all, though it does not pass
  const auto found = frontier.nearest();
  REQUIRE(found.size() == 3);
  CHECK(found[0].node == 90);
  CHECK(found[2].node == 70);
}

TEST_CASE("a radius collects everything within it, its border included") {
  HeapFrontier frontier;
  frontier.reset(1, nullptr, 5.0f);
  for (NodeId node = 0; node < 10; ++node) {
    const auto value = static_cast<float>(node);
    if (value < frontier.bound()) frontier.push(value, node);
  }
  CHECK(frontier.within_radius().size() == 6);
  Neighbor next;
  int popped = 0;
  while (frontier.pop(next)) ++popped;
  CHECK(popped == 6);
}

TEST_CASE("a visited set forgets between searches, through every wrap of its epoch") {
  VisitedSet visited;
  for (int search = 0; search < 1000; ++search) {
    visited.begin(50 + static_cast<std::size_t>(search) % 3);
    const auto node = static_cast<NodeId>(search % 50);
    REQUIRE(visited.insert(node));
    REQUIRE(!visited.insert(node));
    REQUIRE(visited.insert((node + 1) % 50));
  }
}
