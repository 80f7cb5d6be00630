#include "hits.hpp"

#include <array>
#include <cstdint>

namespace fastcbir::bindings {
namespace {

constexpr Py_ssize_t fields = 5;

// Never dies: nor does the module.
template <class T>
PyObject* dtype_of() {
  static PyObject* const dtype = py::dtype::of<T>().release().ptr();
  return dtype;
}

PyTypeObject* hits_type() {
  static auto* const type = reinterpret_cast<PyTypeObject*>(
      py::module_::import("fastcbir.types").attr("Hits").cast<py::object>().release().ptr());
  return type;
}

// columns 0: one-dimensional. No strides are worked out here, as in the general way.
template <class T>
PyObject* new_array(py::ssize_t rows, py::ssize_t columns) {
  const auto& numpy = py::detail::npy_api::get();
  PyObject* const dtype = dtype_of<T>();
  Py_INCREF(dtype);  // the next call takes one
  const py::ssize_t shape[] = {rows, columns};
  PyObject* const array = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, dtype, columns == 0 ? 1 : 2, shape, nullptr,
                                                      nullptr, 0, nullptr);
  if (array == nullptr) throw py::error_already_set();
  return array;
}

template <class T>
T* memory_of(PyObject* array) {
  return reinterpret_cast<T*>(py::detail::array_proxy(array)->data);
}

}  // namespace

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

// Arrays of a few numbers take most of a short call to make and to free. So the last answers to single queries are kept,
// and of one that nobody else holds any more, what of its arrays nobody holds is written anew, as CPython's zip() does
// with its tuples.
class KeptHits {
 public:
  explicit KeptHits(bool promised) : promised_(promised) {}

  // One for so many columns, or none.
  py::object take(py::ssize_t columns) {
    for (PyObject*& place : places_) {
      if (place == nullptr || Py_REFCNT(place) != 1) continue;
      auto hits = py::reinterpret_steal<py::object>(place);
      place = nullptr;
      renew<Id>(hits.ptr(), 0, columns);
      renew<float>(hits.ptr(), 1, columns);
      renew<std::uint32_t>(hits.ptr(), 2, 0);
      if (promised_) {
        renew<std::uint8_t>(hits.ptr(), 3, 0);
        renew<float>(hits.ptr(), 4, 0);
      }
      return hits;
    }
    return {};
  }

  // Takes a reference of its own.
  void keep(PyObject* hits) {
    Py_INCREF(hits);
    PyObject** to = &places_[next_];
    for (PyObject*& place : places_) {
      if (place == nullptr) to = &place;
    }
    next_ = (next_ + 1) % places_.size();
    PyObject* const before = *to;
    *to = hits;
    Py_XDECREF(before);  // what is called when they go may search: all is in order
  }

 private:
  template <class T>
  static void renew(PyObject* hits, Py_ssize_t field, py::ssize_t columns) {
    PyObject* const array = PyTuple_GET_ITEM(hits, field);
    if (is_free<T>(array, columns)) return;
    PyTuple_SET_ITEM(hits, field, new_array<T>(1, columns));
    Py_DECREF(array);
  }

  // Whether it is as it was made (its holder may have changed its shape or dtype, or forbidden writing), and nobody else
  // holds it, be it weakly. Views of it and buffers hold it.
  template <class T>
  static bool is_free(PyObject* array, py::ssize_t columns) {
    constexpr int as_made = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_OWNDATA_ |
                            py::detail::npy_api::NPY_ARRAY_ALIGNED_ | py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
    if (Py_REFCNT(array) != 1 || Py_TYPE(array) != py::detail::npy_api::get().PyArray_Type_) return false;
    const auto* const proxy = py::detail::array_proxy(array);
    const bool same_shape = columns == 0
                                ? proxy->nd == 1 && proxy->dimensions[0] == 1
                                : proxy->nd == 2 && proxy->dimensions[0] == 1 && proxy->dimensions[1] == columns;
    const Py_ssize_t weak = Py_TYPE(array)->tp_weaklistoffset;
    return same_shape && proxy->descr == dtype_of<T>() && (proxy->flags & as_made) == as_made &&
           (weak <= 0 || *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(array) + weak) == nullptr);
  }

  bool promised_;
  std::array<PyObject*, 2> places_{};
  std::size_t next_ = 0;
};

#else

class KeptHits {
 public:
  explicit KeptHits(bool) {}
  static py::object take(py::ssize_t) { return {}; }
  static void keep(PyObject*) {}
};

#endif

namespace {

// Under the interpreter's lock: without stop_reason and estimated_recall, and with them.
KeptHits kept_hits[2] = {KeptHits(false), KeptHits(true)};

// Longer ones are worth their making.
constexpr py::ssize_t most_kept_columns = 1024;

}  // namespace

NewHits::NewHits(py::ssize_t rows, py::ssize_t columns, bool promised)
    : kept_(rows == 1 && columns <= most_kept_columns ? &kept_hits[promised ? 1 : 0] : nullptr) {
  if (kept_ != nullptr) hits_ = kept_->take(columns);
  if (!hits_) {
    hits_ = py::reinterpret_steal<py::object>(hits_type()->tp_alloc(hits_type(), fields));
    if (!hits_) throw py::error_already_set();
    PyObject* const hits = hits_.ptr();
    PyTuple_SET_ITEM(hits, 0, new_array<Id>(rows, columns));
    PyTuple_SET_ITEM(hits, 1, new_array<float>(rows, columns));
    PyTuple_SET_ITEM(hits, 2, new_array<std::uint32_t>(rows, 0));
    PyTuple_SET_ITEM(hits, 3, promised ? new_array<std::uint8_t>(rows, 0) : py::none().release().ptr());
    PyTuple_SET_ITEM(hits, 4, promised ? new_array<float>(rows, 0) : py::none().release().ptr());
  }
  PyObject* const hits = hits_.ptr();
  output_ = {memory_of<Id>(PyTuple_GET_ITEM(hits, 0)), memory_of<float>(PyTuple_GET_ITEM(hits, 1)),
             memory_of<std::uint32_t>(PyTuple_GET_ITEM(hits, 2))};
  if (promised) {
    output_.reasons = memory_of<std::uint8_t>(PyTuple_GET_ITEM(hits, 3));
    output_.estimates = memory_of<float>(PyTuple_GET_ITEM(hits, 4));
  }
}

PyObject* NewHits::release() {
  if (kept_ != nullptr) kept_->keep(hits_.ptr());
  return hits_.release().ptr();
}

}  // namespace fastcbir::bindings
