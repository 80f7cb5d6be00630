// Every kernel of every table that can run here, at ragged sizes, against the reference; and every shape against `one`.
#include "doctest/doctest.h"
#include "reference.hpp"

namespace fastcbir::test {
namespace {

constexpr std::size_t dims[] = {1, 7, 16, 31, 32, 33, 64, 65, 96, 100, 128, 223, 960, 1280};
constexpr std::size_t row_count = 21;  // two groups of eight and a rest; seven and five groups of three and four
constexpr std::size_t query_count = 9;

// Compares bits, and counts: a doctest assertion per number would take most of the run time.
struct Mismatches {
  std::size_t count = 0;
  void compare(float actual, float wanted) {
    count += std::bit_cast<std::uint32_t>(actual) != std::bit_cast<std::uint32_t>(wanted);
  }
};

void check(const DistanceKernels& kernels, ScalarType type, Metric metric, std::size_t dim) {
  std::mt19937 random(
      static_cast<unsigned>(dim * 12 + static_cast<std::size_t>(type) * 3 + static_cast<std::size_t>(metric)));
  const std::size_t padded = padded_dim(type, dim);
  Rows rows(type, row_count, dim, padded + row_alignment);  // a stride wider than need be
  Rows queries(query_type(type), query_count, dim, padded + row_alignment);
  rows.fill(random, row_count);
  queries.fill(random, query_count);

  std::vector<float> singles(query_count * row_count);
  double worst = 0;
  for (std::size_t q = 0; q < query_count; ++q) {
    for (std::size_t r = 0; r < row_count; ++r) {
      const float distance = kernels.one(queries.row(q), rows.row(r), dim);
      const Expected expected = expected_distance(type, metric, queries.row(q), rows.row(r), dim);
      const double error = std::abs(static_cast<double>(distance) - expected.distance);
      if (!(error <= expected.tolerance)) worst = std::max(worst, error > 0 ? error : HUGE_VAL);
      singles[q * row_count + r] = distance;
    }
  }
  CHECK_MESSAGE(worst == 0, "an error of " << worst << " beyond tolerance");

  Mismatches gathered, blocked, tiled;
  for (std::size_t q = 0; q < query_count; ++q) {
    const void* picked[8];
    std::size_t which[8];
    for (std::size_t i = 0; i < 8; ++i) which[i] = random() % row_count, picked[i] = rows.row(which[i]);
    float out[8];
    kernels.gather4(queries.row(q), picked, dim, out);
    for (std::size_t i = 0; i < 4; ++i) gathered.compare(out[i], singles[q * row_count + which[i]]);
    kernels.gather8(queries.row(q), picked, dim, out);
    for (std::size_t i = 0; i < 8; ++i) gathered.compare(out[i], singles[q * row_count + which[i]]);
  }
  for (std::size_t count = 0; count <= row_count; ++count) {
    std::vector<float> out(row_count + 1, -7.0f);
    kernels.block(queries.row(0), rows.row(0), rows.stride(), count, dim, out.data());
    for (std::size_t r = 0; r <= row_count; ++r) blocked.compare(out[r], r < count ? singles[r] : -7.0f);
  }
  constexpr std::size_t out_stride = row_count + 3;
  for (std::size_t some_queries : {0, 1, 2, 3, 4, 5, 6, 7, 9}) {
    for (std::size_t some_rows : {0, 1, 2, 3, 4, 7, 8, 21}) {
      std::vector<float> out(query_count * out_stride, -7.0f);
      kernels.tile(queries.row(0), queries.stride(), some_queries, rows.row(0), rows.stride(), some_rows, dim,
                   out.data(), out_stride);
      for (std::size_t q = 0; q < query_count; ++q) {
        for (std::size_t r = 0; r < out_stride; ++r) {
          const bool inside = q < some_queries && r < some_rows;
          tiled.compare(out[q * out_stride + r], inside ? singles[q * row_count + r] : -7.0f);
        }
      }
    }
  }
  CHECK_MESSAGE(gathered.count == 0, "gather differs from one");
  CHECK_MESSAGE(blocked.count == 0, "block differs from one, or writes beside its output");
  CHECK_MESSAGE(tiled.count == 0, "tile differs from one, or writes beside its output");
}

}  // namespace

TEST_CASE("kernels agree with the reference, and shapes with each other to the bit") {
  for (const KernelTable* table : tables_under_test()) {
    for (ScalarType type : all_types) {
      for (Metric metric : all_metrics) {
        for (std::size_t dim : dims) {
          const std::string at =
              std::string(table->name) + " " + name_of(type) + " " + name_of(metric) + " dim " + std::to_string(dim);
          CAPTURE(at);
          check(distance_kernels(*table, type, metric), type, metric, dim);
        }
      }
    }
  }
}

}  // namespace fastcbir::test
