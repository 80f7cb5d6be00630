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
  adopt_model(std::move(model));
}

void Index::adopt_model(std::unique_ptr<const StopModel> model) {
  shadows_ = model ? std::make_unique<ShadowLedger>() : nullptr;
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
    adopt_model(std::make_unique<const StopModel>(std::vector(buffer.data(), buffer.data() + buffer.size())));
    if (reader.has(io::shadow_tag)) {
      const AlignedBuffer measured = reader.section(io::shadow_tag, false);
      shadows_ = std::make_unique<ShadowLedger>(std::span(measured.data(), measured.size()));
    }
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

StopQuestion Index::question(const StopTarget& target, std::size_t k, float share) const {
  return {target, k, share, vectors_.size() - dead_count_, dead_count_};
}

StopPlan Index::plan_for(const StopTarget& target, std::size_t k, float share) const {
  if (file_kind() == io::IndexKind::flat) return {StopReason::exact, nullptr, nullptr, 0, 0, 0, 0, 1};
  if (!stop_model_) {
    throw std::invalid_argument(
        "a search by recall needs an index that has learned when to stop: call fit_stop() once, or give ef or nprobe");
  }
  float scale = 1;
  StopPlan plan = stop_model_->plan(question(shadows_->adjusted(target, k, share > 0, scale), k, share));
  // Where more is missed than was calibrated, so it is expected to be of what is done about it.
  plan.estimated_recall = std::max(1 - (1 - plan.estimated_recall) * scale, 0.0f);
  return plan;
}

StopPlan Index::plan(const StopTarget& target, std::size_t k, float share) const {
  const SharedLock lock(*this);
  return plan_for(target, k, share);
}

std::vector<ShadowLedger::Row> Index::shadows() const {
  const SharedLock lock(*this);
  return shadows_ ? shadows_->rows() : std::vector<ShadowLedger::Row>();
}

// Repeats those of these searches at full length whose turn it is.
void Index::search_shadows(const Batch& batch, float share) const {
  std::vector<std::size_t> due = shadows_->due(batch.count, stop_model_->shadow_every());
  std::erase_if(due, [&](std::size_t which) {
    return batch.output.reasons[which] != static_cast<std::uint8_t>(StopReason::target);
  });
  if (due.empty()) return;
  const std::size_t k = batch.k;
  std::vector<std::byte> queries(due.size() * space_.input_bytes());
  std::vector<Id> ids(due.size() * k, no_id);
  std::vector<float> distances(due.size() * k, infinity);
  std::vector<std::uint32_t> cost(due.size());
  std::vector<std::uint8_t> reasons(due.size());
  std::vector<float> estimates(due.size());
  for (std::size_t i = 0; i < due.size(); ++i) {
    std::copy_n(batch.queries + due[i] * space_.input_bytes(), space_.input_bytes(),
                queries.data() + i * space_.input_bytes());
  }
  const SearchOutput output{ids.data(), distances.data(), cost.data(), reasons.data(), estimates.data()};
  const StopTarget& target = batch.options.target;
  search_batch({queries.data(), due.size(), k, batch.options, batch.passing, batch.passing_count, output,
                stop_model_->farthest(question(target, k, share), StopReason::target, 0), batch.largest_norm});
  for (std::size_t i = 0; i < due.size(); ++i) {
    const auto own = ids.begin() + static_cast<std::ptrdiff_t>(i * k);
    const auto wanted = static_cast<std::size_t>(std::find(own, own + static_cast<std::ptrdiff_t>(k), no_id) - own);
    if (wanted == 0) continue;
    const float farthest = distances[i * k + wanted - 1];
    const float* const first = batch.output.distances + due[i] * k;
    const auto found =
        static_cast<std::size_t>(std::count_if(first, first + k, [&](float value) { return value <= farthest; }));
    shadows_->note(target, k, share > 0, static_cast<double>(std::min(found, wanted)) / static_cast<double>(wanted));
  }
  shadows_->judge(target, k, share > 0);
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

void Index::nearest_values(const void* queries, std::size_t count, std::size_t k, const Id* own, const AllowList& allow,
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
  const std::optional<NodeBitset> passing = passing_nodes(allow);
  exact_scan({.vectors = vectors_,
              .kernels = space_.kernels(),
              .dim = space_.dim(),
              .passing = passing ? &*passing : nullptr,
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
    const std::optional<NodeBitset> passing = passing_nodes(request.allow);
    trace_batch(request, nodes_of(request.own, request.count), passing ? &*passing : nullptr, traces);
  }
  return traces;
}

void Index::trace_batch(const TraceRequest&, std::span<const NodeId>, const NodeBitset*, Traces&) const {
  throw std::logic_error(std::string("a ") + kind() + " index compares everything: there is nothing to learn");
}

}  // namespace fastcbir
