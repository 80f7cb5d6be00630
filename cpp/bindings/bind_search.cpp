// fastcbir._core.Index.search, the one call that may take microseconds.
#include <array>
#include <new>
#include <stdexcept>
#include <string>

#include "bind.hpp"
#include "fastcbir/index/index.hpp"
#include "hits.hpp"
#include "numpy.hpp"

namespace fastcbir::bindings {
namespace {

// Less than pybind11's: threads of ours that need Python come through PythonMonitor.
class Released {
 public:
  Released() : state_(PyEval_SaveThread()) {}
  ~Released() { PyEval_RestoreThread(state_); }
  Released(const Released&) = delete;
  Released& operator=(const Released&) = delete;

 private:
  PyThreadState* state_;
};

// A number of (0, 1], or of (0, 1) for what can't be promised of every query.
float input_share(const py::object& given, const char* what, bool one_allowed) {
  const double value = PyFloat_Check(given.ptr()) || PyNumber_Check(given.ptr()) ? PyFloat_AsDouble(given.ptr()) : -1;
  if (PyErr_Occurred() != nullptr) PyErr_Clear();
  if (!(value > 0 && (one_allowed ? value <= 1 : value < 1))) {
    throw py::value_error(std::string(what) + " must be a number above 0 and " +
                          (one_allowed ? "at most 1" : "below 1") + ", got " + py::repr(given).cast<std::string>());
  }
  return static_cast<float>(value);
}

StopTarget input_target(const py::object& recall, const py::object& probability) {
  StopTarget target;
  if (!recall.is_none()) target.recall = input_share(recall, "recall", true);
  if (!probability.is_none()) target.probability = input_share(probability, "probability", false);
  if (target.probability > 0 && !target.given()) {
    throw py::value_error("probability says how sure each query's recall is to be: give recall too");
  }
  return target;
}

PyObject* search(const Index& index, const std::array<py::object, 11>& arguments) {
  const auto& [queries, k, ef, nprobe, rerank, max_distances, allow, recall, probability, threads, progress] =
      arguments;
  const InputVectors input = input_vectors(queries, index.space(), "queries", true);
  const std::size_t wanted = input_size(k, "k");
  if (wanted == 0 || wanted > max_k) {
    throw py::value_error("k must be in 1.." + std::to_string(max_k) + ", got " + py::repr(k).cast<std::string>());
  }
  const InputAllow allowed = input_allow(allow);
  PythonMonitor monitor(progress);
  SearchOptions options;
  options.ef = input_size(ef, "ef");
  options.nprobe = input_size(nprobe, "nprobe");
  options.rerank = input_size(rerank, "rerank");
  options.max_distances = input_size(max_distances, "max_distances");
  options.target = input_target(recall, probability);
  if (options.target.given() &&
      (options.ef > 0 || options.nprobe > 0 || options.rerank > 0 || options.max_distances > 0)) {
    throw py::value_error(
        "recall says how far to search, and so do ef, nprobe, rerank and max_distances: give one of them");
  }
  options.allow = allowed.list;
  options.threads = input_size(threads, "threads");
  options.monitor = &monitor;
  NewHits hits(static_cast<py::ssize_t>(input.count), static_cast<py::ssize_t>(wanted), options.target.given());
  const void* const data = input.data();
  {
    const Released release;
    index.search(data, input.count, wanted, options, hits.output());
  }
  return hits.release();
}

void set_python_error(std::exception_ptr pointer) {
  try {
    try {
      raise_python(pointer);
    } catch (py::error_already_set& error) {
      error.restore();
    } catch (const py::builtin_exception& error) {
      error.set_error();
    }
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::invalid_argument& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
}

// As Python calls it: pybind11's own way there takes as long as some searches do.
PyObject* call_search(PyObject* self, PyObject* const* given, Py_ssize_t count) {
  try {
    std::array<py::object, 11> arguments;
    if (count != static_cast<Py_ssize_t>(arguments.size())) {
      throw py::type_error("search takes " + std::to_string(arguments.size()) + " arguments by position");
    }
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      arguments[i] = py::reinterpret_borrow<py::object>(given[i]);
    }
    // Python has seen to it that this is an Index; what pybind11 would ask again is slow.
    const auto* const index =
        static_cast<const Index*>(reinterpret_cast<py::detail::instance*>(self)->get_value_and_holder().value_ptr());
    if (index == nullptr) throw py::type_error("the index was never made: __init__ has not been called");
    return search(*index, arguments);
  } catch (...) {
    set_python_error(std::current_exception());
    return nullptr;
  }
}

}  // namespace

void bind_search(py::class_<Index>& index) {
  static PyMethodDef method{"search", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call_search)),
                            METH_FASTCALL, "The k nearest of each query, as fastcbir.Hits."};
  PyObject* const descriptor = PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(index.ptr()), &method);
  if (descriptor == nullptr) throw py::error_already_set();
  index.attr("search") = py::reinterpret_steal<py::object>(descriptor);
}

}  // namespace fastcbir::bindings
