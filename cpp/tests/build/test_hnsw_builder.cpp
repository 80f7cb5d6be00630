#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "fastcbir/build/graph_walk.hpp"
#include "fastcbir/build/hnsw_builder.hpp"
#include "fastcbir/build/hnsw_compaction.hpp"
#include "fastcbir/core/rng.hpp"

using namespace fastcbir;

namespace {

constexpr std::size_t dim = 8;

struct Fixture {
  Space space{dim, Metric::l2, ScalarType::f32};
  VectorStore vectors{space};
  HnswParams params{.m = 6, .ef_construction = 40, .keep_pruned = false, .seed = 1, .code_bits = 0};
  HnswGraph graph{params, 0};

  explicit Fixture(std::size_t count) {
    std::vector<float> values(count * dim);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(uniform(5, i));
    vectors.append(space, values.data(), count);
  }
  void build(std::size_t threads) {
    graph.links.append(draw_levels(params, 0, vectors.size()));
    HnswBuilder(params, space, vectors, graph).insert(0, vectors.size(), threads, nullptr);
  }
  float distance(NodeId a, NodeId b) const { return space.kernels().one(vectors.row(a), vectors.row(b), dim); }
};

}  // namespace

TEST_CASE("levels fall off by m, and depend on seed and node alone") {
  const HnswParams params{.m = 16, .ef_construction = 1, .keep_pruned = true, .seed = 3, .code_bits = 0};
  const std::vector<std::uint8_t> levels = draw_levels(params, 0, 100000);
  std::map<int, int> counts;
  for (const std::uint8_t level : levels) ++counts[level];
  CHECK(counts[0] > 93000);
  CHECK(counts[0] < 94500);
  CHECK(counts[1] > 5400);
  CHECK(counts[1] < 6300);
  const std::vector<std::uint8_t> part = draw_levels(params, 500, 100);
  CHECK(std::equal(part.begin(), part.end(), levels.begin() + 500));
}

TEST_CASE("neighbours are chosen by algorithm 4") {
  Fixture fixture(200);
  const HnswBuilder builder(fixture.params, fixture.space, fixture.vectors, fixture.graph);
  HnswBuilder::Workspace workspace;
  for (NodeId base = 0; base < 50; ++base) {
    std::vector<Neighbor> candidates;
    for (NodeId node = 50; node < 200; ++node) candidates.push_back({fixture.distance(base, node), node});
    std::sort(candidates.begin(), candidates.end());
    std::vector<NodeId> expected;
    for (const Neighbor& candidate : candidates) {
      const bool shadowed = std::any_of(expected.begin(), expected.end(), [&](NodeId chosen) {
        return fixture.distance(candidate.node, chosen) < candidate.distance;
      });
      if (!shadowed && expected.size() < 9) expected.push_back(candidate.node);
    }
    std::vector<NodeId> chosen(9);
    chosen.resize(builder.select_neighbors(candidates, 9, chosen.data(), workspace));
    CHECK(chosen == expected);

    HnswParams filling = fixture.params;
    filling.keep_pruned = true;
    const HnswBuilder filler(filling, fixture.space, fixture.vectors, fixture.graph);
    std::vector<NodeId> filled(9);
    REQUIRE(filler.select_neighbors(candidates, 9, filled.data(), workspace) == 9);
    CHECK(std::equal(expected.begin(), expected.end(), filled.begin()));
  }
}

TEST_CASE("a graph built on any number of threads is whole") {
  for (const std::size_t threads : {1, 4}) {
    Fixture fixture(3000);
    fixture.build(threads);
    CHECK_NOTHROW(fixture.graph.links.check());
    std::size_t top = 0;
    for (NodeId node = 0; node < 3000; ++node) {
      top = std::max(top, fixture.graph.links.level_of(node));
      const std::uint32_t* slots = fixture.graph.links.block(node, 0);
      std::vector<NodeId> links(slots, std::find(slots, slots + 12, no_node));
      CHECK(!links.empty());
      CHECK(std::find(links.begin(), links.end(), node) == links.end());
      std::sort(links.begin(), links.end());
      CHECK(std::adjacent_find(links.begin(), links.end()) == links.end());
    }
    CHECK(fixture.graph.links.level_of(fixture.graph.entry) == top);
    CHECK(unreachable_nodes(fixture.graph).size() < 10);
  }
}

TEST_CASE("consolidation leaves no trace of the dead") {
  Fixture fixture(2000);
  fixture.build(1);
  NodeBitset dead(2000);
  for (std::uint64_t i = 0; i < 2000; ++i) {
    if (mix64(i) % 3 == 0) dead.set(i);
  }
  const std::size_t alive = 2000 - dead.count();
  const HnswGraph fresh = consolidate(fixture.params, fixture.space, fixture.vectors, fixture.graph, dead, 2, nullptr);
  CHECK(fresh.links.size() == alive);
  CHECK_NOTHROW(fresh.links.check());
  CHECK(unreachable_nodes(fresh).size() < 20);
  std::vector<NodeId> old_number;
  for (NodeId node = 0; node < 2000; ++node) {
    if (!dead[node]) old_number.push_back(node);
  }
  for (NodeId node = 0; node < alive; ++node) {
    CHECK(fresh.links.level_of(node) == fixture.graph.links.level_of(old_number[node]));
  }
}
