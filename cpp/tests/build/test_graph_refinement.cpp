// Promise: refined lists keep the links there were, are full where there are candidates, and do not depend on threads.
#include "fastcbir/build/graph_refinement.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "fastcbir/core/rng.hpp"

using namespace fastcbir;

namespace {

struct Made {
  std::size_t dim;
  HnswParams params{.m = 16, .ef_construction = 60, .keep_pruned = false, .seed = 1, .code_bits = 2};
  Space space;
  VectorStore vectors;
  PackedCodec codec;
  HnswGraph graph;

  explicit Made(Metric metric, std::size_t dimensions = 12)
      : dim(dimensions),
        space(dim, metric, ScalarType::f32),
        vectors(space),
        codec(space, params.code_bits, params.seed),
        graph(params, codec.block_bytes(params.m0())) {
    constexpr std::size_t count = 800;
    std::vector<float> values(count * dim);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(uniform(3, i)) - 0.5f;
    vectors.append(space, values.data(), count);
    graph.links.append(draw_levels(params, 0, count));
    HnswBuilder(params, space, vectors, graph).insert(0, count, 1, nullptr);
  }
  void refine(std::size_t threads) {
    refine_links(space, vectors, codec, graph, params.ef_construction, threads, nullptr);
  }
  std::vector<NodeId> list(NodeId node) const {
    const std::uint32_t* slots = graph.links.block(node, 0);
    std::vector<NodeId> nodes;
    for (std::size_t i = 0; i < params.m0() && slots[i] != no_node; ++i) nodes.push_back(slots[i]);
    return nodes;
  }
};

}  // namespace

TEST_CASE("refined lists hold the old ones and more, each node once") {
  // Above 256 dimensions, near nodes are met in another way.
  for (const auto& [metric, dim] : {std::pair{Metric::l2, 12}, {Metric::cosine, 12}, {Metric::l2, 300}}) {
    CAPTURE(dim);
    const auto dimensions = static_cast<std::size_t>(dim);
    const Made before(metric, dimensions);
    Made after(metric, dimensions);
    Made on_threads(metric, dimensions);
    after.refine(1);
    on_threads.refine(3);
    std::size_t links_before = 0;
    std::size_t links_after = 0;
    for (NodeId node = 0; node < after.graph.links.size(); ++node) {
      std::vector<NodeId> old = before.list(node);
      std::vector<NodeId> refined = after.list(node);
      CHECK(refined == on_threads.list(node));
      links_before += old.size();
      links_after += refined.size();
      std::sort(old.begin(), old.end());
      std::sort(refined.begin(), refined.end());
      CHECK(std::adjacent_find(refined.begin(), refined.end()) == refined.end());
      CHECK(std::includes(refined.begin(), refined.end(), old.begin(), old.end()));
      CHECK(!std::binary_search(refined.begin(), refined.end(), node));
    }
    CHECK(links_after > links_before);
    CHECK(links_after > after.graph.links.size() * after.params.m0() * 8 / 10);
    after.graph.links.check();
  }
}

TEST_CASE("refined lists lead far away too") {
  const Made before(Metric::l2);
  Made after(Metric::l2);
  after.refine(1);
  const std::size_t size = after.graph.links.size();
  // Links to other than the nearest 100, whom a node meets when it is searched for.
  constexpr std::ptrdiff_t met = 100;
  const auto far_links = [&](const Made& made) {
    std::size_t count = 0;
    for (NodeId node = 0; node < size; ++node) {
      PreparedQuery query;
      const RowQuery row = made.space.row_query(made.vectors.row(node), query);
      const auto value = [&](NodeId other) {
        return made.space.kernels().one(row.data, made.vectors.row(other), made.dim);
      };
      std::vector<float> values;
      for (NodeId other = 0; other < size; ++other) values.push_back(value(other));
      std::nth_element(values.begin(), values.begin() + met, values.end());
      for (const NodeId other : made.list(node)) count += value(other) > values[met] ? 1 : 0;
    }
    return count;
  };
  CHECK(far_links(after) > 2 * far_links(before));
}

TEST_CASE("a graph of one node or none has nothing to refine") {
  for (const auto& [count, dim] : {std::pair<std::size_t, std::size_t>{0, 4}, {1, 4}, {0, 300}, {1, 300}}) {
    const Space space(dim, Metric::l2, ScalarType::f32);
    VectorStore vectors(space);
    const std::vector<float> values(dim * count, 1.0f);
    vectors.append(space, values.data(), count);
    PackedCodec codec(space, 2, 1);
    HnswGraph graph(HnswParams{}, codec.block_bytes(HnswParams{}.m0()));
    graph.links.append(std::vector<std::uint8_t>(count));
    refine_links(space, vectors, codec, graph, 200, 2, nullptr);
    CHECK(graph.links.size() == count);
  }
}
