// Learned stopping from C++: models as bytes, damaged ones, and searches by them from many threads.
#include <doctest/doctest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/index/hnsw_index.hpp"
#include "fastcbir/index/ivf_index.hpp"
#include "fastcbir/stop/shadow.hpp"
#include "fastcbir/stop/stop_model.hpp"

using namespace fastcbir;

namespace {

constexpr std::size_t dim = 8;
constexpr std::uint32_t k = 4;
constexpr std::uint32_t held_out = 1000;

std::vector<float> random_rows(std::size_t count, std::uint64_t seed) {
  std::vector<float> rows(count * dim);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(uniform(seed, i));
  return rows;
}

class Bytes {
 public:
  template <class T>
  void put(T value) {
    const auto* from = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof(T));
  }
  void skip(std::size_t count) { bytes_.insert(bytes_.end(), count, std::byte{0}); }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// One curve of three thresholds, at which all, nearly all and few of the k were missed; see docs/format.md.
std::vector<std::byte> model_bytes(const StopModel::Fingerprint& of, StopRule rule, const float (&thresholds)[3],
                                   std::uint32_t version = 3, float share = 0) {
  Bytes bytes;
  bytes.put<std::uint32_t>(version);
  bytes.put(of);
  bytes.put<std::uint64_t>(1000);  // vectors
  bytes.put<std::uint64_t>(0);
  bytes.put<double>(0);
  bytes.put<float>(0);
  bytes.put<float>(0);  // margin
  bytes.put<std::uint32_t>(1);
  bytes.put<std::uint32_t>(0);
  bytes.put<std::uint32_t>(held_out);
  bytes.put<std::uint32_t>(rule == StopRule::forest ? 1 : 0);
  bytes.skip(8);
  bytes.put(static_cast<std::uint32_t>(rule));
  bytes.put(k);
  bytes.put<std::uint32_t>(64);  // cap
  bytes.put(held_out);
  bytes.put<std::uint32_t>(3);
  bytes.put<float>(8);  // weight
  bytes.put<float>(100);
  bytes.put<std::int32_t>(rule == StopRule::forest ? 0 : -1);
  if (version >= 2) {
    bytes.put(share);
    bytes.put(share);
  }
  for (const float threshold : thresholds) bytes.put(threshold);
  for (const float budget : {1e3f, 1e4f, 1e5f}) {
    if (version >= 2) bytes.put(budget);
  }
  for (const float width : {8.0f, 16.0f, 40.0f}) {
    if (version >= 3) bytes.put(width);
  }
  for (const float cost : {10.0f, 20.0f, 30.0f}) bytes.put(cost);
  for (const std::uint32_t complete : {0u, 900u, 995u}) {
    bytes.put(held_out - complete);
    for (std::uint32_t found = 1; found < k; ++found) bytes.put<std::uint32_t>(0);
    bytes.put(complete);
  }
  if (rule == StopRule::forest) {
    struct Names {
      char text[64];
    };
    bytes.put(Names{"gap next/k first/k next/first lists since trend distances"});
    bytes.put<std::uint32_t>(0);  // no trees
    bytes.put<float>(1);
    for (const float weight : {-4.0f, 0.0f, 0.0f, 0.0f, -1.0f, -1.0f, 1.0f, 0.0f}) bytes.put(weight);
    bytes.skip(24);
  }
  return bytes.take();
}

void search_from_threads(Index& index, const std::vector<float>& queries) {
  const std::size_t count = queries.size() / dim;
  SearchOptions options;
  options.target.recall = 0.8f;
  options.threads = 1;
  const auto search = [&](std::vector<Id>& ids) {
    ids.resize(count * k);
    std::vector<float> distances(count * k);
    std::vector<std::uint32_t> cost(count);
    std::vector<std::uint8_t> reasons(count);
    std::vector<float> estimates(count);
    index.search(queries.data(), count, k, options,
                 {ids.data(), distances.data(), cost.data(), reasons.data(), estimates.data()});
    for (const std::uint8_t reason : reasons) CHECK(reason == static_cast<std::uint8_t>(StopReason::target));
    for (const float estimate : estimates) CHECK(estimate == doctest::Approx(0.9));
  };
  std::vector<Id> expected;
  search(expected);
  std::vector<std::vector<Id>> found(4);
  std::vector<std::thread> threads;
  for (auto& ids : found) threads.emplace_back([&] { search(ids); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& ids : found) CHECK(ids == expected);
}

}  // namespace

TEST_CASE("a plan takes the least effort from which on the target is kept") {
  const StopModel::Fingerprint of{2, dim, 0, 0, 0};
  const StopModel model(model_bytes(of, StopRule::price, {5, 9, 12}));
  CHECK(model.plan({{0.8f, 0}, k, 0, 1000, 0}).threshold == 9);
  CHECK(model.plan({{0.95f, 0}, k, 0, 1000, 0}).threshold == 12);
  CHECK(model.plan({{0.8f, 0}, 2, 0, 1000, 0}).curve->k == k);
  CHECK(model.plan({{0.999f, 0}, k, 0, 1000, 0}).reason == StopReason::unreachable);
  CHECK(model.plan({{0.5f, 0.99f}, k, 0, 1000, 0}).threshold == 12);
  CHECK(model.plan({{0.8f, 0}, k + 1, 0, 1000, 0}).reason == StopReason::beyond_k);
  CHECK(model.plan({{0.8f, 0}, k, 0.5f, 1000, 0}).reason == StopReason::filtered);
  CHECK(model.plan({{0.8f, 0}, k, 0, 1501, 0}).reason == StopReason::aged);
  CHECK(model.plan({{0.8f, 0}, k, 0, 799, 0}).reason == StopReason::aged);
  CHECK(model.plan({{0.8f, 0}, k, 0, 1000, 201}).reason == StopReason::aged);
}

TEST_CASE("models of the first version are read: they have no budgets and know no filters") {
  const StopModel model(model_bytes({2, dim, 0, 0, 0}, StopRule::price, {5, 9, 12}, 1));
  CHECK(model.plan({{0.8f, 0}, k, 0, 1000, 0}).threshold == 9);
  CHECK(model.plan({{0.8f, 0}, k, 0, 1000, 0}).budget > 1e30f);
  CHECK(model.shadow_every() == 0);
}

TEST_CASE("models before the third version are read: their beams are as wide as was learned about") {
  for (const std::uint32_t version : {1u, 2u}) {
    const StopModel model(model_bytes({2, dim, 0, 0, 0}, StopRule::price, {5, 9, 12}, version));
    CHECK(model.plan({{0.8f, 0}, k, 0, 1000, 0}).width == 64);
  }
  const StopModel model(model_bytes({2, dim, 0, 0, 0}, StopRule::price, {5, 9, 12}));
  CHECK(model.plan({{0.8f, 0}, k, 0, 1000, 0}).width == 16);
  CHECK(model.plan({{0.999f, 0}, k, 0, 1000, 0}).width == 64);
}

TEST_CASE("filters are promised for if they let through about as much as those learned from") {
  const StopModel model(model_bytes({2, dim, 0, 0, 0}, StopRule::price, {5, 9, 12}, 3, 0.2f));
  CHECK(model.plan({{0.8f, 0}, k, 0.2f, 1000, 0}).reason == StopReason::target);
  CHECK(model.plan({{0.8f, 0}, k, 0.18f, 1000, 0}).threshold == 9);
  CHECK(model.plan({{0.8f, 0}, k, 0.18f, 1000, 0}).budget == 1e4f);
  CHECK(model.plan({{0.8f, 0}, k, 0.5f, 1000, 0}).reason == StopReason::filtered);
  CHECK(model.plan({{0.8f, 0}, k, 0, 1000, 0}).reason == StopReason::filtered);
  CHECK(model.plan({{0.8f, 0}, k + 1, 0.2f, 1000, 0}).reason == StopReason::beyond_k);
}

TEST_CASE("one search of so many is looked at, whatever the size of the calls") {
  ShadowLedger ledger;
  std::size_t looked = 0;
  std::size_t asked = 0;
  for (const std::size_t count : {1u, 7u, 250u, 1u, 1000u, 3u, 99u, 639u}) {
    for (const std::size_t which : ledger.due(count, 100)) {
      CHECK(which < count);
      ++looked;
    }
    asked += count;
  }
  CHECK(looked == asked / 100);
  CHECK(ledger.due(1000, 0).empty());
}

TEST_CASE("misses beyond chance make a target stricter, and a better time makes it less so") {
  const StopTarget target{0.9f, 0};
  ShadowLedger ledger;
  float scale = 0;
  const auto aim = [&] { return ledger.adjusted(target, k, false, scale).recall; };
  const auto look = [&](std::size_t searches, double recall) {
    for (std::size_t i = 0; i < searches; ++i) ledger.note(target, k, false, recall);
    ledger.judge(target, k, false);
  };
  look(1000, 0.89);
  CHECK(aim() == 0.9f);
  CHECK(scale == 1);
  look(1000, 0.6);
  const float stricter = aim();
  CHECK(stricter > 0.94f);
  CHECK(scale == doctest::Approx(0.1 / (1 - stricter)));
  CHECK(ledger.adjusted({0.9f, 0.5f}, k, false, scale).recall == 0.9f);
  CHECK(ledger.adjusted(target, k, true, scale).recall == 0.9f);
  look(3000, 0.99);
  CHECK(aim() < stricter);
  look(3000, 0.99);
  look(3000, 0.99);
  look(3000, 0.99);
  CHECK(aim() == 0.9f);
  const std::vector<ShadowLedger::Row> rows = ledger.rows();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].k == k);
  CHECK(rows[0].target.recall == 0.9f);
  CHECK(rows[0].searches == 14000);
  CHECK(rows[0].missed == doctest::Approx((1000 * 0.11 + 1000 * 0.4 + 12000 * 0.01) / 14000));
}

