// Promise: searches by codes begin near the query, at a node that leads anywhere.
#include "fastcbir/search/entry_points.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "fastcbir/build/hnsw_builder.hpp"
#include "fastcbir/core/rng.hpp"
#include "fastcbir/kernels/dispatch.hpp"

using namespace fastcbir;

namespace {

constexpr std::size_t dim = 20;

struct Made {
  Space space;
  VectorStore vectors;
  GraphLinks links{32, 16, 0};
  PackedCodec codec;
  EntryPoints entries;
  std::vector<NodeId> chosen;

  Made(Metric metric, ScalarType type, std::size_t planes, std::size_t count)
      : space(dim, metric, type), vectors(space), codec(space, planes, 1) {
    const bool bytes = bytes_of(type) == 1;
    const std::vector<std::byte> input = values(1, count, bytes);
    vectors.append(space, input.data(), count);
    links.append(draw_levels(HnswParams{}, 0, count));
    codec.set_unit(PackedCodec::unit_of(bytes ? 1000.0 : 0.5));
    entries.choose(codec, vectors, links);
    for (NodeId node = 0; node < count; ++node) {
      if (entries.contains(node)) chosen.push_back(node);
    }
  }

  static std::vector<std::byte> values(std::uint64_t seed, std::size_t count, bool bytes) {
    std::vector<std::byte> all(count * dim * (bytes ? 1 : sizeof(float)));
    for (std::size_t i = 0; i < count * dim; ++i) {
      const double value = uniform(seed, i);
      if (bytes) {
        all[i] = static_cast<std::byte>(static_cast<int>(value * 250));
      } else {
        reinterpret_cast<float*>(all.data())[i] = static_cast<float>(value - 0.4);
      }
    }
    return all;
  }

  // How many of the chosen ones are nearer than the one it names, on average.
  double mean_rank() const {
    constexpr std::size_t queries = 200;
    const std::vector<std::byte> input = values(2, queries, bytes_of(space.type()) == 1);
    PreparedQuery query;
    PackedCodec::QueryScratch scratch;
    std::vector<Key> keys(kernels::packed_key_room);
    std::size_t nearer = 0;
    for (std::size_t i = 0; i < queries; ++i) {
      space.prepare(input.data() + i * space.input_bytes(), query);
      const auto value = [&](NodeId node) { return space.kernels().one(query.data(), vectors.row(node), dim); };
      const kernels::PackedQuery packed = codec.prepare(query.data(), scratch);
      const NodeId found = entries.nearest(kernels::active().packed, packed, keys.data());
      REQUIRE(entries.contains(found));
      for (const NodeId node : chosen) nearer += value(node) < value(found) ? 1 : 0;
    }
    return static_cast<double>(nearer) / queries;
  }
};

}  // namespace

TEST_CASE("the nearest entry point is found, or one about as near") {
  for (const std::size_t planes : {std::size_t{1}, std::size_t{2}}) {
    for (const Metric metric : {Metric::l2, Metric::ip, Metric::cosine}) {
      for (const ScalarType type : {ScalarType::f32, ScalarType::f16, ScalarType::u8}) {
        if (metric == Metric::cosine && type == ScalarType::u8) continue;
        const Made made(metric, type, planes, 3000);
        CHECK(made.chosen.size() == 32);
        CHECK(made.mean_rank() < (planes == 1 ? 2.5 : 1.0));
      }
    }
  }
}

TEST_CASE("entry points are nodes of the highest levels, a whole number of blocks, and the same each time") {
  const Made made(Metric::l2, ScalarType::f32, 1, 70'000);
  CHECK(made.chosen.size() == 64);
  CHECK(made.mean_rank() < 4);
  std::size_t least = GraphLinks::max_level;
  for (const NodeId node : made.chosen) least = std::min(least, made.links.level_of(node));
  for (NodeId node = 0; node < made.links.size(); ++node) {
    CHECK((made.entries.contains(node) || made.links.level_of(node) <= least));
  }
  CHECK(Made(Metric::l2, ScalarType::f32, 1, 70'000).chosen == made.chosen);
}

TEST_CASE("few nodes are all entry points, and none has none") {
  const Made few(Metric::l2, ScalarType::f32, 2, 5);
  CHECK(few.chosen.size() == 5);
  CHECK(few.mean_rank() < 0.5);
  const Made one(Metric::cosine, ScalarType::f32, 1, 1);
  CHECK(one.chosen.size() == 1);
  CHECK(one.mean_rank() == 0);
  Made none(Metric::l2, ScalarType::f32, 1, 0);
  CHECK(none.entries.empty());
  CHECK(!none.entries.contains(0));
}
