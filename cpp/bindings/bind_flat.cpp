// fastcbir._core.Flat
#include "bind.hpp"
#include "fastcbir/index/flat_index.hpp"

namespace fastcbir::bindings {

namespace py = pybind11;

void bind_flat(py::module_& module) {
  py::class_<FlatIndex, Index>(module, "Flat")
      .def(py::init([](std::size_t dim, const std::string& metric, const std::string& dtype) {
             return std::make_unique<FlatIndex>(Space(dim, metric_named(metric), scalar_type_named(dtype)));
           }),
           py::arg("dim"), py::arg("metric"), py::arg("dtype"));
}

}  // namespace fastcbir::bindings
