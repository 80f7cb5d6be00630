// fastcbir._core.Ivf: inverted files and multi-indexes.
#include "bind.hpp"
#include "fastcbir/index/ivf_index.hpp"

namespace fastcbir::bindings {

namespace py = pybind11;

void bind_ivf(py::module_& module) {
  py::class_<IvfIndex, Index>(module, "Ivf")
      .def(py::init([](std::size_t dim, const std::string& metric, const std::string& dtype, std::uint32_t nlist,
                       std::uint32_t imi_bits, std::uint32_t code_bits, std::uint32_t code_parts, std::uint64_t seed) {
             return std::make_unique<IvfIndex>(Space(dim, metric_named(metric), scalar_type_named(dtype)),
                                               IvfParams{nlist, imi_bits, code_bits, code_parts, seed});
           }),
           py::arg("dim"), py::arg("metric"), py::arg("dtype"), py::arg("nlist"), py::arg("imi_bits"),
           py::arg("code_bits"), py::arg("code_parts"), py::arg("seed"))
      .def_property_readonly("params",
                             [](const IvfIndex& index) {
                               const IvfParams& params = index.params();
                               return py::make_tuple(params.nlist, params.imi_bits, params.code_bits, params.code_parts,
                                                     params.seed);
                             })
      .def_property_readonly("nlist", &IvfIndex::list_count);
}

}  // namespace fastcbir::bindings
