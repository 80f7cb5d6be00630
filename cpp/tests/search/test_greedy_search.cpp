// Promise: the graph loop expands the nearest node known, or, looking ahead, the nearest known some expansions earlier.
#include "fastcbir/search/greedy_search.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <set>
#include <utility>
#include <vector>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/search/beam.hpp"
#include "fastcbir/stop/policy.hpp"

using namespace fastcbir;

namespace {

constexpr std::size_t count = 600;
constexpr std::size_t degree = 6;

// A circle with chords. Values have nothing to do with the links, so that searches go downhill and up again.
struct Web {
  std::vector<float> values;
  std::vector<std::vector<NodeId>> links;

  explicit Web(std::uint64_t seed) : values(count), links(count) {
    for (NodeId node = 0; node < count; ++node) {
      values[node] = static_cast<float>(uniform(seed, node));
      links[node].push_back((node + 1) % count);
      while (links[node].size() < degree) {
        links[node].push_back(static_cast<NodeId>(mix64(seed ^ mix64(node * degree + links[node].size())) % count));
      }
    }
  }
};

struct Walk {
  const Web& web;
  std::vector<NodeId>& order;

  void prefetch_node(NodeId) const {}
  std::size_t operator()(NodeId node, VisitedSet& visited, Neighborhood& neighborhood, SearchProgress&) const {
    order.push_back(node);
    std::size_t found = 0;
    for (const NodeId neighbor : web.links[node]) {
      if (visited.insert(neighbor)) neighborhood.keys[found++] = key_of(web.values[neighbor], neighbor);
    }
    return found;
  }
};

template <std::size_t ahead>
std::vector<NodeId> walked(const Web& web, std::size_t ef, SortedBeam& beam) {
  std::vector<NodeId> order;
  VisitedSet visited;
  visited.begin(count);
  visited.insert(0);
  beam.reset(ef);
  beam.push(web.values[0], 0);
  Neighborhood neighborhood;
  neighborhood.reserve(degree);
  SearchProgress progress;
  greedy_search<ahead>(Walk{web, order}, visited, beam, NeverStop{}, progress, neighborhood);
  CHECK(progress.expansions == order.size());
  return order;
}

// The same by sorted sets, without a limit on how many are kept.
std::vector<NodeId> expected(const Web& web, std::size_t ahead) {
  std::set<std::pair<float, NodeId>> open{{web.values[0], 0}};
  std::set<NodeId> seen{0};
  std::deque<std::pair<float, NodeId>> taken;
  std::vector<NodeId> order;
  float before = infinity;
  for (bool downhill = true;;) {
    const auto take = [&] {
      taken.push_back(*open.begin());
      open.erase(open.begin());
    };
    if (taken.empty() && open.empty()) return order;
    if (taken.empty()) take();
    const auto [value, node] = taken.front();
    taken.pop_front();
    order.push_back(node);
    downhill = downhill && value < before;
    before = value;
    while (!downhill && taken.size() < ahead && !open.empty()) take();
    for (const NodeId neighbor : web.links[node]) {
      if (seen.insert(neighbor).second) open.insert({web.values[neighbor], neighbor});
    }
  }
}

}  // namespace

TEST_CASE("the nearest node known is next, or the nearest known some expansions before") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const Web web(seed);
    SortedBeam beam;
    CHECK(walked<0>(web, count, beam) == expected(web, 0));
    CHECK(walked<1>(web, count, beam) == expected(web, 1));
    CHECK(walked<4>(web, count, beam) == expected(web, 4));
    CHECK(beam.size() == count);  // a circle: all are reached
    CHECK(expected(web, 4) != expected(web, 0));
  }
}

TEST_CASE("looking ahead, a narrow search ends too, and has expanded all that it holds") {
  for (const std::size_t ef : {1, 2, 7, 40}) {
    const Web web(ef);
    SortedBeam beam;
    const std::vector<NodeId> order = walked<4>(web, ef, beam);
    const std::set<NodeId> expanded(order.begin(), order.end());
    CHECK(expanded.size() == order.size());  // none twice
    for (std::size_t rank = 0; rank < beam.size(); ++rank) CHECK(expanded.count(beam[rank].node) == 1);
  }
}
