#include <doctest/doctest.h>

#include <unordered_map>
#include <vector>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/storage/id_map.hpp"

using namespace fastcbir;

TEST_CASE("sequential ids cost nothing") {
  IdMap map;
  for (Id id = 0; id < 1000; ++id) map.append(id);
  CHECK(map.sequential());
  CHECK(map.memory_bytes() == 0);
  CHECK(map.find(999) == 999);
  CHECK(map.find(1000) == no_node);
  CHECK(map.find(-1) == no_node);
}

TEST_CASE("an id map does what a hash map does") {
  IdMap map;
  std::unordered_map<Id, NodeId> expected;
  std::vector<Id> order;
  for (std::uint64_t step = 0; step < 20000; ++step) {
    const std::uint64_t random = mix64(step);
    const Id id = step < 50 ? static_cast<Id>(step) : static_cast<Id>(random % 3000);
    if (random >> 60 < 11) {
      map.reserve(1, map.sequential() && id == static_cast<Id>(map.size()));
      expected[id] = static_cast<NodeId>(order.size());
      order.push_back(id);
      map.append(id);
    } else if (!map.sequential()) {
      map.erase(id);
      expected.erase(id);
    }
    const Id probe = static_cast<Id>(mix64(random) % 3100);
    const auto found = expected.find(probe);
    REQUIRE(map.find(probe) == (found == expected.end() ? no_node : found->second));
  }
  for (std::size_t node = 0; node < order.size(); ++node) CHECK(map.id_of(static_cast<NodeId>(node)) == order[node]);
}
