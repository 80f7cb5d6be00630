// fastcbir._core.Index.search, the one call that may take microseconds, and how fastcbir.Index.search gets there.
#include <structmember.h>

#include <array>
#include <cstddef>
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
float input_share(py::handle given, const char* what, bool one_allowed) {
  const double value = PyFloat_Check(given.ptr()) || PyNumber_Check(given.ptr()) ? PyFloat_AsDouble(given.ptr()) : -1;
  if (PyErr_Occurred() != nullptr) PyErr_Clear();
  if (!(value > 0 && (one_allowed ? value <= 1 : value < 1))) {
    throw py::value_error(std::string(what) + " must be a number above 0 and " +
                          (one_allowed ? "at most 1" : "below 1") + ", got " + py::repr(given).cast<std::string>());
  }
  return static_cast<float>(value);
}

StopTarget input_target(py::handle recall, py::handle probability) {
  StopTarget target;
  if (!recall.is_none()) target.recall = input_share(recall, "recall", true);
  if (!probability.is_none()) target.probability = input_share(probability, "probability", false);
  if (target.probability > 0 && !target.given()) {
    throw py::value_error("probability says how sure each query's recall is to be: give recall too");
  }
  return target;
}

// Borrowed; in the order of `argument_names`.
using Arguments = std::array<py::handle, 11>;
constexpr std::array<const char*, 11> argument_names{
    "queries", "k", "ef", "nprobe", "rerank", "max_distances", "allow", "recall", "probability", "threads", "progress"};

