#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "fastcbir/storage/space.hpp"
#include "fastcbir/storage/vectors.hpp"

using namespace fastcbir;

namespace {

std::vector<float> some_vectors(std::size_t count, std::size_t dim) {
  std::vector<float> values(count * dim);
  unsigned seed = 3;
  for (float& value : values) {
    seed = seed * 1664525 + 1013904223;
    value = static_cast<float>(seed >> 8) / 8388608.0f - 1;
  }
  return values;
}

}  // namespace

TEST_CASE("rows come back as they went in, and distances are finished") {
  for (const std::size_t dim : {1, 7, 100}) {
    for (const ScalarType type : {ScalarType::f32, ScalarType::f16}) {
      for (const Metric metric : {Metric::l2, Metric::ip, Metric::cosine}) {
        const Space space(dim, metric, type);
        VectorStore store(space);
        const std::vector<float> input = some_vectors(5, dim);
        store.append(space, input.data(), 5);
        const double tolerance = type == ScalarType::f16 ? 2e-3 : 1e-5;
        PreparedQuery query;
        for (NodeId a = 0; a < 5; ++a) {
          std::vector<float> back(dim);
          space.decode(store.row(a), back.data());
          double norm_a = 0;
          for (std::size_t i = 0; i < dim; ++i) norm_a += double{input[a * dim + i]} * input[a * dim + i];
          const double unit = metric == Metric::cosine ? std::sqrt(norm_a) : 1;
          for (std::size_t i = 0; i < dim; ++i)
            CHECK(back[i] == doctest::Approx(input[a * dim + i] / unit).epsilon(tolerance));
          space.prepare(input.data() + a * dim, query);
          for (NodeId b = 0; b < 5; ++b) {
            double l2 = 0, dot = 0, norm_b = 0;
            for (std::size_t i = 0; i < dim; ++i) {
              const double x = input[a * dim + i], y = input[b * dim + i];
              l2 += (x - y) * (x - y);
              dot += x * y;
              norm_b += y * y;
            }
            const double expected = metric == Metric::l2   ? l2
                                    : metric == Metric::ip ? -dot
                                                           : 1 - dot / std::sqrt(norm_a * norm_b);
            const float value = space.kernels().one(query.data(), store.row(b), dim);
            const float distance = space.finish(value, query);
            CHECK(std::abs(distance - expected) < tolerance * static_cast<double>(dim));
            if (distance > 0.01f) CHECK(space.unfinish(distance, query) == doctest::Approx(value).epsilon(1e-3));
            // A stored row in the role of the query means the same.
            PreparedQuery scratch;
            const RowQuery row = space.row_query(store.row(a), scratch);
            CHECK(std::abs(space.kernels().one(row.data, store.row(b), dim) * row.scale - value) <
                  tolerance * static_cast<double>(dim));
          }
        }
      }
    }
  }
}

TEST_CASE("input that no space can take is refused") {
  CHECK_THROWS_AS(Space(0, Metric::l2, ScalarType::f32), std::invalid_argument);
  CHECK_THROWS_AS(Space(65537, Metric::l2, ScalarType::f32), std::invalid_argument);
  const Space space(2, Metric::cosine, ScalarType::f32);
  const float good[] = {1, 2, 3, 4};
  CHECK_NOTHROW(space.check_input(good, 2, "vectors"));
  const float zero[] = {1, 2, 0, 0};
  CHECK_THROWS_WITH(space.check_input(zero, 2, "vectors"),
                    "vectors row 1 is all zeros, which has no direction: cosine is undefined for it");
  const float infinite[] = {1, std::numeric_limits<float>::infinity()};
  CHECK_THROWS_WITH(space.check_input(infinite, 1, "queries"),
                    "queries row 0 has inf in column 1; every coordinate must be finite");
}
