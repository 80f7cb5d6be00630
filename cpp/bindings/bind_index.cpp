// fastcbir._core.Index: what all indexes do alike, and load().
#include <pybind11/stl/filesystem.h>

#include <system_error>

#include "bind.hpp"
#include "fastcbir/index/index.hpp"
#include "numpy.hpp"

namespace fastcbir::bindings {
namespace {

py::array_t<Id> add(Index& index, const py::object& vectors, const py::object& ids, const py::object& threads,
                    py::object progress) {
  const InputVectors input = input_vectors(vectors, index.space(), "vectors", false);
  py::array_t<Id> given;
  if (!ids.is_none()) given = input_ids(ids, "ids", input.count);
  py::array_t<Id> assigned(static_cast<py::ssize_t>(input.count));
  const Id* const given_data = ids.is_none() ? nullptr : given.data();
  Id* const assigned_data = assigned.mutable_data();
  PythonMonitor monitor(std::move(progress));
  const WorkOptions options{input_size(threads, "threads"), &monitor};
  const void* const data = input.data();
  {
    const py::gil_scoped_release release;
    index.add(data, input.count, given_data, assigned_data, options);
  }
  return assigned;
}

void train(Index& index, const py::object& vectors, const py::object& threads, py::object progress) {
  const InputVectors input = input_vectors(vectors, index.space(), "vectors", false);
  PythonMonitor monitor(std::move(progress));
  const WorkOptions options{input_size(threads, "threads"), &monitor};
  const void* const data = input.data();
  const py::gil_scoped_release release;
  index.train(data, input.count, options);
}

void update(Index& index, const py::object& vectors, const py::object& ids, const py::object& threads,
            py::object progress) {
  const InputVectors input = input_vectors(vectors, index.space(), "vectors", false);
  const py::array_t<Id> given = input_ids(ids, "ids", input.count);
  PythonMonitor monitor(std::move(progress));
  const WorkOptions options{input_size(threads, "threads"), &monitor};
  const void* const data = input.data();
  const Id* const given_data = given.data();
  const py::gil_scoped_release release;
  index.update(data, input.count, given_data, options);
}

void remove(Index& index, const py::object& ids) {
  const py::array_t<Id> given = input_ids(ids, "ids");
  const Id* const data = given.data();
  const auto count = static_cast<std::size_t>(given.size());
  const py::gil_scoped_release release;
  index.remove(data, count);
}

void compact(Index& index, const py::object& threads, py::object progress) {
  PythonMonitor monitor(std::move(progress));
  const WorkOptions options{input_size(threads, "threads"), &monitor};
  const py::gil_scoped_release release;
  index.compact(options);
}

py::tuple range_search(const Index& index, const py::object& queries, float radius, const py::object& ef,
                       const py::object& nprobe, const py::object& allow, const py::object& threads,
                       py::object progress) {
  const InputVectors input = input_vectors(queries, index.space(), "queries", true);
  const InputAllow allowed = input_allow(allow);
  PythonMonitor monitor(std::move(progress));
  SearchOptions options;
  options.ef = input_size(ef, "ef");
  options.nprobe = input_size(nprobe, "nprobe");
  options.allow = allowed.list;
  options.threads = input_size(threads, "threads");
  options.monitor = &monitor;
  RangeOutput found;
  const void* const data = input.data();
  {
    const py::gil_scoped_release release;
    found = index.range_search(data, input.count, radius, options);
  }
  py::array_t<std::int64_t> offsets(static_cast<py::ssize_t>(input.count) + 1);
  std::int64_t total = 0;
  offsets.mutable_data()[0] = 0;
  for (std::size_t i = 0; i < input.count; ++i) {
    offsets.mutable_data()[i + 1] = total += static_cast<std::int64_t>(found.ids[i].size());
  }
  py::array_t<Id> ids(total);
  py::array_t<float> distances(total);
  for (std::size_t i = 0; i < input.count; ++i) {
    std::copy(found.ids[i].begin(), found.ids[i].end(), ids.mutable_data() + offsets.data()[i]);
    std::copy(found.distances[i].begin(), found.distances[i].end(), distances.mutable_data() + offsets.data()[i]);
  }
  return py::make_tuple(std::move(offsets), std::move(ids), std::move(distances));
}

py::array reconstruct(const Index& index, const py::object& ids) {
  const py::array_t<Id> given = input_ids(ids, "ids");
  const Space& space = index.space();
  const char* const dtype = query_bytes_of(space.type()) == 4 ? "float32" : name_of(space.type());
  py::array vectors(py::dtype(dtype), {given.size(), static_cast<py::ssize_t>(space.dim())});
  const Id* const data = given.data();
  const auto count = static_cast<std::size_t>(given.size());
  void* const to = vectors.mutable_data();
  {
    const py::gil_scoped_release release;
    index.reconstruct(data, count, to);
  }
  return vectors;
}

py::array_t<Id> ids_of(const Index& index) {
  std::vector<Id> ids;
  {
    const py::gil_scoped_release release;
    ids = index.ids();
  }
  return py::array_t<Id>(static_cast<py::ssize_t>(ids.size()), ids.data());
}

}  // namespace

void raise_python(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const io::FormatError& error) {
    py::set_error(py::module_::import("fastcbir.errors").attr("FormatError"), error.what());
  } catch (const UnknownId& error) {
    py::set_error(PyExc_KeyError, error.what());
  } catch (const std::system_error& error) {
    // OSError(errno, message) becomes FileNotFoundError, PermissionError and so on by itself.
    PyErr_SetObject(PyExc_OSError, py::make_tuple(error.code().value(), error.what()).ptr());
  }
}

