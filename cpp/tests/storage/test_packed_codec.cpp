#include <doctest/doctest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/kernels/dispatch.hpp"
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
  codec.set_unit(PackedCodec::unit_of(codec.squared_distance(store.row(0), store.row(1))));
  AlignedBuffer block;
  block.resize(codec.block_bytes(32));
  PackedCodec::Workspace workspace;
  PackedCodec::QueryScratch scratch;
  PreparedQuery query;
  double sum = 0;
  std::size_t terms = 0;
  for (NodeId node = 0; node < 20; ++node) {
    std::vector<const std::byte*> rows;
    for (NodeId other = 0; other < 30; ++other) rows.push_back(store.row(node + 20 + other));
    codec.pack(store.row(node), rows, block.data(), workspace);
    for (NodeId asker = 100; asker < 110; ++asker) {
      space.prepare(input.data() + asker * space.input_bytes(), query);
      const float base = space.kernels().one(query.data(), store.row(node), dim);
      alignas(64) float estimated[32];
      kernels::active().packed.estimates(codec.prepare(query.data(), scratch), block.data(), base, infinity, estimated);
      for (std::size_t j = 0; j < rows.size(); ++j) {
        const double exact = space.kernels().one(query.data(), rows[j], dim);
        const double length2 = codec.squared_distance(store.row(node), rows[j]);
        sum += std::pow((estimated[j] - exact) / length2, 2);
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
