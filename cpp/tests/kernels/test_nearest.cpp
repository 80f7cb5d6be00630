// Nearest centroids by panels, on every table that can run here, against one comparison after the other in double.
#include <algorithm>
#include <array>
#include <vector>

#include "doctest/doctest.h"
#include "fastcbir/core/rng.hpp"
#include "reference.hpp"

namespace fastcbir::test {
namespace {

using kernels::panel_rows;
using kernels::panel_width;

float number(std::uint64_t seed, std::uint64_t i) { return static_cast<float>(uniform(seed, i) - 0.5); }

// Centroids from `distinct` on are copies of earlier ones.
struct Problem {
  Problem(std::size_t rows, std::size_t centroids, std::size_t dim, std::size_t distinct)
      : row(ScalarType::f32, rows, dim, (dim + 15) / 16 * 16) {
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t d = 0; d < dim; ++d) reinterpret_cast<float*>(row.row(r))[d] = number(1, r * dim + d);
    }
    for (std::size_t c = 0; c < centroids; ++c) {
      for (std::size_t d = 0; d < dim; ++d) centroid.push_back(double{number(2, c % distinct * dim + d)});
      offset.push_back(number(3, c % distinct));
    }
  }

  Rows row;
  std::vector<double> centroid;
  std::vector<float> offset;
};

}  // namespace

TEST_CASE("panels name the nearest centroid of each row, the first where several are") {
  for (const std::size_t dim : {1, 7, 16, 96, 223}) {
    for (const auto& [rows, centroids, distinct] :
         {std::array<std::size_t, 3>{12, 1, 1}, {12, 32, 32}, {48, 33, 20}, {60, 157, 157}, {132, 95, 7}}) {
      Problem problem(rows, centroids, dim, distinct);
      const std::size_t panels = (centroids + panel_width - 1) / panel_width;
      const std::size_t values = panels * panel_width * dim;
      Rows buffer(ScalarType::f32, 1, values + panels * panel_width, (values + panels * panel_width + 15) / 16 * 16);
      float* const packed = reinterpret_cast<float*>(buffer.row(0));
      float* const offsets = packed + values;
      std::fill_n(offsets, panels * panel_width, infinity);
      for (std::size_t c = 0; c < centroids; ++c) {
        offsets[c] = problem.offset[c];
        for (std::size_t d = 0; d < dim; ++d) {
          packed[(c / panel_width * dim + d) * panel_width + c % panel_width] =
              static_cast<float>(problem.centroid[c * dim + d]);
        }
      }
      const std::size_t stride = static_cast<std::size_t>(problem.row.row(1) - problem.row.row(0));
      for (const KernelTable* table : tables_under_test()) {
        std::vector<float> least(rows);
        std::vector<std::uint32_t> found(rows);
        table->nearest({packed, offsets, panels, dim}, reinterpret_cast<const float*>(problem.row.row(0)), stride, rows,
                       least.data(), found.data());
        for (std::size_t r = 0; r < rows; ++r) {
          std::vector<double> value(centroids);
          for (std::size_t c = 0; c < centroids; ++c) {
            value[c] = double{problem.offset[c]};
            for (std::size_t d = 0; d < dim; ++d) {
              value[c] -= problem.centroid[c * dim + d] * double{reinterpret_cast<const float*>(problem.row.row(r))[d]};
            }
          }
          REQUIRE_MESSAGE(found[r] < std::min(centroids, distinct), table->name);
          CHECK_MESSAGE(value[found[r]] <= *std::min_element(value.begin(), value.end()) + 1e-4, table->name);
          CHECK_MESSAGE(double{least[r]} == doctest::Approx(value[found[r]]).epsilon(1e-4), table->name);
        }
      }
    }
  }
}

}  // namespace fastcbir::test
