#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <vector>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/search/candidates.hpp"
#include "fastcbir/search/exact_scan.hpp"
#include "fastcbir/search/inverted_scorers.hpp"
#include "fastcbir/search/scan_lists.hpp"
#include "fastcbir/search/top_k.hpp"
#include "fastcbir/stop/policy.hpp"
#include "fastcbir/storage/packed_codec.hpp"
#include "fastcbir/storage/space.hpp"

using namespace fastcbir;

namespace {

constexpr std::size_t dim = 24;

std::vector<float> some_vectors(std::size_t count, std::uint64_t seed) {
  std::vector<float> values(count * dim);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(uniform(seed, i));
  return values;
}

}  // namespace

TEST_CASE("tiles, blocks and named rows find what one distance after the other finds") {
  const Space space(dim, Metric::l2, ScalarType::f32);
  const std::vector<float> input = some_vectors(3001, 1);
  const std::vector<float> queries = some_vectors(19, 2);
  VectorStore store(space);
  store.append(space, input.data(), 3001);
  NodeBitset some(3001);
  for (std::size_t i = 0; i < 3001; i += 3) some.set(i);
  std::vector<NodeId> names;
  some.for_each([&](std::size_t node) { names.push_back(static_cast<NodeId>(node)); });

  AlignedBuffer prepared;
  prepared.resize(19 * space.query_stride_bytes());
  PreparedQuery query;
  for (std::size_t q = 0; q < 19; ++q) {
    space.prepare(queries.data() + q * dim, query);
    std::copy_n(query.buffer.data(), space.query_stride_bytes(), prepared.data() + q * space.query_stride_bytes());
  }
  for (const NodeBitset* passing : {static_cast<const NodeBitset*>(nullptr), static_cast<const NodeBitset*>(&some)}) {
    std::vector<std::vector<Neighbor>> expected(19);
    for (std::size_t q = 0; q < 19; ++q) {
      for (NodeId node = 0; node < 3001; ++node) {
        if (passing != nullptr && !(*passing)[node]) continue;
        expected[q].push_back(
            {space.kernels().one(prepared.data() + q * space.query_stride_bytes(), store.row(node), dim), node});
      }
      std::sort(expected[q].begin(), expected[q].end());
      expected[q].resize(15);
    }
    const auto check = [&](std::size_t q, std::span<const Neighbor> found) {
      REQUIRE(found.size() == 15);
      for (std::size_t i = 0; i < 15; ++i) {
        REQUIRE(found[i].node == expected[q][i].node);
        REQUIRE(found[i].distance == expected[q][i].distance);
      }
    };
    for (const std::size_t threads : {1, 2, 7}) {
      std::mutex mutex;
      std::vector<int> emitted(19);
      exact_scan(
          {store, space.kernels(), dim, passing, prepared.data(), space.query_stride_bytes(), 19, 15, threads, nullptr},
          [&](std::size_t q, std::span<const Neighbor> found) {
            const std::lock_guard lock(mutex);
            ++emitted[q];
            check(q, found);
          });
      CHECK(emitted == std::vector<int>(19, 1));
    }
    TopK nearest;
    for (std::size_t q = 0; q < 19; ++q) {
      const std::byte* row = prepared.data() + q * space.query_stride_bytes();
      SearchProgress progress;
      nearest.reset(15);
      scan_lists(BlockScorer(store, space.kernels(), dim, row), passing, nearest, NeverStop{}, progress);
      CHECK(progress.distances == 3001);
      check(q, nearest.sorted());
      if (passing == nullptr) continue;
      nearest.reset(15);
      scan_lists(NamedScorer(names, store, space.kernels(), dim, row), nullptr, nearest, NeverStop{}, progress);
      check(q, nearest.sorted());
    }
  }
}

TEST_CASE("a budget ends a scan after the list that spends it") {
  const Space space(dim, Metric::l2, ScalarType::f32);
  const std::vector<float> input = some_vectors(2000, 3);
  VectorStore store(space);
  store.append(space, input.data(), 2000);
  PreparedQuery query;
  space.prepare(input.data(), query);
  TopK nearest;
  nearest.reset(1);
  SearchProgress progress;
  scan_lists(BlockScorer(store, space.kernels(), dim, query.data()), nullptr, nearest, BudgetStop{300}, progress);
  CHECK(progress.distances == 2 * list_block);
  CHECK(progress.expansions == 2);
}

