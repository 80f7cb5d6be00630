// Matching of local features against the obvious loops, on ragged sizes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "fastcbir/match/dual_softmax.hpp"
#include "fastcbir/match/nearest.hpp"
#include "fastcbir/match/windows.hpp"

namespace {

using namespace fastcbir;

std::vector<float> random_values(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

VectorStore store_of(const Space& space, const std::vector<float>& values) {
  VectorStore store(space);
  store.append(space, values.data(), values.size() / space.dim());
  return store;
}

float product(const float* a, const float* b, std::size_t dim) {
  float sum = 0;
  for (std::size_t i = 0; i < dim; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

TEST_CASE("nearest neighbours both ways are those of the whole matrix") {
  constexpr std::size_t dim = 19;
  for (const auto& [count_a, count_b] : {std::pair{1, 1}, {7, 300}, {530, 33}}) {
    const Space space(dim, Metric::ip, ScalarType::f32);
    const std::vector<float> a = random_values(count_a * dim, 1);
    const std::vector<float> b = random_values(count_b * dim, 2);
    std::vector<std::int32_t> b_of_a(count_a);
    std::vector<std::int32_t> a_of_b(count_b);
    std::vector<float> nearest(count_a);
    std::vector<float> second(count_a);
    nearest_both_ways(space, store_of(space, a), store_of(space, b),
                      {b_of_a.data(), nearest.data(), second.data(), a_of_b.data()});
    for (int i = 0; i < count_a; ++i) {
      std::vector<float> row(count_b);
      for (int j = 0; j < count_b; ++j) row[j] = -product(&a[i * dim], &b[j * dim], dim);
      CHECK(row[b_of_a[i]] == doctest::Approx(*std::min_element(row.begin(), row.end())));
      CHECK(nearest[i] == doctest::Approx(row[b_of_a[i]]));
      std::sort(row.begin(), row.end());
      if (count_b > 1) CHECK(second[i] == doctest::Approx(row[1]));
    }
    for (int j = 0; j < count_b; ++j) {
      float best = infinity;
      for (int i = 0; i < count_a; ++i) best = std::min(best, -product(&a[i * dim], &b[j * dim], dim));
      CHECK(-product(&a[a_of_b[j] * dim], &b[j * dim], dim) == doctest::Approx(best));
    }
  }
}

TEST_CASE("dual softmax matches are those of the whole matrix, for any number of threads") {
  constexpr std::size_t dim = 24;
  const CellGrid grid_a{13, 21};
  const CellGrid grid_b{9, 31};
  const Space space(dim, Metric::ip, ScalarType::f32);
  const std::vector<float> a = random_values(grid_a.size() * dim, 3);
  std::vector<float> b = random_values(grid_b.size() * dim, 4);
  std::copy_n(a.begin(), 100 * dim, b.begin() + 50 * dim);
  const VectorStore rows_a = store_of(space, a);
  const VectorStore rows_b = store_of(space, b);
  constexpr double scale = 0.3;
  std::vector<double> s(grid_a.size() * grid_b.size());
  std::vector<double> of_row(grid_a.size());
  std::vector<double> of_column(grid_b.size());
  for (std::size_t i = 0; i < grid_a.size(); ++i) {
    for (std::size_t j = 0; j < grid_b.size(); ++j) {
      const double value = std::exp(scale * product(&a[i * dim], &b[j * dim], dim));
      s[i * grid_b.size() + j] = value;
      of_row[i] += value;
      of_column[j] += value;
    }
  }
  std::vector<CoarseMatch> expected;
  const auto confidence = [&](std::size_t i, std::size_t j) {
    const double value = s[i * grid_b.size() + j];
    return value / of_row[i] * value / of_column[j];
  };
  for (std::size_t i = 0; i < grid_a.size(); ++i) {
    std::size_t best = 0;
    for (std::size_t j = 1; j < grid_b.size(); ++j) best = confidence(i, j) > confidence(i, best) ? j : best;
    bool mutual = confidence(i, best) > 0.05;
    for (std::size_t k = 0; k < grid_a.size(); ++k) mutual = mutual && confidence(k, best) <= confidence(i, best);
    const bool inside = i / 21 >= 1 && i / 21 < 12 && i % 21 >= 1 && i % 21 < 20 && best / 31 >= 1 && best / 31 < 8 &&
                        best % 31 >= 1 && best % 31 < 30;
    if (mutual && inside) {
      expected.push_back(
          {static_cast<std::int32_t>(i), static_cast<std::int32_t>(best), static_cast<float>(confidence(i, best))});
    }
  }
  REQUIRE(expected.size() > 10);
  for (const std::size_t threads : {1, 3}) {
    const auto found =
        dual_softmax_matches(space, rows_a, grid_a, rows_b, grid_b, static_cast<float>(scale), 0.05f, 1, threads);
    REQUIRE(found.size() == expected.size());
    for (std::size_t m = 0; m < found.size(); ++m) {
      CHECK(found[m].a == expected[m].a);
      CHECK(found[m].b == expected[m].b);
      CHECK(found[m].confidence == doctest::Approx(expected[m].confidence).epsilon(1e-4));
    }
  }
}

TEST_CASE("windows reach beyond the edges as zeros") {
  const std::vector<float> map = random_values(8 * 12 * 2, 5);  // a grid of 2 x 3 cells, 4 pixels apart
  const std::vector<std::int32_t> cells{0, 2, 5, 9};            // the last lies below the map
  std::vector<float> out(cells.size() * 25 * 2, -1);
  gather_windows({map.data(), 8, 12, 2}, cells.data(), cells.size(), 3, 4, 5, out.data());
  for (std::size_t m = 0; m < cells.size(); ++m) {
    for (int place = 0; place < 25; ++place) {
      const int y = cells[m] / 3 * 4 + place / 5 - 2;
      const int x = cells[m] % 3 * 4 + place % 5 - 2;
      for (int channel = 0; channel < 2; ++channel) {
        const bool in_map = y >= 0 && y < 8 && x >= 0 && x < 12;
        const float wanted = in_map ? map[(y * 12 + x) * 2 + channel] : 0.0f;
        CHECK(out[(m * 25 + place) * 2 + channel] == wanted);
      }
    }
  }
}
