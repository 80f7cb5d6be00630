#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/kernels/dispatch.hpp"
#include "fastcbir/search/keys.hpp"
#include "fastcbir/storage/product_codec.hpp"
#include "fastcbir/storage/vectors.hpp"

using namespace fastcbir;

namespace {

constexpr std::size_t entries = kernels::product_entries;
constexpr std::size_t rows = 30;  // two places of a block stay free

double entry_value(const ProductCodec& codec, std::size_t part, std::size_t entry, std::size_t d) {
  const float* book = codec.books().as<float>().data() + codec.begin(part) * entries;
  return book[entry / 32 * codec.width(part) * 32 + d * 32 + entry % 32];
}

// Rows around a base, entries drawn at random, and a query: estimates against the definition in double.
void compare(std::size_t dim, ScalarType type, Metric metric, std::size_t parts) {
  CAPTURE(dim);
  CAPTURE(parts);
  CAPTURE(static_cast<int>(type));
  const Space space(dim, metric, type);
  const bool bytes = bytes_of(type) == 1;
  const double scale = bytes ? 100 : 1;
  std::vector<std::byte> input((rows + 2) * dim * query_bytes_of(type));
  for (std::size_t i = 0; i < (rows + 2) * dim; ++i) {
    const double value = (uniform(9, i) - 0.5) * scale;
    if (bytes) {
      const int shift = type == ScalarType::u8 ? 100 : 0;
      reinterpret_cast<std::uint8_t*>(input.data())[i] = static_cast<std::uint8_t>(static_cast<int>(value) + shift);
    } else {
      reinterpret_cast<float*>(input.data())[i] = static_cast<float>(value);
    }
  }
  VectorStore store(space);
  store.append(space, input.data(), rows + 1);  // the last is the base
  ProductCodec codec(space, parts);
  CHECK(!codec.trained());
  AlignedBuffer books;
  books.resize(codec.books_bytes());
  const double entry_scale = metric == Metric::cosine ? scale / std::sqrt(static_cast<double>(dim)) : scale;
  for (std::size_t i = 0; i < dim * entries; ++i) {
    books.as<float>()[i] = static_cast<float>((uniform(4, i) - 0.5) * entry_scale);
  }
  codec.set_books(std::move(books));
  CHECK(codec.trained());

  AlignedBuffer loaded, scratch;
  loaded.resize((rows + 1) * codec.padded_dim() * sizeof(float));
  const auto loaded_row = [&](std::size_t i) { return loaded.as<float>().data() + i * codec.padded_dim(); };
  std::vector<const std::byte*> stored;
  std::vector<const float*> pointers;
  for (std::size_t i = 0; i <= rows; ++i) {
    stored.push_back(store.row(static_cast<NodeId>(i)));
    if (i < rows) pointers.push_back(loaded_row(i));
  }
  codec.load_rows(stored, loaded_row(0), scratch);
  const float* const base = loaded_row(rows);
  double spread = 0;
  for (std::size_t d = 0; d < dim; ++d) spread += std::pow(double{pointers[0][d]} - base[d], 2);
  codec.set_unit(BlockCodec::unit_of(spread));
  AlignedBuffer block;
  block.resize(codec.block_bytes(32));
  BlockCodec::Workspace workspace;
  codec.pack(base, pointers, block.data(), workspace);

  PreparedQuery query;
  space.prepare(input.data() + (rows + 1) * space.input_bytes(), query);
  BlockCodec::QueryScratch query_scratch;
  const kernels::PackedQuery packed = codec.prepare(query.data(), query_scratch);
  const float from = space.kernels().one(query.data(), store.row(rows), dim);
  alignas(64) std::uint32_t nodes[32];
  for (std::uint32_t j = 0; j < 32; ++j) nodes[j] = j;
  Key keys[kernels::packed_key_room];
  REQUIRE(codec.scan().candidates(packed, block.data(), nodes, from, infinity, keys) == rows);
  std::vector<double> asked(dim);
  for (std::size_t d = 0; d < dim; ++d) {
    asked[d] = bytes ? (type == ScalarType::u8 ? double(static_cast<const std::uint8_t*>(query.data())[d])
                                               : double(static_cast<const std::int8_t*>(query.data())[d]))
                     : double(static_cast<const float*>(query.data())[d]);
  }
  const auto* const codes = reinterpret_cast<const std::uint8_t*>(block.data()) + 4 * 32;
  for (std::size_t j = 0; j < rows; ++j) {
    double length2 = 0, along = 0, with_code = 0, base_code = 0, base_difference = 0;
    for (std::size_t part = 0; part < parts; ++part) {
      const std::size_t chosen = codes[part * 32 + j];
      const auto error = [&](std::size_t entry) {
        double sum = 0;
        for (std::size_t d = 0; d < codec.width(part); ++d) {
          const std::size_t at = codec.begin(part) + d;
          sum += std::pow(double{pointers[j][at]} - base[at] - entry_value(codec, part, entry, d), 2);
        }
        return sum;
      };
      double least = error(0);
      for (std::size_t entry = 1; entry < entries; ++entry) least = std::min(least, error(entry));
      CHECK(error(chosen) <= least + 1e-4 * (least + scale * scale));
      for (std::size_t d = 0; d < codec.width(part); ++d) {
        const std::size_t at = codec.begin(part) + d;
        const double w = double{pointers[j][at]} - base[at], s = entry_value(codec, part, chosen, d);
        length2 += w * w;
        along += s * w;
        with_code += asked[at] * s;
        base_code += base[at] * s;
        base_difference += base[at] * w;
      }
    }
    // <q - p, w> is estimated by <q - p, s> stretch.
    const double stretch = length2 / along;
    const double estimated = stretch * (with_code - base_code);
    const double expected = metric == Metric::l2 ? from + length2 - 2 * estimated : from - estimated - base_difference;
    // Each entry of the table is off by half a step at most, and nearly at random; factors are halves.
    const double step = double{packed.scale} * std::sqrt(double{packed.unit});
    const double slope = (metric == Metric::l2 ? 2 : 1) * std::abs(stretch);
    const double of_table = slope * step * (1 + 2 * std::sqrt(static_cast<double>(parts)));
    const double of_halves = 2e-3 * (length2 + slope * (std::abs(with_code) + std::abs(base_code)));
    CHECK(std::abs(value_of(keys[j]) - expected) < of_table + of_halves);
  }
}

}  // namespace