TEST_CASE("candidates are the nearest of a stream") {
  Candidates candidates;
  for (const std::size_t wanted : {1, 5, 60, 3000}) {
    candidates.reset(wanted);
    std::vector<Neighbor> expected;
    for (NodeId node = 0; node < 2000; ++node) {
      const auto value = static_cast<float>(mix64(node) % 500);
      expected.push_back({value, node});
      Key key = key_of(value, node);
      if (value <= candidates.bound()) candidates.push(&key, 1);
    }
    std::sort(expected.begin(), expected.end());
    expected.resize(std::min<std::size_t>(wanted, 2000));
    std::vector<Neighbor> sorted;
    candidates.for_each([&](NodeId node) { sorted.push_back({static_cast<float>(mix64(node) % 500), node}); });
    std::sort(sorted.begin(), sorted.end());
    REQUIRE(sorted.size() == expected.size());
    for (std::size_t i = 0; i < sorted.size(); ++i) REQUIRE(sorted[i].node == expected[i].node);
  }
}

TEST_CASE("estimates of lists are near the distances, and of nodes given up there are none") {
  const Space space(dim, Metric::l2, ScalarType::f32);
  const std::vector<float> input = some_vectors(100, 5);
  VectorStore store(space);
  store.append(space, input.data(), 100);
  PackedCodec codec(space, 2, 0);
  codec.set_unit(1);
  InvertedLists lists(2, codec.block_bytes(InvertedLists::block_nodes));
  const std::uint32_t room[2] = {45, 50};
  lists.make_room(room);
  AlignedBuffer rotated, scratch;
  const std::size_t width = codec.padded_dim();
  rotated.resize(100 * width * sizeof(float));
  float* const floats = rotated.as<float>().data();
  for (NodeId node = 0; node < 95; ++node) {
    lists.append(node < 45 ? 0 : 1, node);
    const std::byte* row = store.row(node);
    codec.load_rows({&row, 1}, floats + node * width, scratch);
  }
  PackedCodec::Workspace workspace;
  for (std::size_t list = 0; list < 2; ++list) {  // row 99 is the centroid of both
    const std::byte* row = store.row(99);
    codec.load_rows({&row, 1}, floats + 99 * width, scratch);
    for (std::size_t at = 0; at < lists.block_count(list); ++at) {
      std::vector<const float*> rows;
      for (std::size_t i = at * 32; i < std::min<std::size_t>(lists.size(list), at * 32 + 32); ++i) {
        rows.push_back(floats + lists.node(list, i) * width);
      }
      codec.pack(floats + 99 * width, rows, lists.block(list, at), workspace);
    }
  }
  PreparedQuery query;
  space.prepare(input.data() + 98 * dim, query);
  PackedCodec::QueryScratch packed_scratch;
  const kernels::PackedQuery packed = codec.prepare(query.data(), packed_scratch);
  const float base = space.kernels().one(query.data(), store.row(99), dim);
  const Probe probes[3] = {{base, 1}, {base, 0}, {base, 1}};
  for (const std::size_t kept : {95, 77, 40, 5}) {
    lists.truncate(kept);
    std::vector<Neighbor> found;
    struct Sink {
      std::vector<Neighbor>& found;
      float bound() const { return infinity; }
      void push(float value, NodeId node) { found.push_back({value, node}); }
    } sink{found};
    SearchProgress progress;
    scan_lists(CodeScorer(lists, std::span(probes).first(2), kernels::active().packed, packed, 1), nullptr, sink,
               NeverStop{}, progress);
    CHECK(progress.distances == kept);
    CHECK(progress.expansions == 2);
    REQUIRE(found.size() == kept);
    std::vector<bool> seen(kept);
    double error = 0;
    for (const Neighbor& neighbor : found) {
      REQUIRE(neighbor.node < kept);
      CHECK(!seen[neighbor.node]);
      seen[neighbor.node] = true;
      const float exact = space.kernels().one(query.data(), store.row(neighbor.node), dim);
      error += std::abs(neighbor.distance - exact) / exact;
    }
    CHECK(error / static_cast<double>(kept) < 0.1);
  }
}
