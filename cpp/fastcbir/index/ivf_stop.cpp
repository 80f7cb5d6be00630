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

// Lists are put in order so many at a time: most searches by recall end within the first.
constexpr std::size_t stages[] = {8, 32};

}  // namespace

std::size_t IvfIndex::choose_up_to(const void* query, const kernels::PackedQuery* packed, std::size_t count,
                                   Scratch& scratch) const {
  scratch.scanned.swap(scratch.probes);
  const std::size_t cost = choose_lists(query, packed, count, scratch);
  // What was scanned stays in front: a list that comes now is seldom nearer.
  const auto known = [&](const Probe& probe) {
    return std::any_of(scratch.scanned.begin(), scratch.scanned.end(),
                       [&](const Probe& other) { return other.list == probe.list; });
  };
  scratch.probes.erase(std::remove_if(scratch.probes.begin(), scratch.probes.end(), known), scratch.probes.end());
  scratch.probes.insert(scratch.probes.begin(), scratch.scanned.begin(), scratch.scanned.end());
  return cost;
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
  scratch.probes.clear();
  std::size_t scanned = 0;
  for (const std::size_t stage : {stages[0], stages[1], cap}) {
    const std::size_t until = std::min(stage, cap);
    if (until <= scanned) break;
    // One more than are scanned: the stop looks at the next.
    scratch.probes.resize(scanned);
    progress.distances += static_cast<std::uint32_t>(
        choose_up_to(query, coded ? &packed : nullptr, std::min(until + 1, list_count()), scratch));
    const std::size_t end = std::min(until, scratch.probes.size());
    scan(std::span<const Probe>(scratch.probes).subspan(scanned, end - scanned));
    if (stop.stopped || end < until) return;
    scanned = end;
  }
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
