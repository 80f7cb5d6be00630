#include <doctest/doctest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/kernels/dispatch.hpp"
#include "fastcbir/search/keys.hpp"
#include "fastcbir/storage/packed_codec.hpp"
#include "fastcbir/storage/vectors.hpp"

using namespace fastcbir;

namespace {

// The root mean square error of estimates, as a share of the length of the vectors between nodes.
double error_of(std::size_t dim, ScalarType type, Metric metric, std::size_t planes, float scale) {
  const Space space(dim, metric, type);
  VectorStore store(space);
  constexpr std::size_t count = 200;
  const std::size_t width = query_bytes_of(type);
  std::vector<std::byte> input(count * dim * width);
  for (std::size_t i = 0; i < count * dim; ++i) {
    const double value = uniform(9, i) - 0.5;
    if (width == 4) {
      reinterpret_cast<float*>(input.data())[i] = static_cast<float>(value) * scale;
    } else {
      reinterpret_cast<std::int8_t*>(input.data())[i] =
          static_cast<std::int8_t>(static_cast<int>(value * 200) + (type == ScalarType::u8 ? 100 : 0));
    }
  }
  store.append(space, input.data(), count);
  PackedCodec codec(space, planes, 1);
  AlignedBuffer rotated, alone;
  AlignedBuffer row_scratch;
  alone.resize(codec.padded_dim() * sizeof(float));
  rotated.resize(count * codec.padded_dim() * sizeof(float));
  const auto rotated_row = [&](NodeId node) { return rotated.as<float>().data() + node * codec.padded_dim(); };
  std::vector<const std::byte*> stored;
  for (NodeId node = 0; node < count; ++node) stored.push_back(store.row(node));
  codec.load_rows(stored, rotated_row(0), row_scratch);
  codec.load_rows({&stored[count - 1], 1}, alone.as<float>().data(), row_scratch);
  CHECK(std::equal(rotated_row(count - 1), rotated_row(count - 1) + codec.padded_dim(), alone.as<float>().data()));
  const auto squared_distance = [&](NodeId a, NodeId b) {
    double sum = 0;
    for (std::size_t i = 0; i < codec.padded_dim(); ++i)
      sum += std::pow(double{rotated_row(a)[i]} - rotated_row(b)[i], 2);
    return sum;
  };
  codec.set_unit(PackedCodec::unit_of(squared_distance(0, 1)));
  alignas(64) std::uint32_t nodes[32];
  for (std::uint32_t j = 0; j < 32; ++j) nodes[j] = j;
  AlignedBuffer block;
  block.resize(codec.block_bytes(32));
  PackedCodec::Workspace workspace;
  PackedCodec::QueryScratch scratch;
  PreparedQuery query;
  double sum = 0;
  std::size_t terms = 0;
  for (NodeId node = 0; node < 20; ++node) {
    constexpr std::size_t neighbors = 30;  // two places stay free
    std::vector<const float*> rows;
    for (NodeId j = 0; j < neighbors; ++j) rows.push_back(rotated_row(node + 20 + j));
    codec.pack(rotated_row(node), rows, block.data(), workspace);
    for (NodeId asker = 100; asker < 110; ++asker) {
      space.prepare(input.data() + asker * space.input_bytes(), query);
      const float base = space.kernels().one(query.data(), store.row(node), dim);
      Key keys[40];
      REQUIRE(kernels::active().packed.candidates(codec.prepare(query.data(), scratch), block.data(), nodes, base,
                                                  infinity, keys) == neighbors);
      for (NodeId j = 0; j < neighbors; ++j) {
        REQUIRE(node_of(keys[j]) == j);
        const double exact = space.kernels().one(query.data(), store.row(node + 20 + j), dim);
        sum += std::pow((value_of(keys[j]) - exact) / squared_distance(node, node + 20 + j), 2);
        ++terms;
      }
    }
  }
  return std::sqrt(sum / static_cast<double>(terms));
}

}  // namespace

TEST_CASE("estimates come near, the nearer the more bits and dimensions, whatever the scale") {
  for (const float scale : {1e-4f, 1.0f, 1e5f}) {
    for (const Metric metric : {Metric::l2, Metric::ip}) {
      const double one = error_of(96, ScalarType::f32, metric, 1, scale);
      const double two = error_of(96, ScalarType::f32, metric, 2, scale);
      CHECK(one < 0.2);
      CHECK(two < 0.6 * one);
      CHECK(error_of(384, ScalarType::f32, metric, 1, scale) < 0.7 * one);
    }
  }
  CHECK(error_of(1280, ScalarType::f32, Metric::l2, 1, 1) < 0.06);
  CHECK(error_of(50, ScalarType::f16, Metric::cosine, 2, 1) < 0.15);
  CHECK(error_of(128, ScalarType::u8, Metric::l2, 2, 1) < 0.1);
  CHECK(error_of(128, ScalarType::i8, Metric::ip, 2, 1) < 0.1);
  CHECK_THROWS_AS(PackedCodec(Space(8, Metric::cosine, ScalarType::u8), 1, 0), std::invalid_argument);
}