TEST_CASE("what is looked at from many threads is all counted") {
  ShadowLedger ledger;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 1000; ++i) {
        ledger.note({0.5f + 0.1f * static_cast<float>((i + thread) % 3), 0}, k, false, 1);
        ledger.judge({0.5f, 0}, k, false);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::uint64_t searches = 0;
  for (const ShadowLedger::Row& row : ledger.rows()) searches += row.searches;
  CHECK(ledger.rows().size() == 3);
  CHECK(searches == 4000);
}

TEST_CASE("what was looked at is kept in a file, and damage to it goes no further than its refusal") {
  const StopTarget target{0.9f, 0};
  ShadowLedger ledger;
  CHECK(ledger.bytes().empty());
  ledger.due(70, 10);
  for (int i = 0; i < 1000; ++i) ledger.note(target, k, false, 0.6);
  ledger.judge(target, k, false);
  ledger.note({0.8f, 0.95f}, k, true, 0.5);
  const std::vector<std::byte> whole = ledger.bytes();
  ShadowLedger again(whole);
  CHECK(again.bytes() == whole);
  float scale = 0, scale_again = 0;
  CHECK(again.adjusted(target, k, false, scale_again).recall == ledger.adjusted(target, k, false, scale).recall);
  CHECK(scale_again == scale);
  CHECK(scale > 1);
  CHECK(again.rows().size() == 2);
  CHECK(again.due(30, 10) == ledger.due(30, 10));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    if (size >= 8 && (size - 8) % 56 == 0) continue;  // fewer targets
    CHECK_THROWS_AS(ShadowLedger(std::span(whole).first(size)), std::invalid_argument);
  }
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::vector<std::byte> flipped = whole;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    try {
      const ShadowLedger damaged(flipped);
      damaged.adjusted(target, k, false, scale);
      damaged.rows();
    } catch (const std::invalid_argument&) {
      continue;
    }
  }
  CHECK_THROWS_AS(ShadowLedger(std::vector<std::byte>(8 + 33 * 56)), std::invalid_argument);
}

