#include "fastcbir/index/flat_index.hpp"

#include <algorithm>

#include "fastcbir/search/exact_scan.hpp"
#include "fastcbir/search/scan_lists.hpp"
#include "fastcbir/search/top_k.hpp"
#include "fastcbir/stop/policy.hpp"

namespace fastcbir {

void FlatIndex::search_batch(const Batch& batch) const {
  // One query, or one with a budget: the list loop. Many: tiles, which read each row once for several queries.
  if (batch.count == 1 || batch.options.max_distances > 0) {
    TopK nearest;
    PreparedQuery query;
    for (std::size_t i = 0; i < batch.count; ++i) {
      space_.prepare(batch.queries + i * space_.input_bytes(), query);
      nearest.reset(batch.k);
      SearchProgress progress;
      BlockScorer scorer(vectors_, space_.kernels(), space_.dim(), query.data());
      if (batch.options.max_distances > 0) {
        scan_lists(scorer, batch.passing, nearest, BudgetStop{static_cast<std::uint32_t>(batch.options.max_distances)},
                   progress);
      } else {
        scan_lists(scorer, batch.passing, nearest, NeverStop{}, progress);
      }
      emit(batch.output, batch.k, i, query, nearest.sorted(), progress.distances);
    }
    return;
  }
  std::vector<PreparedQuery> queries(batch.count);
  for (std::size_t i = 0; i < batch.count; ++i) space_.prepare(batch.queries + i * space_.input_bytes(), queries[i]);
  const std::size_t stride = queries.front().buffer.size();
  AlignedBuffer rows;
  rows.resize(batch.count * stride);
  for (std::size_t i = 0; i < batch.count; ++i) std::copy_n(queries[i].buffer.data(), stride, rows.data() + i * stride);
  exact_scan({.vectors = vectors_,
              .kernels = space_.kernels(),
              .dim = space_.dim(),
              .passing = batch.passing,
              .queries = rows.data(),
              .query_stride_bytes = stride,
              .query_count = batch.count,
              .k = batch.k,
              .threads = batch.options.threads,
              .monitor = batch.options.monitor},
             [&](std::size_t i, std::span<const Neighbor> found) {
               emit(batch.output, batch.k, i, queries[i], found, static_cast<std::uint32_t>(vectors_.size()));
             });
}

std::vector<Neighbor> FlatIndex::search_range(const PreparedQuery& query, float radius, const SearchOptions&,
                                              const NodeBitset* passing) const {
  RadiusSink sink{radius, {}};
  SearchProgress progress;
  scan_lists(BlockScorer(vectors_, space_.kernels(), space_.dim(), query.data()), passing, sink, NeverStop{}, progress);
  std::sort(sink.found.begin(), sink.found.end());
  return std::move(sink.found);
}

}  // namespace fastcbir
