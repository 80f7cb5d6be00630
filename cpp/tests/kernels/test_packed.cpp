// Packed codes of every table that can run here against obvious sums; integers exactly, estimates to a rounding or two.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "doctest/doctest.h"
#include "reference.hpp"

namespace fastcbir::test {
namespace {

using kernels::packed_block_bytes;
using kernels::packed_neighbors;
using kernels::PackedQuery;

std::uint32_t nibble_of(const std::uint8_t* group, std::size_t neighbor) {
  const std::uint8_t byte = group[neighbor % 8 * 2 + neighbor / 8 % 2];
  return neighbor < 16 ? byte & 15u : byte >> 4u;
}

}  // namespace

TEST_CASE("candidates are base + unit * (add + mul * (scale * sum + offset))") {
  for (const KernelTable* table : tables_under_test()) {
    CAPTURE(table->name);
    for (const std::size_t groups : {4, 24, 28, 256}) {
      for (const std::size_t planes : {1, 2}) {
        std::mt19937 random(static_cast<unsigned>(groups * 2 + planes));
        Lines<std::uint8_t> block(packed_block_bytes(groups, planes));
        Lines<std::uint8_t> entries(groups * 16);
        for (std::size_t i = 0; i < block.size; ++i) block.data[i] = static_cast<std::uint8_t>(random());
        for (std::size_t i = 0; i < entries.size; ++i) {
          // The largest entries of a plane of 256 groups just fit 16 bits.
          entries.data[i] = groups == 256 ? 255 : static_cast<std::uint8_t>(random());
        }
        auto* factors = reinterpret_cast<std::uint16_t*>(block.data);
        for (std::size_t i = 0; i < 2 * packed_neighbors; ++i) {
          factors[i] = static_cast<std::uint16_t>(0x3000 + random() % 0x0c00 + (random() % 2 << 15));  // 0.125 to 1
        }
        const PackedQuery query{entries.data, groups, planes, 0.01f, -3.0f, 16.0f};
        Lines<std::uint32_t> nodes(packed_neighbors);
        for (std::uint32_t j = 0; j < packed_neighbors; ++j) nodes.data[j] = 0x7fffff00u + j;
        const float bound = 2.0f;
        std::uint64_t keys[kernels::packed_key_room];
        const std::size_t count = table->packed.candidates(query, block.data, nodes.data, 1.5f, bound, keys);
        std::size_t at = 0;
        const std::uint8_t* codes = block.data + 4 * packed_neighbors;
        for (std::size_t j = 0; j < packed_neighbors; ++j) {
          std::uint32_t sum = 0;
          for (std::size_t plane = 0; plane < planes; ++plane) {
            std::uint32_t of_plane = 0;
            for (std::size_t group = 0; group < groups; ++group) {
              of_plane += entries.data[group * 16 + nibble_of(codes + (plane * groups + group) * 16, j)];
            }
            sum = sum * 2 + of_plane;
          }
          const double expected =
              1.5 + 16.0 * (value_of_half(factors[j]) +
                            value_of_half(factors[packed_neighbors + j]) * (0.01f * static_cast<double>(sum) - 3.0));
          if (std::abs(expected - double{bound}) < 1e-4) continue;  // either is right
          if (expected > double{bound}) continue;
          REQUIRE(at < count);
          CHECK(static_cast<std::uint32_t>(keys[at]) == nodes.data[j] * 2);
          CHECK(static_cast<double>(value_of_key(keys[at])) == doctest::Approx(expected).epsilon(1e-5));
          ++at;
        }
        CHECK(at == count);
      }
    }
  }
}

TEST_CASE("four queries at once find what each finds alone, to the bit, whatever the instruction set") {
  for (const std::size_t groups : {4, 28}) {
    for (const std::size_t planes : {1, 2}) {
      std::mt19937 random(static_cast<unsigned>(groups + planes));
      Lines<std::uint8_t> block(packed_block_bytes(groups, planes));
      Lines<std::uint8_t> entries(4 * groups * 16);
      for (std::size_t i = 0; i < block.size; ++i) block.data[i] = static_cast<std::uint8_t>(random());
      for (std::size_t i = 0; i < entries.size; ++i) entries.data[i] = static_cast<std::uint8_t>(random());
      auto* factors = reinterpret_cast<std::uint16_t*>(block.data);
      for (std::size_t i = 0; i < 2 * packed_neighbors; ++i) {
        factors[i] = static_cast<std::uint16_t>(0x3000 + random() % 0x0c00 + (random() % 2 << 15));
      }
      Lines<std::uint32_t> nodes(packed_neighbors);
      for (std::uint32_t j = 0; j < packed_neighbors; ++j) nodes.data[j] = 3 * j + 1;
      PackedQuery queries[4];
      const PackedQuery* pointers[4];
      const float bases[] = {1.5f, -2.0f, 0.0f, 7.25f};
      const float bounds[] = {2.0f, infinity, -infinity, 1.0f};
      for (std::size_t q = 0; q < 4; ++q) {
        queries[q] = {entries.data + q * groups * 16,         groups, planes,
                      0.01f + 0.001f * static_cast<float>(q), -3.0f,  16.0f};
        pointers[q] = &queries[q];
      }
      std::vector<std::uint64_t> expected[4];
      for (const KernelTable* table : tables_under_test()) {
        CAPTURE(table->name);
        std::uint64_t keys[4 * kernels::packed_key_room];
        std::size_t found[4];
        table->packed.candidates4(pointers, block.data, nodes.data, bases, bounds, keys, found);
        for (std::size_t q = 0; q < 4; ++q) {
          std::uint64_t alone[kernels::packed_key_room];
          const std::size_t count =
              table->packed.candidates(queries[q], block.data, nodes.data, bases[q], bounds[q], alone);
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
}

TEST_CASE("a beam keeps the smallest keys, in order, and says where the first new one is") {
  for (const KernelTable* table : tables_under_test()) {
    CAPTURE(table->name);
    for (const std::size_t capacity : {1, 2, 7, 8, 9, 64, 100, 128, 129, 192, 300, 600}) {
      CAPTURE(capacity);
      std::mt19937_64 random(capacity);
      Lines<std::uint64_t> keys((capacity + 7) / 8 * 8);
      std::fill_n(keys.data, keys.size, kernels::empty_key);
      std::vector<std::uint64_t> expected;
      for (int round = 0; round < 60; ++round) {
        std::uint64_t added[40];
        const std::size_t wanted = 1 + random() % 40;
        std::size_t count = 0;
        for (std::size_t i = 0; i < wanted; ++i) {
          const std::uint64_t key = random() % 5000;  // now and then the same
          if (expected.size() == capacity && key > expected.back()) continue;
          added[count++] = key;
        }
        if (count == 0) continue;
        const std::uint64_t least = *std::min_element(added, added + count);
        const std::size_t size = expected.size();
        expected.insert(expected.end(), added, added + count);
        std::sort(expected.begin(), expected.end());
        if (expected.size() > capacity) expected.resize(capacity);
        const std::size_t first = table->beam.insert(keys.data, size, capacity, added, count);
        const auto lower = std::lower_bound(expected.begin(), expected.end(), least) - expected.begin();
        const auto upper = std::upper_bound(expected.begin(), expected.end(), least) - expected.begin();
        CHECK(static_cast<std::ptrdiff_t>(first) >= lower);
        CHECK(static_cast<std::ptrdiff_t>(first) <= upper);
        REQUIRE(std::equal(expected.begin(), expected.end(), keys.data));
        for (std::size_t i = expected.size(); i < keys.size; ++i) REQUIRE(keys.data[i] == kernels::empty_key);
      }
    }
  }
}

TEST_CASE("a look-up table holds every subset's sum above the least one") {
  for (const KernelTable* table : tables_under_test()) {
    CAPTURE(table->name);
    const std::size_t groups = 12;
    std::mt19937 random(5);
    Lines<float> x(groups * 4);
    for (std::size_t i = 0; i < x.size; ++i) x.data[i] = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
    Lines<std::uint8_t> entries(groups * 16);
    const float step = 4.0f / 255;
    table->packed.table(x.data, groups, step, entries.data);
    for (std::size_t group = 0; group < groups; ++group) {
      double least = 0;
      for (std::size_t i = 0; i < 4; ++i) least += std::min(0.0f, x.data[group * 4 + i]);
      for (std::size_t bits = 0; bits < 16; ++bits) {
        double sum = -least;
        for (std::size_t i = 0; i < 4; ++i)
          sum += (bits >> i & 1) != 0 ? static_cast<double>(x.data[group * 4 + i]) : 0.0;
        CHECK(std::abs(entries.data[group * 16 + bits] - sum / static_cast<double>(step)) < 0.51);
      }
    }
  }
}

TEST_CASE("what a look-up table must hold is the same for every instruction set") {
  std::mt19937 random(8);
  const std::size_t groups = 44;
  Lines<float> x(groups * 4);
  for (std::size_t i = 0; i < x.size; ++i) x.data[i] = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
  double widest = 0, negative = 0, sum = 0;
  for (std::size_t i = 0; i < x.size; i += 4) {
    double width = 0;
    for (std::size_t j = i; j < i + 4; ++j) {
      const double value{x.data[j]};
      width += std::abs(value);
      negative += std::min(value, 0.0);
      sum += value;
    }
    widest = std::max(widest, width);
  }
  Lines<std::uint8_t> first(groups * 16);
  Lines<std::uint8_t> entries(groups * 16);
  std::optional<kernels::PackedExtent> same;
  for (const KernelTable* table : tables_under_test()) {
    CAPTURE(table->name);
    const kernels::PackedExtent extent = table->packed.extent(x.data, groups);
    CHECK(std::abs(double{extent.widest} - widest) < 1e-6);
    CHECK(std::abs(double{extent.negative} - negative) < 1e-5);
    CHECK(std::abs(double{extent.sum} - sum) < 1e-5);
    table->packed.table(x.data, groups, extent.widest / 255, entries.data);
    if (!same) {
      same = extent;
      std::copy_n(entries.data, entries.size, first.data);
    }
    CHECK(extent.widest == same->widest);
    CHECK(extent.negative == same->negative);
    CHECK(extent.sum == same->sum);
    CHECK(std::equal(first.data, first.data + first.size, entries.data));
  }
}

TEST_CASE("a row's code is what its definition says, and the same for every instruction set") {
  for (const std::size_t dim : {1, 16, 50, 96, 1280}) {
    for (const std::size_t planes : {1, 2}) {
      CAPTURE(dim);
      CAPTURE(planes);
      const std::size_t count = round_up(dim, 16);
      std::mt19937 random(static_cast<unsigned>(dim + planes));
      Lines<float> base(count);
      Lines<float> row(count);
      for (std::size_t i = 0; i < dim; ++i) {
        base.data[i] = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
        row.data[i] = random() % 8 == 0 ? base.data[i] : static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
      }
      const float outer = 0.9957f;
      double length2 = 0, along = 0, base_code = 0, base_difference = 0;
      for (std::size_t i = 0; i < count; ++i) length2 += std::pow(double{row.data[i]} - double{base.data[i]}, 2);
      const double limit = double{outer} * std::sqrt(length2 / static_cast<double>(dim));
      std::optional<kernels::PackedCode> same;
      std::vector<std::uint8_t> first;
      for (const KernelTable* table : tables_under_test()) {
        CAPTURE(table->name);
        std::vector<std::uint8_t> levels(count + 1, 77);
        const kernels::PackedCode code =
            table->packed.encode(base.data, row.data, count, dim, planes, outer, levels.data());
        CHECK(levels.back() == 77);
        if (!same) {
          same = code;
          first = levels;
          for (std::size_t i = 0; i < count; ++i) {
            const double w = double{row.data[i]} - double{base.data[i]};
            const bool is_outer = planes == 2 && std::abs(w) > limit;
            const int level = w > 0 ? (is_outer ? 3 : 2) : (is_outer ? 0 : 1);
            CHECK(int{levels[i]} == (planes == 2 ? level : level - 1));
            along += (2 * level - 3) * w;
            base_code += (2 * level - 3) * double{base.data[i]};
            base_difference += double{base.data[i]} * w;
          }
          const double close = 1e-6 * static_cast<double>(count);
          CHECK(std::abs(double{code.length2} - length2) < close);
          CHECK(std::abs(double{code.along} - along) < close);
          CHECK(std::abs(double{code.base_code} - base_code) < close);
          CHECK(std::abs(double{code.base_difference} - base_difference) < close);
        }
        CHECK(levels == first);
        CHECK(code.length2 == same->length2);
        CHECK(code.along == same->along);
        CHECK(code.base_code == same->base_code);
        CHECK(code.base_difference == same->base_difference);
      }
    }
  }
}

TEST_CASE("a projection is a product with a matrix") {
  for (const KernelTable* table : tables_under_test()) {
    CAPTURE(table->name);
    for (const std::size_t count : {16, 48, 96, 112, 192}) {
      std::mt19937 random(7);
      Lines<float> columns(count * count);
      constexpr std::size_t rows = 6;  // some together, some alone
      Lines<float> x(rows * count);
      Lines<float> projected(rows * count);
      for (std::size_t i = 0; i < columns.size; ++i) columns.data[i] = static_cast<float>(random() % 21) - 10;
      for (std::size_t i = 0; i < x.size; ++i) x.data[i] = static_cast<float>(random() % 100);
      table->project(columns.data, x.data, rows, count, projected.data);
      for (std::size_t at = 0; at < rows * count; ++at) {
        const std::size_t row = at / count, j = at % count;
        double sum = 0;
        for (std::size_t i = 0; i < count; ++i) sum += double{x.data[row * count + i]} * columns.data[i * count + j];
        CHECK(double{projected.data[at]} == sum);  // whole numbers: exact
      }
    }
  }
}

TEST_CASE("norms in double, and what is scaled by them, are the same for every instruction set") {
  for (const std::size_t count : {1, 15, 16, 33, 100}) {
    std::vector<float> x(count + 1);
    std::mt19937 random(9);
    for (float& value : x)
      value = std::ldexp(static_cast<float>(random() % 2001) - 1000, static_cast<int>(random() % 200) - 100);
    double expected = 0;
    for (std::size_t i = 1; i <= count; ++i) expected += double{x[i]} * double{x[i]};
    std::optional<double> same;
    for (const KernelTable* table : tables_under_test()) {
      CAPTURE(table->name);
      const double norm2 = table->squared_norm(x.data() + 1, count);
      CHECK(std::abs(norm2 - expected) <= 1e-14 * expected);
      CHECK(norm2 == same.value_or(norm2));
      same = norm2;
      std::vector<float> scaled(count + 1);
      table->scale(x.data() + 1, 1 / 3.0, scaled.data(), count);
      for (std::size_t i = 0; i < count; ++i) CHECK(scaled[i] == static_cast<float>(double{x[i + 1]} * (1 / 3.0)));
      CHECK(scaled[count] == 0);
      for (const float wrong : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        std::vector<float> bad = x;
        bad[count] = wrong;
        CHECK(!std::isfinite(table->squared_norm(bad.data() + 1, count)));
      }
    }
    std::fill(x.begin(), x.end(), std::numeric_limits<float>::max());
    for (const KernelTable* table : tables_under_test()) CHECK(std::isfinite(table->squared_norm(x.data(), count)));
  }
}

TEST_CASE("the Hadamard transform is what its definition says") {
  for (const KernelTable* table : tables_under_test()) {
    CAPTURE(table->name);
    for (const std::size_t count : {16, 32, 64, 128, 256, 512}) {
      std::mt19937 random(6);
      Lines<float> x(count);
      Lines<float> factors(count);
      std::vector<double> from(count);
      for (std::size_t i = 0; i < count; ++i) {
        x.data[i] = static_cast<float>(random() % 100);
        factors.data[i] = random() % 2 == 0 ? 1.0f : -2.0f;
        from[i] = double{x.data[i]} * double{factors.data[i]};
      }
      std::vector<double> expected(count);
      for (std::size_t row = 0; row < count; ++row) {
        for (std::size_t i = 0; i < count; ++i) {
          expected[row] += std::popcount(row & i) % 2 != 0 ? -from[i] : from[i];
        }
      }
      table->hadamard(x.data, factors.data, count);
      for (std::size_t i = 0; i < count; ++i)
        CHECK(static_cast<double>(x.data[i]) == expected[i]);  // whole numbers: exact
    }
  }
}

}  // namespace fastcbir::test
