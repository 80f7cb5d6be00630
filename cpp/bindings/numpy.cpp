#include "numpy.hpp"

#include <cmath>
#include <string>

namespace fastcbir::bindings {
namespace {

std::string shape_of(const py::array& array) { return py::str(array.attr("shape")).cast<std::string>(); }
std::string dtype_of(const py::array& array) { return py::str(array.dtype()).cast<std::string>(); }

[[noreturn]] void refuse(const std::string& message) { throw py::value_error(message); }

bool is_number(const py::array& array) {
  const char kind = array.dtype().kind();
  return kind == 'f' || kind == 'i' || kind == 'u';
}

// Whole numbers in an 8-bit type's range, given as another type.
template <class T>
py::array to_bytes(const py::array& array, const char* what) {
  const auto wide = py::array_t<double, py::array::c_style | py::array::forcecast>::ensure(array);
  py::array_t<T> bytes(std::vector<py::ssize_t>(array.shape(), array.shape() + array.ndim()));
  const double* from = wide.data();
  T* to = bytes.mutable_data();
  for (py::ssize_t i = 0; i < wide.size(); ++i) {
    if (!(from[i] >= std::numeric_limits<T>::min() && from[i] <= std::numeric_limits<T>::max() &&
          from[i] == std::floor(from[i]))) {
      refuse(std::string(what) + " must be whole numbers in " + std::to_string(int{std::numeric_limits<T>::min()}) +
             ".." + std::to_string(int{std::numeric_limits<T>::max()}) + " for this index, got " +
             std::to_string(from[i]));
    }
    to[i] = static_cast<T>(from[i]);
  }
  return bytes;
}

py::array to_input_type(const py::array& array, const Space& space, const char* what) {
  switch (space.type()) {
    case ScalarType::u8:
      if (py::isinstance<py::array_t<std::uint8_t>>(array)) break;
      return to_bytes<std::uint8_t>(array, what);
    case ScalarType::i8:
      if (py::isinstance<py::array_t<std::int8_t>>(array)) break;
      return to_bytes<std::int8_t>(array, what);
    case ScalarType::f32:
    case ScalarType::f16: return py::array_t<float, py::array::c_style | py::array::forcecast>::ensure(array);
  }
  return py::array::ensure(array, py::array::c_style);
}

// An array that needs nothing done to it: one query from an application, mostly. Asks without making Python objects.
bool is_ready(const py::array& array, const Space& space, bool single_allowed) {
  constexpr int needed = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  constexpr int numbers[] = {py::detail::npy_api::NPY_FLOAT_, py::detail::npy_api::NPY_FLOAT_,
                             py::detail::npy_api::NPY_UBYTE_, py::detail::npy_api::NPY_BYTE_};
  const auto ndim = array.ndim();
  return (ndim == 2 || (single_allowed && ndim == 1)) &&
         array.shape(ndim - 1) == static_cast<py::ssize_t>(space.dim()) && (array.flags() & needed) == needed &&
         array.dtype().num() == numbers[static_cast<std::size_t>(space.type())] && array.dtype().byteorder() != '>';
}

}  // namespace

InputVectors input_vectors(py::handle given, const Space& space, const char* what, bool single_allowed) {
  if (py::isinstance<py::array>(given)) {
    auto ready = py::reinterpret_borrow<py::array>(given);
    if (is_ready(ready, space, single_allowed)) {
      const std::size_t count = ready.ndim() == 1 ? 1 : static_cast<std::size_t>(ready.shape(0));
      return {std::move(ready), count};
    }
  }
  py::array array = py::array::ensure(given);
  if (!array) {
    PyErr_Clear();
    refuse(std::string(what) + " must be an array of numbers, got " +
           py::str(py::type::of(given).attr("__name__")).cast<std::string>());
  }
  const auto dim = static_cast<py::ssize_t>(space.dim());
  const bool single = single_allowed && array.ndim() == 1;
  if (!single && array.ndim() != 2) {
    refuse(std::string(what) + " must have shape (N, " + std::to_string(dim) + ")" +
           (single_allowed ? " or (" + std::to_string(dim) + ",)" : "") + ", got " + shape_of(array));
  }
  if (array.shape(array.ndim() - 1) != dim) {
    refuse("dim is " + std::to_string(dim) + " but " + what + " have " + std::to_string(array.shape(array.ndim() - 1)) +
           " columns");
  }
  if (!is_number(array)) refuse(std::string(what) + " must be real numbers, got dtype " + dtype_of(array));
  array = to_input_type(array, space, what);
  if (!array) throw py::error_already_set();
  const std::size_t count = single ? 1 : static_cast<std::size_t>(array.shape(0));
  return {std::move(array), count};
}

py::array_t<Id> input_ids(py::handle given, const char* what, std::size_t count) {
  py::array array = py::array::ensure(given);
  if (!array) {
    PyErr_Clear();
    refuse(std::string(what) + " must be an array of integers, got " +
           py::str(py::type::of(given).attr("__name__")).cast<std::string>());
  }
  if (array.ndim() == 0) array = array.reshape({1});
  const char kind = array.dtype().kind();
  if (array.ndim() != 1 || (kind != 'i' && kind != 'u' && array.size() > 0)) {
    refuse(std::string(what) + " must be integers of shape (N,), got dtype " + dtype_of(array) + " of shape " +
           shape_of(array));
  }
  if (count != any_count && static_cast<std::size_t>(array.size()) != count) {
    refuse(std::string(what) + " must be as many as the vectors: " + std::to_string(count) + " vectors, " +
           std::to_string(array.size()) + " ids");
  }
  auto ids = py::array_t<Id, py::array::c_style | py::array::forcecast>::ensure(array);
  if (!ids) throw py::error_already_set();
  if (kind == 'u' && array.itemsize() == 8) {
    for (py::ssize_t i = 0; i < ids.size(); ++i) {
      if (ids.data()[i] < 0) refuse(std::string(what) + " must be below 2**63");
    }
  }
  return ids;
}

InputAllow input_allow(py::handle given) {
  InputAllow allow;
  if (given.is_none()) return allow;
  const py::array array = py::array::ensure(given);
  if (array && array.dtype().kind() == 'b') {
    if (array.ndim() != 1) refuse("an allow mask must have one dimension, got shape " + shape_of(array));
    const auto mask = py::array::ensure(array, py::array::c_style);
    allow.list.mask = static_cast<const bool*>(mask.data());
    allow.list.mask_size = static_cast<std::size_t>(mask.size());
    allow.holder = mask;
  } else {
    PyErr_Clear();
    const py::array_t<Id> ids = input_ids(given, "allow");
    static const Id nothing = no_id;  // an empty array may have no data, but is not "all"
    allow.list.ids = ids.size() > 0 ? ids.data() : &nothing;
    allow.list.count = static_cast<std::size_t>(ids.size());
    allow.holder = ids;
  }
  return allow;
}

std::size_t input_size(py::handle given, const char* what) {
  if (given.is_none()) return 0;
  const py::ssize_t value = PyIndex_Check(given.ptr()) ? PyNumber_AsSsize_t(given.ptr(), nullptr) : -1;
  if (value < 1) {
    refuse(std::string(what) + " must be an integer of at least 1, got " + py::repr(given).cast<std::string>());
  }
  return static_cast<std::size_t>(value);
}

void PythonMonitor::tick(std::size_t done, std::size_t total) {
  const py::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  if (!callback_.is_none()) callback_(done, total);
}

}  // namespace fastcbir::bindings
