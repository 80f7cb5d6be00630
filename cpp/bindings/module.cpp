// fastcbir._core: registers, nothing else.
#include "bind.hpp"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "fastcbir/kernels/dispatch.hpp"

PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
  module.doc() = "The compiled core of fastcbir; use it through the fastcbir package.";
  fastcbir::bindings::bind_index(module);
  fastcbir::bindings::bind_flat(module);
  fastcbir::bindings::bind_hnsw(module);
  fastcbir::bindings::bind_match(module);
  fastcbir::bindings::bind_ivf(module);
  module.def("isa", [] { return std::string(fastcbir::kernels::active().name); });
  module.def("available_isas", [] {
    std::vector<std::string> names;
    for (const auto* table : fastcbir::kernels::available()) names.emplace_back(table->name);
    return names;
  });
}
