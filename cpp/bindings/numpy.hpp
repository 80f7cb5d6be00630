// The one door for arrays: from what Python gives to what the core takes, with the errors users read.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "fastcbir/index/index.hpp"

namespace fastcbir::bindings {

namespace py = pybind11;

// Vectors as the core wants them: C-contiguous, of the space's input type, (count, dim). Converted only if they are not.
struct InputVectors {
  py::array array;
  std::size_t count;

  const void* data() const { return array.data(); }
};

// Takes (N, dim), or (dim,) if `single_allowed`. Raises ValueError naming `what`, what was expected and what came.
InputVectors input_vectors(py::handle given, const Space& space, const char* what, bool single_allowed);

// Ids: (N,) of any integer type, as int64. Raises ValueError; checks the length if `count` is not npos.
inline constexpr std::size_t any_count = static_cast<std::size_t>(-1);
py::array_t<Id> input_ids(py::handle given, const char* what, std::size_t count = any_count);

// A bool mask (one entry an id) or an array of ids; None allows all. The holder keeps the memory.
struct InputAllow {
  py::object holder;
  AllowList list;
};
InputAllow input_allow(py::handle given);

// None is 0, which the core takes for "choose yourself"; else an integer of at least 1. Raises ValueError.
std::size_t input_size(py::handle given, const char* what);

// Reports progress to a Python callable (or None), and lets Ctrl-C through.
class PythonMonitor final : public Monitor {
 public:
  explicit PythonMonitor(py::object callback) : callback_(std::move(callback)) {}
  void tick(std::size_t done, std::size_t total) override;

 private:
  py::object callback_;
};

}  // namespace fastcbir::bindings