TEST_CASE("product codes are the nearest entries, and estimates what the definition gives") {
  for (const Metric metric : {Metric::l2, Metric::ip}) {
    compare(96, ScalarType::f32, metric, 16);
    compare(50, ScalarType::f16, metric, 7);  // parts of 7 and 8 dimensions, and a place for an eighth part
    compare(128, ScalarType::u8, metric, 64);
    compare(40, ScalarType::i8, metric, 40);
  }
  compare(96, ScalarType::f32, Metric::cosine, 12);
  compare(1, ScalarType::f32, Metric::l2, 1);
  compare(512, ScalarType::f16, Metric::cosine, 256);
}

TEST_CASE("product codes refuse what they can't be made of") {
  const Space space(20, Metric::l2, ScalarType::f32);
  CHECK_THROWS_WITH_AS(ProductCodec(space, 21), "product codes of 20 dimensions have 1..20 bytes, got 21",
                       std::invalid_argument);
  CHECK_THROWS_AS(ProductCodec(space, 0), std::invalid_argument);
  CHECK_THROWS_AS(ProductCodec(Space(1000, Metric::l2, ScalarType::f32), 257), std::invalid_argument);
  CHECK_THROWS_AS(ProductCodec(Space(8, Metric::cosine, ScalarType::u8), 1), std::invalid_argument);
  const ProductCodec codec(space, 3);
  CHECK(codec.begin(1) == 6);
  CHECK(codec.begin(2) == 13);
  CHECK(codec.width(2) == 7);
}
