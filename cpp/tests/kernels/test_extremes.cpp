// Sums at the edge of 32 bits, rows without a direction, halves at both ends of their range.
#include <algorithm>

#include "doctest/doctest.h"
#include "reference.hpp"

namespace fastcbir::test {
namespace {

constexpr std::size_t widest = 65'536;

// The distance by every shape; the caller checks that they are one number.
std::vector<float> by_every_shape(const DistanceKernels& kernels, const std::byte* query, const std::byte* row,
                                  std::size_t dim) {
  const void* same[8];
  std::fill(std::begin(same), std::end(same), row);
  std::vector<float> out(1 + 4 + 8 + 9 + 5 * 9);
  out[0] = kernels.one(query, row, dim);
  kernels.gather4(query, same, dim, &out[1]);
  kernels.gather8(query, same, dim, &out[5]);
  kernels.block(query, row, 0, 9, dim, &out[13]);  // stride 0: the same row again
  kernels.tile(query, 0, 5, row, 0, 9, dim, &out[22], 9);
  return out;
}

template <class Number>
void check_constant(ScalarType type, Number in_query, Number in_row, std::size_t dim) {
  Rows query(type, 1, dim, padded_dim(type, dim)), row(type, 1, dim, padded_dim(type, dim));
  for (std::size_t i = 0; i < dim; ++i) query.set(0, i, in_query), row.set(0, i, in_row);
  for (const KernelTable* table : tables_under_test()) {
    for (Metric metric : all_metrics) {
      const std::string at = std::string(table->name) + " " + name_of(type) + " " + name_of(metric);
      CAPTURE(at);
      const Expected expected = expected_distance(type, metric, query.row(0), row.row(0), dim);
      const DistanceKernels& kernels = distance_kernels(*table, type, metric);
      for (float distance : by_every_shape(kernels, query.row(0), row.row(0), dim)) {
        REQUIRE(std::abs(static_cast<double>(distance) - expected.distance) <= expected.tolerance);
      }
    }
  }
}

}  // namespace

TEST_CASE("the largest bytes in the most dimensions do not overflow") {
  check_constant<std::uint8_t>(ScalarType::u8, 255, 255, widest);
  check_constant<std::uint8_t>(ScalarType::u8, 255, 0, widest);
  check_constant<std::uint8_t>(ScalarType::u8, 0, 255, widest);
  check_constant<std::uint8_t>(ScalarType::u8, 255, 1, widest);
  check_constant<std::int8_t>(ScalarType::i8, -128, -128, widest);
  check_constant<std::int8_t>(ScalarType::i8, -128, 127, widest);
  check_constant<std::int8_t>(ScalarType::i8, 127, -128, widest);
  check_constant<std::int8_t>(ScalarType::i8, 127, 127, widest);
  check_constant<std::int8_t>(ScalarType::i8, 0, -128, widest);
  check_constant<std::int8_t>(ScalarType::i8, -128, 0, 100);  // and beside padding
  check_constant<std::uint8_t>(ScalarType::u8, 255, 0, 100);
}

TEST_CASE("a zero row is at cosine distance 0, and products with it are 0 and not -0") {
  for (const KernelTable* table : tables_under_test()) {
    for (ScalarType type : all_types) {
      for (std::size_t dim : {3, 96, 130}) {
        const std::string at = std::string(table->name) + " " + name_of(type) + " dim " + std::to_string(dim);
        CAPTURE(at);
        std::mt19937 random(5);
        Rows query(query_type(type), 1, dim, padded_dim(type, dim)), row(type, 1, dim, padded_dim(type, dim));
        query.fill(random, 1);
        for (Metric metric : {Metric::ip, Metric::cosine}) {
          for (float distance : by_every_shape(distance_kernels(*table, type, metric), query.row(0), row.row(0), dim)) {
            REQUIRE(std::bit_cast<std::uint32_t>(distance) == 0u);
          }
        }
      }
    }
  }
}

TEST_CASE("a vector is at distance 0 from itself") {
  for (const KernelTable* table : tables_under_test()) {
    for (ScalarType type : {ScalarType::f32, ScalarType::u8, ScalarType::i8}) {
      std::mt19937 random(11);
      Rows row(type, 1, 223, padded_dim(type, 223));
      row.fill(random, 1);
      for (float distance : by_every_shape(distance_kernels(*table, type, Metric::l2), row.row(0), row.row(0), 223)) {
        REQUIRE(distance == 0.0f);
      }
    }
  }
}

TEST_CASE("subnormal, largest and infinite halves are read for what they are") {
  constexpr std::uint16_t halves[] = {0x0001, 0x8001, 0x03ff, 0x83ff, 0x0400, 0x7bff, 0xfbff};
  for (const KernelTable* table : tables_under_test()) {
    CAPTURE(table->name);
    for (std::size_t place : {0u, 5u, 17u, 31u, 32u, 96u}) {
      for (std::uint16_t half : halves) {
        Rows query(ScalarType::f32, 1, 97, 128), row(ScalarType::f16, 1, 97, 128);
        query.set(0, place, 1.0f);
        row.set(0, place, half);
        for (float distance :
             by_every_shape(distance_kernels(*table, ScalarType::f16, Metric::ip), query.row(0), row.row(0), 97)) {
          REQUIRE(distance == static_cast<float>(-value_of_half(half)));
        }
      }
    }
    Rows query(ScalarType::f32, 1, 40, 64), row(ScalarType::f16, 1, 40, 64);
    row.set(0, 39, std::uint16_t{0x7c00});
    for (float distance :
         by_every_shape(distance_kernels(*table, ScalarType::f16, Metric::l2), query.row(0), row.row(0), 40)) {
      REQUIRE(distance == infinity);
    }
  }
}

}  // namespace fastcbir::test