TEST_CASE("no damage to a model goes further than its own refusal") {
  for (const StopRule rule : {StopRule::plain, StopRule::price, StopRule::forest}) {
    const std::vector<std::byte> whole = model_bytes({3, dim, 0, 0, 0}, rule, {5, 9, 12});
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CHECK_THROWS_AS(StopModel({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}),
                      std::invalid_argument);
    }
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
      std::vector<std::byte> flipped = whole;
      flipped[bit / 8] ^= std::byte{1} << (bit % 8);
      try {
        const StopModel model(flipped);
        model.plan({{0.9f, 0}, k, 0, 1000, 0});
      } catch (const std::invalid_argument&) {
        continue;
      }
    }
  }
}

TEST_CASE("graphs are searched by recall from many threads") {
  for (const std::uint32_t code_bits : {0u, 2u}) {
    HnswIndex index(Space(dim, Metric::l2, ScalarType::f32), HnswParams{16, 40, false, 0, code_bits});
    const std::vector<float> rows = random_rows(1000, 1);
    index.add(rows.data(), 1000, nullptr, nullptr, {});
    index.set_stop_model(model_bytes(index.fingerprint(), StopRule::price, {9, 15, 18}));
    search_from_threads(index, random_rows(100, 2));
  }
}

TEST_CASE("lists are searched by recall from many threads") {
  for (const std::uint32_t code_bits : {0u, 2u}) {
    IvfIndex index(Space(dim, Metric::l2, ScalarType::f32), IvfParams{0, 0, code_bits, 0, 0});
    const std::vector<float> rows = random_rows(1000, 1);
    index.add(rows.data(), 1000, nullptr, nullptr, {});
    index.set_stop_model(model_bytes(index.fingerprint(), StopRule::forest, {2, 9, 12}));
    search_from_threads(index, random_rows(100, 2));
  }
}
