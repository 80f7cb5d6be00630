#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/search/beam.hpp"

using namespace fastcbir;

TEST_CASE("ordered bits keep the order of floats") {
  const float values[] = {-infinity, -3e38f, -1.5f, -1e-40f, 0.0f, 1e-40f, 1.0f, 3e38f, infinity};
  for (const float a : values) {
    CHECK(from_ordered_bits(ordered_bits(a)) == a);
    for (const float b : values) CHECK((ordered_bits(a) < ordered_bits(b)) == (a < b));
  }
  CHECK(ordered_bits(-0.0f) == ordered_bits(0.0f));
}

TEST_CASE("a beam does what a sorted list cut at ef does") {
  SortedBeam beam;
  for (const std::size_t ef : {1, 2, 7, 64}) {
    beam.reset(ef);
    struct Entry {
      Neighbor neighbor;
      bool expanded;
    };
    std::vector<Entry> expected;
    for (std::uint64_t step = 0; step < 2000; ++step) {
      const std::uint64_t random = mix64(step * 31 + ef);
      if (random % 4 != 0) {
        const Neighbor entry{static_cast<float>(random >> 50) - 4000.0f, static_cast<NodeId>(step)};
        if (entry.distance < beam.bound()) {
          beam.push(entry.distance, entry.node);
          expected.push_back({entry, false});
          std::stable_sort(expected.begin(), expected.end(),
                           [](const Entry& a, const Entry& b) { return a.neighbor < b.neighbor; });
          if (expected.size() > ef) expected.pop_back();
        }
      } else {
        Neighbor next;
        const NodeId peeked = beam.peek();
        const bool any = beam.pop(next);
        const auto at =
            std::find_if(expected.begin(), expected.end(), [](const Entry& entry) { return !entry.expanded; });
        REQUIRE(any == (at != expected.end()));
        REQUIRE(peeked == (any ? at->neighbor.node : no_node));
        if (any) {
          CHECK(next.node == at->neighbor.node);
          at->expanded = true;
        }
      }
      REQUIRE(beam.size() == expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        REQUIRE(beam[i].node == expected[i].neighbor.node);
        REQUIRE(beam[i].distance == expected[i].neighbor.distance);
      }
      CHECK(beam.bound() == (expected.size() < ef ? infinity : expected.back().neighbor.distance));
    }
  }
}

TEST_CASE("a limit ends a beam where it would have been reached, and keeps the nearest") {
  for (const std::size_t ef : {8, 40, 200, 700}) {
    SortedBeam whole;
    SortedBeam limited;
    whole.reset(ef);
    limited.reset(ef);
    float limit = infinity;
    for (std::uint64_t step = 0; step < 400; ++step) {
      for (std::uint64_t i = 0; i < 5; ++i) {
        const auto value = static_cast<float>(mix64(step * 5 + i) % 10000);
        const auto node = static_cast<NodeId>(step * 5 + i);
        if (value < whole.bound()) whole.push(value, node);
        if (value < limited.bound()) limited.push(value, node);
      }
      limit = std::min(limit, 9000.0f - 20.0f * static_cast<float>(step));
      const float keep = whole.size() < 4 ? infinity : std::nextafter(whole[3].distance, infinity);
      limited.limit(limit, keep);
      for (std::size_t rank = 0; rank < std::min<std::size_t>(4, whole.size()); ++rank) {
        REQUIRE(limited[rank].node == whole[rank].node);
      }
      Neighbor expected;
      Neighbor next;
      const bool any = whole.pop(expected) && expected.distance < limit;
      REQUIRE(limited.pop(next) == any);
      if (!any) break;
      CHECK(next.node == expected.node);
    }
    CHECK(limit < 9000);
  }
}
