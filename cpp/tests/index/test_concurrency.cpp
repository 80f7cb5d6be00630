// What ThreadSanitizer should watch: everything that may run at once, doing so.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/index/flat_index.hpp"
#include "fastcbir/index/hnsw_index.hpp"

using namespace fastcbir;

namespace {

constexpr std::size_t dim = 12;

std::vector<float> some_vectors(std::size_t count, std::uint64_t seed) {
  std::vector<float> values(count * dim);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(uniform(seed, i));
  return values;
}

void exercise(Index& index) {
  const std::vector<float> vectors = some_vectors(6000, 1);
  index.add(vectors.data(), 500, nullptr, nullptr, {2, nullptr});
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 2; ++reader) {
    readers.emplace_back([&] {
      std::vector<Id> ids(4 * 5);
      std::vector<float> distances(4 * 5);
      std::vector<std::uint32_t> cost(4);
      while (!done) {
        SearchOptions options;
        options.threads = 2;
        index.search(vectors.data(), 4, 5, options, {ids.data(), distances.data(), cost.data()});
        index.range_search(vectors.data(), 2, 0.3f, options);
        if (index.contains(3)) {
          try {
            std::vector<float> row(dim);
            const Id id = 3;
            index.reconstruct(&id, 1, row.data());
          } catch (const UnknownId&) {  // removed in between
          }
        }
        (void)index.size();
        (void)index.memory_bytes();
      }
    });
  }
  index.add(vectors.data() + 500 * dim, 5500, nullptr, nullptr, {3, nullptr});
  std::vector<Id> ids;
  for (Id id = 0; id < 1000; id += 2) ids.push_back(id);
  index.remove(ids.data(), ids.size());
  for (Id& id : ids) ++id;
  index.update(vectors.data(), ids.size(), ids.data(), {2, nullptr});
  index.compact({2, nullptr});
  done = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(index.size() == 5500);
}

}  // namespace

TEST_CASE("searches beside every kind of change") {
  const Space space(dim, Metric::l2, ScalarType::f32);
  FlatIndex flat(space);
  exercise(flat);
  HnswIndex hnsw(space, {.m = 6, .ef_construction = 30, .keep_pruned = true, .seed = 0, .code_bits = 0});
  exercise(hnsw);
  HnswIndex packed(space, {.m = 16, .ef_construction = 30, .keep_pruned = false, .seed = 0, .code_bits = 2});
  exercise(packed);
}
