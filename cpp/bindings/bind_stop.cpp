// fastcbir._core.Index, continued: what learning when to stop needs.
#include <algorithm>

#include "bind.hpp"
#include "fastcbir/index/index.hpp"
#include "numpy.hpp"

namespace fastcbir::bindings {
namespace {

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;
using Ids = py::array_t<Id, py::array::c_style | py::array::forcecast>;

void set_stop_model(Index& index, const py::bytes& model) {
  const std::string_view view = model;
  const auto* data = reinterpret_cast<const std::byte*>(view.data());
  std::vector<std::byte> bytes(data, data + view.size());
  const py::gil_scoped_release release;
  index.set_stop_model(std::move(bytes));
}

py::bytes stop_model(const Index& index) {
  std::vector<std::byte> bytes;
  {
    const py::gil_scoped_release release;
    bytes = index.stop_model();
  }
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

py::tuple fingerprint(const Index& index) {
  const StopModel::Fingerprint of = index.fingerprint();
  return py::make_tuple(of.kind, of.dim, of.metric, of.scalar_type, of.code_bits);
}

py::array_t<Id> draw_queries(const Index& index, std::size_t count, std::uint64_t seed) {
  std::vector<Id> ids;
  {
    const py::gil_scoped_release release;
    ids = index.draw_queries(count, seed);
  }
  return py::array_t<Id>(static_cast<py::ssize_t>(ids.size()), ids.data());
}

void check_length(const py::array& array, std::size_t count, const char* what) {
  if (array.ndim() != 1 || static_cast<std::size_t>(array.size()) != count) {
    throw py::value_error(std::string(what) + " must have an entry for each of the " + std::to_string(count) +
                          " queries");
  }
}

py::array_t<float> nearest_values(const Index& index, const py::object& queries, std::size_t k, const Ids& own,
                                  const py::object& allow, const py::object& threads, py::object progress) {
  const InputVectors input = input_vectors(queries, index.space(), "queries", false);
  check_length(own, input.count, "own");
  py::array_t<float> values({static_cast<py::ssize_t>(input.count), static_cast<py::ssize_t>(k)});
  const InputAllow allowed = input_allow(allow);
  PythonMonitor monitor(std::move(progress));
  const WorkOptions options{input_size(threads, "threads"), &monitor};
  float* const to = values.mutable_data();
  const void* const data = input.data();
  {
    const py::gil_scoped_release release;
    index.nearest_values(data, input.count, k, own.data(), allowed.list, options, to);
  }
  return values;
}

py::tuple trace(const Index& index, const py::object& queries, std::size_t k, std::size_t cap, const Ids& own,
                const Floats& true_kth, float largest_norm, const py::object& allow, bool detailed,
                const py::object& threads, py::object progress, bool whole) {
  const InputVectors input = input_vectors(queries, index.space(), "queries", false);
  check_length(own, input.count, "own");
  check_length(true_kth, input.count, "true_kth");
  const InputAllow allowed = input_allow(allow);
  PythonMonitor monitor(std::move(progress));
  TraceRequest request{};
  request.queries = input.data();
  request.count = input.count;
  request.k = k;
  request.cap = cap;
  request.own = own.data();
  request.true_kth = true_kth.data();
  request.largest_norm = largest_norm;
  request.allow = allowed.list;
  request.detailed = detailed;
  request.whole = whole;
  request.threads = input_size(threads, "threads");
  request.monitor = &monitor;
  Traces traces;
  {
    const py::gil_scoped_release release;
    traces = index.trace(request);
  }
  py::array_t<std::int64_t> offsets(static_cast<py::ssize_t>(input.count) + 1);
  std::int64_t total = 0;
  offsets.mutable_data()[0] = 0;
  for (std::size_t i = 0; i < input.count; ++i) {
    total += static_cast<std::int64_t>(traces.rows[i].size());
    offsets.mutable_data()[i + 1] = traces.columns == 0 ? 0 : total / static_cast<std::int64_t>(traces.columns);
  }
  py::array_t<float> rows({offsets.data()[input.count], static_cast<std::int64_t>(traces.columns)});
  float* to = rows.mutable_data();
  for (const std::vector<float>& row : traces.rows) to = std::copy(row.begin(), row.end(), to);
  return py::make_tuple(std::move(offsets), std::move(rows));
}

// (reason, rule, threshold, estimate, mean distances); rule None where there is none.
py::tuple plan(const Index& index, std::size_t k, float recall, float probability, float share) {
  const StopPlan plan = index.plan({recall, probability}, k, share);
  if (plan.curve == nullptr) {
    return py::make_tuple(static_cast<int>(plan.reason), py::none(), plan.threshold, plan.estimated_recall, py::none());
  }
  return py::make_tuple(static_cast<int>(plan.reason), static_cast<int>(plan.curve->rule), plan.threshold,
                        plan.estimated_recall, plan.cost);
}

// For each k and target: (k, recall, probability, filtered, searches, mean missed, deviation, strictness).
py::list shadows(const Index& index) {
  std::vector<ShadowLedger::Row> rows;
  {
    const py::gil_scoped_release release;
    rows = index.shadows();
  }
  py::list told;
  for (const ShadowLedger::Row& row : rows) {
    told.append(py::make_tuple(row.k, row.target.recall, row.target.probability, row.filtered, row.searches, row.missed,
                               row.deviation, row.strictness));
  }
  return told;
}

}  // namespace

void bind_stop(py::class_<Index>& index) {
  using py::arg;
  using release = py::call_guard<py::gil_scoped_release>;
  index.def("set_stop_model", &set_stop_model, arg("model"))
      .def("stop_model", &stop_model)
      .def("stop_plan", &plan, arg("k"), arg("recall"), arg("probability"), arg("share"))
      .def("shadows", &shadows)
      .def("fingerprint", &fingerprint)
      .def("draw_queries", &draw_queries, arg("count"), arg("seed"))
      .def("nearest_values", &nearest_values, arg("queries"), arg("k"), arg("own"), arg("allow"), arg("threads"),
           arg("progress"))
      .def("trace", &trace, arg("queries"), arg("k"), arg("cap"), arg("own"), arg("true_kth"), arg("largest_norm"),
           arg("allow"), arg("detailed"), arg("threads"), arg("progress"), arg("whole") = false)
      .def("largest_norm", &Index::largest_norm, release());
}

}  // namespace fastcbir::bindings
