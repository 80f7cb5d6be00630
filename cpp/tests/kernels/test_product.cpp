// Product codes of every table that can run here against obvious sums, and against each other to the bit.
#include <algorithm>
#include <cmath>
#include <vector>

#include "doctest/doctest.h"
#include "reference.hpp"

namespace fastcbir::test {
namespace {

using kernels::packed_neighbors;
using kernels::PackedQuery;
using kernels::product_entries;

struct Case {
  explicit Case(std::size_t parts)
      : block(kernels::product_block_bytes(parts)), tables(4 * parts * product_entries), nodes(packed_neighbors) {
    std::mt19937 random(static_cast<unsigned>(parts));
    for (std::size_t i = 0; i < block.size; ++i) block.data[i] = static_cast<std::uint8_t>(random());
    for (std::size_t i = 0; i < tables.size; ++i) {
      // The largest entries of 256 parts just fit 16 bits.
      tables.data[i] = parts == 256 ? 255 : static_cast<std::uint8_t>(random());
    }
    for (std::size_t i = 0; i < 2 * packed_neighbors; ++i) {
      factors()[i] = static_cast<std::uint16_t>(0x3000 + random() % 0x0c00 + (random() % 2 << 15));  // 0.125 to 1
    }
    for (std::uint32_t j = 0; j < packed_neighbors; ++j) nodes.data[j] = 0x7fffff00u + j;
    for (std::size_t q = 0; q < 4; ++q) {
      queries[q] = {tables.data + q * parts * product_entries, parts, 1,
                    0.01f + 0.001f * static_cast<float>(q),    -3.0f, 16.0f};
      pointers[q] = &queries[q];
    }
  }
  std::uint16_t* factors() { return reinterpret_cast<std::uint16_t*>(block.data); }

  Lines<std::uint8_t> block;
  Lines<std::uint8_t> tables;
  Lines<std::uint32_t> nodes;
  PackedQuery queries[4];
  const PackedQuery* pointers[4];
};

}  // namespace

TEST_CASE("estimates of product codes add up the entries that their bytes name") {
  for (const std::size_t parts : {2, 4, 16, 98, 256}) {
    Case given(parts);
    const std::uint8_t* const codes = given.block.data + 4 * packed_neighbors;
    for (const KernelTable* table : tables_under_test()) {
      CAPTURE(table->name);
      CAPTURE(parts);
      std::uint64_t keys[kernels::packed_key_room];
      const PackedQuery& query = given.queries[1];
      REQUIRE(table->product.candidates(query, given.block.data, given.nodes.data, 1.5f, infinity, keys) ==
              packed_neighbors);
      for (std::size_t j = 0; j < packed_neighbors; ++j) {
        double sum = 0;
        for (std::size_t part = 0; part < parts; ++part) {
          sum += query.table[part * product_entries + codes[part * packed_neighbors + j]];
        }
        const double expected =
            1.5 + 16.0 * (value_of_half(given.factors()[j]) +
                          value_of_half(given.factors()[packed_neighbors + j]) * (double{query.scale} * sum - 3.0));
        CHECK(static_cast<std::uint32_t>(keys[j]) == given.nodes.data[j] * 2);
        CHECK(static_cast<double>(value_of_key(keys[j])) == doctest::Approx(expected).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("four queries at once find in product codes what each finds alone, whatever the instruction set") {
  const float bases[] = {1.5f, -2.0f, 0.0f, 7.25f};
  const float bounds[] = {2.0f, infinity, -infinity, 1.0f};
  for (const std::size_t parts : {2, 16, 98}) {
    Case given(parts);
    std::vector<std::uint64_t> expected[4];
    for (const KernelTable* table : tables_under_test()) {
      CAPTURE(table->name);
      std::uint64_t keys[4 * kernels::packed_key_room];
      std::size_t found[4];
      table->product.candidates4(given.pointers, given.block.data, given.nodes.data, bases, bounds, keys, found);
      for (std::size_t q = 0; q < 4; ++q) {
        std::uint64_t alone[kernels::packed_key_room];
        const std::size_t count =
            table->product.candidates(given.queries[q], given.block.data, given.nodes.data, bases[q], bounds[q], alone);
        REQUIRE(found[q] == count);
        CHECK(std::equal(alone, alone + count, keys + q * kernels::packed_key_room));
        if (table == tables_under_test().front()) expected[q].assign(alone, alone + count);
        CHECK(std::equal(alone, alone + count, expected[q].begin(), expected[q].end()));
      }
      CHECK(found[1] == packed_neighbors);
      CHECK(found[2] == 0);
    }
  }
}

TEST_CASE("a query's products with a codebook, and the table made of them") {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  constexpr std::size_t parts = 3;
  for (const std::size_t dim : {1, 5, 16}) {
    Lines<float> book(dim * product_entries);
    Lines<float> products(parts * product_entries);
    std::vector<float> values(dim);
    for (std::size_t i = 0; i < book.size; ++i) book.data[i] = normal(random);
    for (const KernelTable* table : tables_under_test()) {
      CAPTURE(table->name);
      double least_sum = 0, widest = 0;
      std::vector<double> least(parts, 1e9);
      for (std::size_t part = 0; part < parts; ++part) {
        for (float& value : values) value = normal(random);
        float* const to = products.data + part * product_entries;
        table->product.products(book.data, values.data(), dim, to);
        double most = -1e9;
        for (std::size_t entry = 0; entry < product_entries; ++entry) {
          double expected = 0;
          for (std::size_t d = 0; d < dim; ++d) {
            expected += double{values[d]} * book.data[(entry / 32 * dim + d) * 32 + entry % 32];
          }
          CHECK(static_cast<double>(to[entry]) == doctest::Approx(expected).epsilon(1e-5).scale(10));
          least[part] = std::min(least[part], double{to[entry]});
          most = std::max(most, double{to[entry]});
        }
        least_sum += least[part];
        widest = std::max(widest, most - least[part]);
      }
      Lines<std::uint8_t> entries(parts * product_entries);
      float offset = 0;
      const double step = table->product.table(products.data, parts, entries.data, offset);
      CHECK(static_cast<double>(offset) == doctest::Approx(least_sum).epsilon(1e-5).scale(10));
      CHECK(step == doctest::Approx(widest / 255).epsilon(1e-5));
      for (std::size_t i = 0; i < entries.size; ++i) {
        const double above = (products.data[i] - least[i / product_entries]) / step;
        CHECK(std::abs(entries.data[i] - above) < 0.51);
      }
    }
  }
  // All entries alike: the table is all zero, and says so by the offset alone.
  Lines<float> alike(product_entries);
  for (std::size_t i = 0; i < alike.size; ++i) alike.data[i] = -2.5f;
  for (const KernelTable* table : tables_under_test()) {
    Lines<std::uint8_t> entries(product_entries);
    float offset = 0;
    CHECK(table->product.table(alike.data, 1, entries.data, offset) == 1);
    CHECK(offset == -2.5f);
    CHECK(std::all_of(entries.data, entries.data + entries.size, [](std::uint8_t entry) { return entry == 0; }));
  }
}

}  // namespace fastcbir::test
