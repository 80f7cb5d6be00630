// IvfIndex: many queries at once. Floor 5.
#include <algorithm>

#include "fastcbir/core/parallel.hpp"
#include "fastcbir/index/ivf_index.hpp"
#include "fastcbir/search/scan_together.hpp"
#include "fastcbir/stop/policy.hpp"

namespace fastcbir {
namespace {

// What a thousand queries collect stays in the second-level cache.
constexpr std::size_t most_together = 1024;
constexpr std::size_t least_visitors = 2;  // of a list, on average

}  // namespace

std::size_t IvfIndex::together(const Batch& batch, std::size_t nprobe) const {
  if (structure_.codec == nullptr) return 1;
  const std::size_t threads = resolve_threads(batch.options.threads);
  const std::size_t share = std::min((batch.count + threads - 1) / threads, most_together);
  return share * nprobe >= least_visitors * list_count() ? share : 1;
}

void IvfIndex::search_together(const Batch& batch, std::size_t first, std::size_t count, std::size_t nprobe,
                               Scratch& scratch) const {
  if (scratch.queries.size() < count) {
    scratch.prepared.resize(count);
    scratch.tables.resize(count);
    scratch.queries.resize(count);
  }
  scratch.all_probes.clear();
  scratch.probe_ends.clear();
  for (std::size_t i = 0; i < count; ++i) {
    BatchedQuery& query = scratch.queries[i];
    space_.prepare(batch.queries + (first + i) * space_.input_bytes(), scratch.prepared[i]);
    const void* const prepared = scratch.prepared[i].data();
    query.packed = structure_.codec->prepare(prepared, scratch.tables[i]);
    query.cost = static_cast<std::uint32_t>(choose_lists(prepared, &query.packed, nprobe, scratch));
    scratch.all_probes.insert(scratch.all_probes.end(), scratch.probes.begin(), scratch.probes.end());
    scratch.probe_ends.push_back(scratch.all_probes.size());
    // The nearest list first: it makes the bound that spares most of what the others hold.
    query.candidates.reset(effective_rerank(batch.options, batch.k));
    SearchProgress progress;
    const auto nearest = std::span<const Probe>(scratch.probes).first(std::min<std::size_t>(1, scratch.probes.size()));
    scan_lists(code_scorer(nearest, query.packed), batch.passing, query.candidates, NeverStop{}, progress);
    query.cost += progress.distances;
  }
  scratch.visits.sort(scratch.all_probes, scratch.probe_ends, 1, list_count());
  for (std::size_t list = 0; list < list_count(); ++list) {
    scan_for_all(structure_.lists, list, scratch.visits.of(list), structure_.codec->scan(), structure_.reach,
                 batch.passing, scratch.queries);
  }
  for (std::size_t i = 0; i < count; ++i) {
    rerank(scratch.queries[i].candidates, scratch.prepared[i].data(), batch.k, scratch);
    emit(batch.output, batch.k, first + i, scratch.prepared[i], scratch.nearest.sorted(), scratch.queries[i].cost);
  }
}

}  // namespace fastcbir
