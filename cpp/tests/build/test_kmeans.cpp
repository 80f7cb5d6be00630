#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "fastcbir/build/kmeans.hpp"
#include "fastcbir/build/kmeans_tree.hpp"
#include "fastcbir/core/rng.hpp"

using namespace fastcbir;

namespace {

VectorStore some_rows(const Space& space, std::size_t count, std::size_t distinct) {
  VectorStore rows(space);
  std::vector<float> floats(space.dim());
  std::vector<std::uint8_t> bytes(space.dim());
  for (std::size_t row = 0; row < count; ++row) {
    for (std::size_t i = 0; i < space.dim(); ++i) {
      const double x = uniform(row % distinct, i);
      floats[i] = static_cast<float>(x - 0.4);
      bytes[i] = static_cast<std::uint8_t>(x * 200);
    }
    rows.append(space, bytes_of(space.type()) == 1 ? static_cast<void*>(bytes.data()) : floats.data(), 1);
  }
  return rows;
}

}  // namespace

TEST_CASE("the nearest centroid is the one that single comparisons find") {
  for (const Metric metric : {Metric::l2, Metric::ip, Metric::cosine}) {
    for (const ScalarType type : {ScalarType::f32, ScalarType::f16, ScalarType::u8, ScalarType::i8}) {
      const Space space(19, metric, type);
      const Space compared(19, metric == Metric::cosine ? metric : Metric::l2, type);
      const VectorStore rows = some_rows(space, 131, 131);
      AlignedBuffer points;
      points.resize(157 * space.stride_bytes());
      const VectorStore other = some_rows(space, 288, 288);
      std::memcpy(points.data(), other.row(131), points.size());
      const Centroids centroids(space, std::move(points));
      std::vector<std::uint32_t> found(131);
      Centroids::Workspace workspace;
      for (const std::size_t expected : {131, 0}) {  // by panels, and one by one
        centroids.nearest(rows.row(0), 131, centroids.pack(expected), found.data(), nullptr, workspace);
        for (std::size_t row = 0; row < 131; ++row) {
          PreparedQuery scratch;
          const RowQuery query = compared.row_query(rows.row(static_cast<NodeId>(row)), scratch);
          float least = infinity;
          std::vector<float> values(157);
          for (std::size_t i = 0; i < 157; ++i) {
            values[i] = compared.kernels().one(query.data, centroids.rows().row(static_cast<NodeId>(i)), 19);
            least = std::min(least, values[i]);
          }
          REQUIRE(values[found[row]] <= least + 1e-4f * std::max(1.0f, std::abs(least)));
        }
      }
    }
  }
}

TEST_CASE("k-means lowers its error, fills every cluster and does not depend on threads") {
  for (const Metric metric : {Metric::l2, Metric::cosine}) {
    const Space space(12, metric, ScalarType::f32);
    const VectorStore rows = some_rows(space, 900, 900);
    std::vector<double> errors;
    for (const std::size_t iterations : {1, 3, 12}) {
      Centroids centroids(space);
      errors.push_back(train_kmeans(rows, {.clusters = 30, .iterations = iterations, .seed = 3}, centroids));
      Centroids again(space);
      train_kmeans(rows, {.clusters = 30, .iterations = iterations, .seed = 3, .threads = 3}, again);
      CHECK(std::memcmp(centroids.rows().row(0), again.rows().row(0), 30 * space.stride_bytes()) == 0);
    }
    CHECK(errors[0] > errors[1]);
    CHECK(errors[1] > errors[2]);
  }
}

TEST_CASE("an empty cluster takes a row from where it can be spared") {
  // Forty rows, five of them distinct: random rows to begin with are often equal, which leaves clusters empty.
  const Space space(6, Metric::l2, ScalarType::u8);
  const VectorStore rows = some_rows(space, 40, 5);
  Centroids centroids(space);
  const double error = train_kmeans(rows, {.clusters = 5, .iterations = 12, .seed = 1}, centroids);
  CHECK(error == 0);
  std::set<std::string> distinct;
  for (NodeId i = 0; i < 5; ++i) distinct.emplace(reinterpret_cast<const char*>(centroids.rows().row(i)), 6);
  CHECK(distinct.size() == 5);
  Centroids more(space);
  CHECK(train_kmeans(rows, {.clusters = 12, .iterations = 4, .seed = 1}, more) == 0);
  CHECK(more.count() == 12);
}

TEST_CASE("a sample is of the size asked for, in order and without repetition") {
  for (const std::size_t count : {0, 1, 50, 99, 100}) {
    const std::vector<std::size_t> sample = draw_sample(100, count, 7);
    CHECK(sample.size() == count);
    CHECK(std::adjacent_find(sample.begin(), sample.end(), std::greater_equal<>()) == sample.end());
    CHECK((sample.empty() || sample.back() < 100));
  }
}

