// IvfIndex: searches by recall, and the traces that they are learned from. Floor 5.
#include <algorithm>
#include <cstring>
#include <functional>

#include "fastcbir/core/parallel.hpp"
#include "fastcbir/index/ivf_index.hpp"
#include "fastcbir/kernels/dispatch.hpp"
#include "fastcbir/search/inverted_scorers.hpp"
#include "fastcbir/search/scan_lists.hpp"
#include "fastcbir/stop/list_stop.hpp"

namespace fastcbir {
namespace {

// Most searches by recall end within these: only the others pay for putting more lists in order.
constexpr std::size_t first_lists = 24;

}  // namespace

std::size_t IvfIndex::choose_more(const void* query, std::size_t cap, Scratch& scratch) const {
  std::vector<Probe>& probes = scratch.probes;
  probes.resize(std::min(probes.size(), first_lists));
  structure_.partition->probe(query, cap, structure_.lists, scratch.probing, scratch.more_probes);
  const std::size_t scanned = probes.size();
  for (const Probe& probe : scratch.more_probes) {
    const auto same = [&](const Probe& other) { return other.list == probe.list; };
    if (std::none_of(probes.begin(), probes.begin() + static_cast<std::ptrdiff_t>(scanned), same)) {
      probes.push_back(probe);
    }
  }
  return structure_.partition->probe_cost();
}

template <class Stop>
void IvfIndex::scan_until(Stop& stop, std::size_t cap, std::size_t k, std::size_t wanted, const NodeBitset* passing,
                          Scratch& scratch, SearchProgress& progress) const {
  const void* const query = scratch.query.data();
  const bool coded = structure_.codec != nullptr;
  kernels::PackedQuery packed{};
  if (coded) packed = structure_.codec->prepare(query, scratch.packed);
  scratch.nearest.reset(k);
  if (coded) scratch.candidates.reset(wanted);
  const NamedScorer rows({}, vectors_, space_.kernels(), space_.dim(), query);
  const auto scan = [&](std::span<const Probe> probes) {
    if (coded) {
      scan_lists(CodeScorer(structure_.lists, probes, kernels::active().packed, packed), passing, scratch.candidates,
                 std::ref(stop), progress);
    } else {
      scan_lists(RowScorer(structure_.lists, probes, rows), passing, scratch.nearest, std::ref(stop), progress);
    }
  };
  // One more than are scanned: the stop looks at the next.
  progress.distances = static_cast<std::uint32_t>(
      choose_lists(query, coded ? &packed : nullptr, std::min(first_lists + 1, list_count()), scratch));
  scan(std::span<const Probe>(scratch.probes).first(std::min({first_lists, cap, scratch.probes.size()})));
  if (stop.stopped || cap <= first_lists || scratch.probes.size() <= first_lists) return;
  progress.distances += static_cast<std::uint32_t>(choose_more(query, cap, scratch));
  scan(std::span<const Probe>(scratch.probes).subspan(first_lists));
}

void IvfIndex::search_for_target(const Batch& batch) const {
  const StopPlan& plan = batch.plan;
  // A rule learned for a larger k goes by that one's candidates.
  const std::size_t wanted = effective_rerank(batch.options, std::max<std::size_t>(plan.curve->k, batch.k));
  const std::size_t k = std::max<std::size_t>(plan.curve->k, batch.k);
  parallel_for(batch.count, 1, batch.options.threads, batch.options.monitor,
               [&](std::size_t, std::size_t begin, std::size_t end) {
                 auto lease = scratch_.lease();
                 Scratch& scratch = *lease;
                 for (; begin < end; ++begin) {
                   space_.prepare(batch.queries + begin * space_.input_bytes(), scratch.query);
                   SearchProgress progress;
                   if (plan.forest == nullptr) {
                     ListCountStop stop{static_cast<std::size_t>(plan.threshold)};
                     scan_until(stop, plan.curve->cap, k, wanted, batch.passing, scratch, progress);
                   } else {
                     const float offset = space_.nearness_offset(scratch.query, batch.largest_norm);
                     ListStop stop(*plan.forest, plan.threshold, offset, plan.curve->farthest, scratch.probes);
                     scan_until(stop, plan.curve->cap, k, wanted, batch.passing, scratch, progress);
                     const float bound =
                         structure_.codec != nullptr ? scratch.candidates.bound() : scratch.nearest.bound();
                     if (!(bound + offset <= plan.curve->farthest))
                       promise_nothing(batch.output, begin, StopReason::unlike);
                   }
                   if (structure_.codec != nullptr) rerank(scratch.candidates, scratch.query.data(), k, scratch);
                   emit(batch.output, batch.k, begin, scratch.query, scratch.nearest.sorted(), progress.distances);
                 }
               });
}

void IvfIndex::trace_batch(const TraceRequest& request, std::span<const NodeId> own, Traces& traces) const {
  traces.columns = list_step_columns;
  const std::size_t cap = std::min(request.cap, list_count());
  const std::size_t wanted = effective_rerank({}, request.k);
  parallel_for(
      request.count, 1, request.threads, request.monitor, [&](std::size_t, std::size_t begin, std::size_t end) {
        auto lease = scratch_.lease();
        Scratch& scratch = *lease;
        NodeBitset passing(vectors_.size(), true);
        dead().for_each([&](std::size_t node) { passing.reset(node); });
        std::vector<ListStep> steps;
        std::vector<NodeId> nodes;
        std::vector<float> values;
        for (; begin < end; ++begin) {
          space_.prepare(static_cast<const std::byte*>(request.queries) + begin * space_.input_bytes(), scratch.query);
          const float true_kth = request.true_kth[begin];
          const NamedScorer exact({}, vectors_, space_.kernels(), space_.dim(), scratch.query.data());
          const auto found = [&] {
            values.clear();
            if (structure_.codec == nullptr) {
              for (const Neighbor& neighbor : scratch.nearest.unsorted()) values.push_back(neighbor.distance);
            } else {
              nodes.clear();
              scratch.candidates.append_nodes(nodes);
              values.resize(nodes.size());
              exact.score_nodes(nodes, values.data());
            }
            return std::count_if(values.begin(), values.end(), [&](float value) { return value <= true_kth; });
          };
          if (own[begin] != no_node) passing.reset(own[begin]);
          steps.clear();
          ListTrace stop(steps, space_.nearness_offset(scratch.query, request.largest_norm), scratch.probes, found);
          SearchProgress progress;
          scan_until(stop, cap, request.k, wanted, &passing, scratch, progress);
          if (own[begin] != no_node) passing.set(own[begin]);
          std::vector<float>& row = traces.rows[begin];
          row.resize(steps.size() * list_step_columns);
          if (!steps.empty()) std::memcpy(row.data(), steps.data(), row.size() * sizeof(float));
        }
      });
}

}  // namespace fastcbir
