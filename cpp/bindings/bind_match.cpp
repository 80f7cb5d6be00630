// fastcbir._core's matching of local features: nearest_both_ways, dual_softmax_matches, gather_windows.
#include <string>

#include "bind.hpp"
#include "fastcbir/match/dual_softmax.hpp"
#include "fastcbir/match/nearest.hpp"
#include "fastcbir/match/windows.hpp"
#include "numpy.hpp"

namespace fastcbir::bindings {
namespace {

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;

Space space_of(const py::array& a, Metric metric) {
  if (a.ndim() != 2) throw py::value_error("descriptors must be a 2-D array (N, dim)");
  const ScalarType type = py::isinstance<py::array_t<std::uint8_t>>(a)  ? ScalarType::u8
                          : py::isinstance<py::array_t<std::int8_t>>(a) ? ScalarType::i8
                                                                        : ScalarType::f32;
  return {static_cast<std::size_t>(a.shape(1)), metric, type};
}

VectorStore rows_of(const Space& space, const InputVectors& input, const char* what) {
  VectorStore rows(space);
  space.check_input(input.data(), input.count, what);
  rows.append(space, input.data(), input.count);
  return rows;
}

py::tuple nearest(const py::array& a, const py::array& b, const std::string& metric) {
  const Space space = space_of(a, metric_named(metric));
  if (space.metric() == Metric::cosine) throw py::value_error("metric must be l2 or ip, got 'cosine'");
  const InputVectors input_a = input_vectors(a, space, "a", false);
  const InputVectors input_b = input_vectors(b, space, "b", false);
  py::array_t<std::int32_t> b_of_a(static_cast<py::ssize_t>(input_a.count));
  py::array_t<float> best(static_cast<py::ssize_t>(input_a.count));
  py::array_t<float> second(static_cast<py::ssize_t>(input_a.count));
  py::array_t<std::int32_t> a_of_b(static_cast<py::ssize_t>(input_b.count));
  const NearestOutput out{b_of_a.mutable_data(), best.mutable_data(), second.mutable_data(), a_of_b.mutable_data()};
  {
    const py::gil_scoped_release release;
    nearest_both_ways(space, rows_of(space, input_a, "a"), rows_of(space, input_b, "b"), out);
  }
  return py::make_tuple(std::move(b_of_a), std::move(best), std::move(second), std::move(a_of_b));
}

CellGrid grid_of(const py::tuple& shape, std::size_t cells, const char* what) {
  const CellGrid grid{shape[0].cast<std::size_t>(), shape[1].cast<std::size_t>()};
  if (grid.size() != cells) {
    throw py::value_error(std::string(what) + " has " + std::to_string(cells) + " cells, but its grid is " +
                          std::to_string(grid.rows) + " x " + std::to_string(grid.columns));
  }
  return grid;
}

py::tuple dual_softmax(const py::array& a, const py::tuple& grid_a, const py::array& b, const py::tuple& grid_b,
                       float scale, float threshold, std::size_t border, const py::object& threads) {
  if (a.ndim() != 2) throw py::value_error("features must be a 2-D array (cells, channels)");
  const Space space(static_cast<std::size_t>(a.shape(1)), Metric::ip, ScalarType::f32);
  const InputVectors input_a = input_vectors(a, space, "a", false);
  const InputVectors input_b = input_vectors(b, space, "b", false);
  const CellGrid cells_a = grid_of(grid_a, input_a.count, "a");
  const CellGrid cells_b = grid_of(grid_b, input_b.count, "b");
  const std::size_t workers = input_size(threads, "threads");
  std::vector<CoarseMatch> found;
  {
    const py::gil_scoped_release release;
    found = dual_softmax_matches(space, rows_of(space, input_a, "a"), cells_a, rows_of(space, input_b, "b"), cells_b,
                                 scale, threshold, border, workers);
  }
  const auto count = static_cast<py::ssize_t>(found.size());
  py::array_t<std::int32_t> of_a(count);
  py::array_t<std::int32_t> of_b(count);
  py::array_t<float> confidence(count);
  for (std::size_t m = 0; m < found.size(); ++m) {
    of_a.mutable_data()[m] = found[m].a;
    of_b.mutable_data()[m] = found[m].b;
    confidence.mutable_data()[m] = found[m].confidence;
  }
  return py::make_tuple(std::move(of_a), std::move(of_b), std::move(confidence));
}

Floats windows(const Floats& map, const py::array_t<std::int32_t, py::array::c_style | py::array::forcecast>& cells,
               std::size_t grid_columns, std::size_t step, std::size_t side) {
  if (map.ndim() != 3) throw py::value_error("map must be a 3-D array (rows, columns, channels)");
  if (cells.ndim() != 1) throw py::value_error("cells must be a 1-D array");
  if (grid_columns == 0 || step == 0 || side % 2 == 0) {
    throw py::value_error("grid_columns and step must be at least 1, side odd");
  }
  const FeatureMap features{map.data(), static_cast<std::size_t>(map.shape(0)), static_cast<std::size_t>(map.shape(1)),
                            static_cast<std::size_t>(map.shape(2))};
  const auto count = static_cast<std::size_t>(cells.size());
  for (std::size_t m = 0; m < count; ++m) {
    if (cells.data()[m] < 0) throw py::value_error("cells must be at least 0");
  }
  Floats out({cells.size(), static_cast<py::ssize_t>(side * side), map.shape(2)});
  float* const to = out.mutable_data();
  const std::int32_t* const from = cells.data();
  const py::gil_scoped_release release;
  gather_windows(features, from, count, grid_columns, step, side, to);
  return out;
}

}  // namespace

void bind_match(py::module_& module) {
  using py::arg;
  module.def("nearest_both_ways", &nearest, arg("a"), arg("b"), arg("metric"));
  module.def("dual_softmax_matches", &dual_softmax, arg("a"), arg("grid_a"), arg("b"), arg("grid_b"), arg("scale"),
             arg("threshold"), arg("border"), arg("threads"));
  module.def("gather_windows", &windows, arg("map"), arg("cells"), arg("grid_columns"), arg("step"), arg("side"));
}

}  // namespace fastcbir::bindings