PyObject* search(const Index& index, const Arguments& arguments) {
  const auto& [queries, k, ef, nprobe, rerank, max_distances, allow, recall, probability, threads, progress] =
      arguments;
  const InputVectors input = input_vectors(queries, index.space(), "queries", true);
  const std::size_t wanted = input_size(k, "k");
  if (wanted == 0 || wanted > max_k) {
    throw py::value_error("k must be in 1.." + std::to_string(max_k) + ", got " + py::repr(k).cast<std::string>());
  }
  const InputAllow allowed = input_allow(allow);
  PythonMonitor monitor(py::reinterpret_borrow<py::object>(progress));
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

PyObject* search_or_error(PyObject* index, const Arguments& arguments) {
  try {
    // The caller has seen to it that this is an Index; what pybind11 would ask again is slow.
    const auto* const core =
        static_cast<const Index*>(reinterpret_cast<py::detail::instance*>(index)->get_value_and_holder().value_ptr());
    if (core == nullptr) throw py::type_error("the index was never made: __init__ has not been called");
    return search(*core, arguments);
  } catch (...) {
    set_python_error(std::current_exception());
    return nullptr;
  }
}

// As Python calls it: pybind11's own way there takes as long as some searches do.
PyObject* call_search(PyObject* self, PyObject* const* given, Py_ssize_t count) {
  Arguments arguments;
  if (count != static_cast<Py_ssize_t>(arguments.size())) {
    PyErr_Format(PyExc_TypeError, "search takes %zu arguments by position", arguments.size());
    return nullptr;
  }
  std::copy_n(given, arguments.size(), arguments.begin());
  return search_or_error(self, arguments);
}

// What the decorator `direct_search` makes of fastcbir.Index.search, which hands its arguments to the core's: a call that
// gives them as it should goes there without a Python frame in between, which would take longer than all the rest of the
// call; any other is the function's, which says what is wrong with it.
struct DirectSearch {
  PyObject_HEAD vectorcallfunc call;
  PyObject* function;
};

// All of them interned; never freed, nor is the module.
struct Names {
  std::array<PyObject*, argument_names.size()> arguments;
  PyObject* core;
};
Names names;
PyTypeObject* core_type;

// The arguments of a call, those not given None; false if it is not for us.
bool take_arguments(PyObject* const* given, std::size_t count, PyObject* keywords, Arguments& arguments) {
  if (count > 2) return false;
  arguments.fill(Py_None);
  arguments[0] = nullptr;
  static PyObject* const ten = PyLong_FromLong(10);
  arguments[1] = ten;
  std::size_t seen = (std::size_t{1} << count) - 1;
  std::copy_n(given, count, arguments.begin());
  const Py_ssize_t named = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  for (Py_ssize_t i = 0; i < named; ++i) {
    const auto at = static_cast<std::size_t>(
        std::find(names.arguments.begin(), names.arguments.end(), PyTuple_GET_ITEM(keywords, i)) -
        names.arguments.begin());
    if (at == names.arguments.size() || (seen >> at & 1) != 0) return false;
    seen |= std::size_t{1} << at;
    arguments[at] = given[count + static_cast<std::size_t>(i)];
  }
  return arguments[0].ptr() != nullptr;
}

PyObject* call_direct(PyObject* self, PyObject* const* given, std::size_t flagged_count, PyObject* keywords) {
  const auto count = static_cast<std::size_t>(PyVectorcall_NARGS(flagged_count));
  Arguments arguments;
  if (count > 0 && take_arguments(given + 1, count - 1, keywords, arguments)) {
    const auto core = py::reinterpret_steal<py::object>(PyObject_GetAttr(given[0], names.core));
    if (core && PyObject_TypeCheck(core.ptr(), core_type)) return search_or_error(core.ptr(), arguments);
    PyErr_Clear();
  }
  return PyObject_Vectorcall(reinterpret_cast<DirectSearch*>(self)->function, given, flagged_count, keywords);
}

PyObject* bind_direct(PyObject* self, PyObject* instance, PyObject*) {
  if (instance == nullptr || instance == Py_None) return Py_NewRef(self);
  return PyMethod_New(self, instance);
}

// Its name, signature, documentation and all else are the function's.
PyObject* function_of_direct(PyObject* self, void*) {
  return Py_NewRef(reinterpret_cast<DirectSearch*>(self)->function);
}
PyObject* documentation_of_direct(PyObject* self, void*) {
  return PyObject_GetAttrString(reinterpret_cast<DirectSearch*>(self)->function, "__doc__");
}
PyObject* attribute_of_direct(PyObject* self, PyObject* name) {
  if (PyUnicode_CompareWithASCIIString(name, "__wrapped__") == 0 ||
      PyUnicode_CompareWithASCIIString(name, "__class__") == 0) {
    return PyObject_GenericGetAttr(self, name);
  }
  return PyObject_GetAttr(reinterpret_cast<DirectSearch*>(self)->function, name);
}

void free_direct(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  Py_CLEAR(reinterpret_cast<DirectSearch*>(self)->function);
  type->tp_free(self);
  Py_DECREF(type);
}

int visit_direct(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(reinterpret_cast<DirectSearch*>(self)->function);
  return 0;
}

int clear_direct(PyObject* self) {
  Py_CLEAR(reinterpret_cast<DirectSearch*>(self)->function);
  return 0;
}

py::object direct_type() {
  static PyMemberDef members[] = {{"__vectorcalloffset__", T_PYSSIZET, offsetof(DirectSearch, call), READONLY, nullptr},
                                  {}};
  // Python's help asks the type for these two.
  static PyGetSetDef properties[] = {{"__wrapped__", &function_of_direct, nullptr, nullptr, nullptr},
                                     {"__doc__", &documentation_of_direct, nullptr, nullptr, nullptr},
                                     {}};
  static PyType_Slot slots[] = {{Py_tp_call, reinterpret_cast<void*>(&PyVectorcall_Call)},
                                {Py_tp_descr_get, reinterpret_cast<void*>(&bind_direct)},
                                {Py_tp_getattro, reinterpret_cast<void*>(&attribute_of_direct)},
                                {Py_tp_dealloc, reinterpret_cast<void*>(&free_direct)},
                                {Py_tp_traverse, reinterpret_cast<void*>(&visit_direct)},
                                {Py_tp_clear, reinterpret_cast<void*>(&clear_direct)},
                                {Py_tp_members, members},
                                {Py_tp_getset, properties},
                                {}};
  static PyType_Spec spec{"fastcbir._core.DirectSearch", sizeof(DirectSearch), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                              Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                          slots};
  auto type = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
  if (!type) throw py::error_already_set();
  return type;
}

py::object direct_search(const py::object& function) {
  static PyObject* const type = direct_type().release().ptr();
  auto* const made = PyObject_GC_New(DirectSearch, reinterpret_cast<PyTypeObject*>(type));
  if (made == nullptr) throw py::error_already_set();
  made->call = &call_direct;
  made->function = Py_NewRef(function.ptr());
  PyObject_GC_Track(reinterpret_cast<PyObject*>(made));
  return py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(made));
}

}  // namespace

void bind_search(py::module_& module, py::class_<Index>& index) {
  static PyMethodDef method{"search", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call_search)),
                            METH_FASTCALL, "The k nearest of each query, as fastcbir.Hits."};
  PyObject* const descriptor = PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(index.ptr()), &method);
  if (descriptor == nullptr) throw py::error_already_set();
  index.attr("search") = py::reinterpret_steal<py::object>(descriptor);
  for (std::size_t i = 0; i < argument_names.size(); ++i) {
    names.arguments[i] = PyUnicode_InternFromString(argument_names[i]);
  }
  names.core = PyUnicode_InternFromString("_core");
  core_type = reinterpret_cast<PyTypeObject*>(index.ptr());
  module.def("direct_search", &direct_search, py::arg("function"));
}

}  // namespace fastcbir::bindings