TEST_CASE("many clusters are learned in two steps, about as well") {
  for (const ScalarType type : {ScalarType::f32, ScalarType::u8}) {
    const Space space(12, Metric::l2, type);
    const VectorStore rows = some_rows(space, 9000, 9000);
    std::size_t told = 0;
    struct Watch final : Monitor {
      explicit Watch(std::size_t& told_last) : last(told_last) {}
      void tick(std::size_t done, std::size_t total) override {
        CHECK(done >= last);
        CHECK(done <= total);
        last = done;
      }
      std::size_t& last;
    } watch(told);
    KMeansOptions options{300, 10, 3, 1, &watch};
    Centroids tree(space), again(space), plain(space);
    const double error = train_kmeans_tree(rows, options, tree);
    CHECK(told > 0);
    options.threads = 3;
    options.monitor = nullptr;
    CHECK(train_kmeans_tree(rows, options, again) == error);
    REQUIRE(tree.count() == 300);
    CHECK(std::memcmp(tree.rows().row(0), again.rows().row(0), 300 * space.stride_bytes()) == 0);
    CHECK(error < 1.02 * train_kmeans(rows, options, plain));
  }
}

TEST_CASE("two steps of k-means with few different rows, and with a cluster for every row") {
  const Space space(8, Metric::cosine, ScalarType::f32);
  for (const std::size_t distinct : {1, 5, 400}) {
    const VectorStore rows = some_rows(space, 400, distinct);
    for (const std::size_t clusters : {1, 2, 37, 399, 400}) {
      Centroids centroids(space);
      const double error = train_kmeans_tree(rows, {clusters, 5, 1, 2, nullptr}, centroids);
      CHECK(centroids.count() == clusters);
      if (distinct <= 5 && clusters == 400) CHECK(error == doctest::Approx(-400).epsilon(1e-3));
    }
  }
  struct Stop final : Monitor {
    void tick(std::size_t, std::size_t) override { throw std::runtime_error("stop"); }
  } stop;
  Centroids untouched(space);
  const VectorStore rows = some_rows(space, 400, 400);
  CHECK_THROWS_WITH(train_kmeans_tree(rows, {37, 5, 1, 1, &stop}, untouched), "stop");
  CHECK(untouched.count() == 0);
}

TEST_CASE("a region of most rows is cut again, on all threads, and can be cancelled") {
  // Equal rows are one region however many there are to be.
  const Space space(4, Metric::l2, ScalarType::f32);
  VectorStore rows(space);
  for (std::uint64_t i = 0; i < 12'000; ++i) {
    float values[4] = {1, 1, 1, 1};
    for (std::uint64_t d = 0; d < 4 && i % 40 == 0; ++d) values[d] = static_cast<float>(100 * uniform(9, i * 4 + d));
    rows.append(space, values, 1);
  }
  struct Count final : Monitor {
    void tick(std::size_t done, std::size_t total) override {
      CHECK(done >= last);
      CHECK(done <= total);
      last = done;
      if (++ticks == limit) throw std::runtime_error("stop");
    }
    std::size_t last = 0, ticks = 0, limit = 0;
  } count, stop;
  const std::size_t clusters = 2500;
  Centroids one(space), three(space), untouched(space);
  const double error = train_kmeans_tree(rows, {clusters, 5, 1, 1, &count}, one);
  CHECK(train_kmeans_tree(rows, {clusters, 5, 1, 3, nullptr}, three) == error);
  REQUIRE(one.count() == clusters);
  CHECK(std::memcmp(one.rows().row(0), three.rows().row(0), clusters * space.stride_bytes()) == 0);
  CHECK(error < 1);  // there is a cluster for each of the 300 others
  // The regions tell five times; the rest comes from within the large one.
  REQUIRE(count.ticks > 10);
  stop.limit = 10;
  CHECK_THROWS_WITH(train_kmeans_tree(rows, {clusters, 5, 1, 1, &stop}, untouched), "stop");
  CHECK(untouched.count() == 0);
}

TEST_CASE("regions share clusters by their rows") {
  CHECK(share_clusters({10, 20, 70}, 10) == std::vector<std::size_t>{1, 2, 7});
  CHECK(share_clusters({1, 1, 998}, 10) == std::vector<std::size_t>{1, 1, 8});
  CHECK(share_clusters({0, 5, 5}, 10) == std::vector<std::size_t>{0, 5, 5});
  CHECK(share_clusters({3, 3, 3}, 4) == std::vector<std::size_t>{2, 1, 1});
  CHECK(share_clusters({2, 100, 2}, 3) == std::vector<std::size_t>{1, 1, 1});
}