Metric metric_named(const std::string& name) {
  for (const Metric metric : {Metric::l2, Metric::ip, Metric::cosine}) {
    if (name == name_of(metric)) return metric;
  }
  throw py::value_error("metric must be l2, ip or cosine, got '" + name + "'");
}

ScalarType scalar_type_named(const std::string& name) {
  for (const ScalarType type : {ScalarType::f32, ScalarType::f16, ScalarType::u8, ScalarType::i8}) {
    if (name == name_of(type)) return type;
  }
  throw py::value_error("dtype must be float32, float16, uint8 or int8, got '" + name + "'");
}

void bind_index(py::module_& module) {
  py::register_exception_translator(raise_python);
  using py::arg;
  using release = py::call_guard<py::gil_scoped_release>;
  py::class_<Index> index(module, "Index");
  index.def("add", &add, arg("vectors"), arg("ids"), arg("threads"), arg("progress"))
      .def("train", &train, arg("vectors"), arg("threads"), arg("progress"))
      .def("update", &update, arg("vectors"), arg("ids"), arg("threads"), arg("progress"))
      .def("remove", &remove, arg("ids"))
      .def("compact", &compact, arg("threads"), arg("progress"))
      .def("range_search", &range_search, arg("queries"), arg("radius"), arg("ef"), arg("nprobe"), arg("allow"),
           arg("threads"), arg("progress"))
      .def("reconstruct", &reconstruct, arg("ids"))
      .def("ids", &ids_of)
      .def("size", &Index::size, release())
      .def("removed_count", &Index::removed_count, release())
      .def("contains", &Index::contains, arg("id"), release())
      .def("memory_bytes", &Index::memory_bytes, release())
      .def("save", &Index::save, arg("path"), release())
      .def_property_readonly("kind", &Index::kind)
      .def_property_readonly("read_only", &Index::read_only)
      .def_property_readonly("dim", [](const Index& index) { return index.space().dim(); })
      .def_property_readonly("metric", [](const Index& index) { return name_of(index.space().metric()); })
      .def_property_readonly("dtype", [](const Index& index) { return name_of(index.space().type()); });
  bind_search(module, index);
  bind_stop(index);
  module.def("load", &load_index, arg("path"), arg("mmap"), arg("verify"), release());
}

}  // namespace fastcbir::bindings
