// What module.cpp registers: one function a file.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <string>

#include "fastcbir/index/index.hpp"

namespace fastcbir::bindings {

void bind_index(pybind11::module_& module);
void bind_search(pybind11::module_& module, pybind11::class_<Index>& index);
void bind_stop(pybind11::class_<Index>& index);
void bind_flat(pybind11::module_& module);
void bind_hnsw(pybind11::module_& module);
void bind_match(pybind11::module_& module);
void bind_ivf(pybind11::module_& module);

// Sets the Python error for those of our exceptions that pybind11 does not know; throws the others again.
void raise_python(std::exception_ptr pointer);

// Raises ValueError listing the names.
Metric metric_named(const std::string& name);
ScalarType scalar_type_named(const std::string& name);

}  // namespace fastcbir::bindings
