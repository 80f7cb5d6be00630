// What Index does about learning when to stop: truth, traces, models, plans.
#include <algorithm>
#include <limits>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/index/index_locks.hpp"
#include "fastcbir/search/exact_scan.hpp"

namespace fastcbir {

StopModel::Fingerprint Index::fingerprint() const {
  return {static_cast<std::uint32_t>(file_kind()), static_cast<std::uint32_t>(space_.dim()),
          static_cast<std::uint32_t>(space_.metric()), static_cast<std::uint32_t>(space_.type()), code_bits()};
}

void Index::set_stop_model(std::vector<std::byte> bytes) {
  auto model = std::make_unique<const StopModel>(std::move(bytes));
  WriterLock writer(*this);
  if (model->fingerprint() != fingerprint()) {
    throw std::invalid_argument(
        "the learned stop model is of another index: its kind, dim, metric, dtype or codec differs");
  }
  const auto data = writer.data();
  stop_model_ = std::move(model);
}

std::vector<std::byte> Index::stop_model() const {
  const SharedLock lock(*this);
  if (!stop_model_) return {};
  return {stop_model_->bytes().begin(), stop_model_->bytes().end()};
}

// Called by the constructor, which can't ask what kind of index this is: the facade's own file says it.
void Index::read_stop_model(const io::Reader& reader) {
  const AlignedBuffer buffer = reader.section(io::stop_tag, false);
  try {
    stop_model_ = std::make_unique<const StopModel>(std::vector(buffer.data(), buffer.data() + buffer.size()));
  } catch (const std::invalid_argument& error) {
    reader.fail(std::string("is damaged: ") + error.what());
  }
  const StopModel::Fingerprint& of = stop_model_->fingerprint();
  const io::Header& header = reader.header();
  if (of.kind != header.kind || of.dim != header.dim || of.metric != header.metric ||
      of.scalar_type != header.scalar_type) {
    reader.fail("is damaged: its learned stop model is of another index");
  }
}

StopPlan Index::plan_for(const SearchOptions& options, std::size_t k) const {
  const std::size_t present = vectors_.size() - dead_count_;
  if (file_kind() == io::IndexKind::flat) return {StopReason::exact, nullptr, nullptr, 0, 1};
  if (!stop_model_) {
    throw std::invalid_argument(
        "a search by recall needs an index that has learned when to stop: call fit_stop() once, or give ef or nprobe");
  }
  return stop_model_->plan(options.target, k, options.allow.given(), present, dead_count_);
}

StopPlan Index::plan(const StopTarget& target, std::size_t k) const {
  const SharedLock lock(*this);
  SearchOptions options;
  options.target = target;
  return plan_for(options, k);
}

void Index::promise_exact(const SearchOutput& output, std::size_t query_index) {
  output.reasons[query_index] = static_cast<std::uint8_t>(StopReason::exact);
  output.estimates[query_index] = 1;
}

void Index::promise_nothing(const SearchOutput& output, std::size_t query_index, StopReason reason) {
  output.reasons[query_index] = static_cast<std::uint8_t>(reason);
  output.estimates[query_index] = std::numeric_limits<float>::quiet_NaN();
}

std::vector<Id> Index::draw_queries(std::size_t count, std::uint64_t seed) const {
  const SharedLock lock(*this);
  std::vector<NodeId> nodes;
  for (std::size_t node = 0; node < vectors_.size(); ++node) {
    if (!dead_[node] && may_be_query(static_cast<NodeId>(node))) nodes.push_back(static_cast<NodeId>(node));
  }
  count = std::min(count, nodes.size());
  std::vector<Id> drawn(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t other = i + static_cast<std::size_t>(mix64(mix64(seed) ^ i) % (nodes.size() - i));
    std::swap(nodes[i], nodes[other]);
    drawn[i] = ids_.id_of(nodes[i]);
  }
  return drawn;
}

float Index::largest_norm() const {
  const SharedLock lock(*this);
  float largest = 0;
  for (std::size_t node = 0; node < vectors_.size(); ++node) {
    largest = std::max(largest, space_.norm(vectors_.row(static_cast<NodeId>(node))));
  }
  return largest;
}

std::vector<NodeId> Index::nodes_of(const Id* own, std::size_t count) const {
  std::vector<NodeId> nodes(count, no_node);
  for (std::size_t i = 0; own != nullptr && i < count; ++i) {
    if (own[i] != no_id) nodes[i] = live_node(own[i]);
  }
  return nodes;
}

void Index::nearest_values(const void* queries, std::size_t count, std::size_t k, const Id* own,
                           const WorkOptions& options, float* values) const {
  space_.check_input(queries, count, "queries");
  const SharedLock lock(*this);
  std::fill_n(values, count * k, infinity);
  if (count == 0 || vectors_.size() == 0) return;
  const std::vector<NodeId> own_nodes = nodes_of(own, count);
  const std::size_t stride = space_.query_stride_bytes();
  AlignedBuffer rows;
  rows.resize(count * stride);
  PreparedQuery query;
  for (std::size_t i = 0; i < count; ++i) {
    space_.prepare(static_cast<const std::byte*>(queries) + i * space_.input_bytes(), query);
    std::copy_n(query.buffer.data(), stride, rows.data() + i * stride);
  }
  NodeBitset passing;
  if (dead_count_ > 0) {
    passing = NodeBitset(vectors_.size(), true);
    dead_.for_each([&](std::size_t node) { passing.reset(node); });
  }
  exact_scan({.vectors = vectors_,
              .kernels = space_.kernels(),
              .dim = space_.dim(),
              .passing = dead_count_ > 0 ? &passing : nullptr,
              .queries = rows.data(),
              .query_stride_bytes = stride,
              .query_count = count,
              .k = k + (own != nullptr ? 1 : 0),
              .threads = options.threads,
              .monitor = options.monitor},
             [&](std::size_t i, std::span<const Neighbor> found) {
               std::size_t rank = 0;
               for (const Neighbor& neighbor : found) {
                 if (rank < k && neighbor.node != own_nodes[i]) values[i * k + rank++] = neighbor.distance;
               }
             });
}

Traces Index::trace(const TraceRequest& request) const {
  space_.check_input(request.queries, request.count, "queries");
  const SharedLock lock(*this);
  Traces traces{0, std::vector<std::vector<float>>(request.count)};
  if (request.count > 0 && vectors_.size() > dead_count_) {
    trace_batch(request, nodes_of(request.own, request.count), traces);
  }
  return traces;
}

void Index::trace_batch(const TraceRequest&, std::span<const NodeId>, Traces&) const {
  throw std::logic_error(std::string("a ") + kind() + " index compares everything: there is nothing to learn");
}

}  // namespace fastcbir
