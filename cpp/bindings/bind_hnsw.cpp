// fastcbir._core.Hnsw
#include "bind.hpp"
#include "fastcbir/index/hnsw_index.hpp"

namespace fastcbir::bindings {

namespace py = pybind11;

void bind_hnsw(py::module_& module) {
  py::class_<HnswIndex, Index>(module, "Hnsw")
      .def(py::init([](std::size_t dim, const std::string& metric, const std::string& dtype, std::uint32_t m,
                       std::uint32_t ef_construction, bool keep_pruned, std::uint64_t seed, std::uint32_t code_bits) {
             return std::make_unique<HnswIndex>(Space(dim, metric_named(metric), scalar_type_named(dtype)),
                                                HnswParams{m, ef_construction, keep_pruned, seed, code_bits});
           }),
           py::arg("dim"), py::arg("metric"), py::arg("dtype"), py::arg("m"), py::arg("ef_construction"),
           py::arg("keep_pruned"), py::arg("seed"), py::arg("code_bits"))
      .def_property_readonly("params", [](const HnswIndex& index) {
        const HnswParams& params = index.params();
        return py::make_tuple(params.m, params.ef_construction, params.keep_pruned, params.seed, params.code_bits);
      });
}

}  // namespace fastcbir::bindings
