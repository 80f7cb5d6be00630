#include "fastcbir/search/graph_partition.hpp"

#include <algorithm>

#include "fastcbir/search/gather_expander.hpp"
#include "fastcbir/search/greedy_search.hpp"

namespace fastcbir {
namespace {

// Of so many the nearest found is the row's list.
constexpr std::size_t assigning_ef = 24;
// Where a query wants a larger part of all lists, comparing them all is no dearer.
constexpr std::size_t large_part = 16;

}  // namespace

void GraphPartition::search(const void* query, std::size_t ef, GraphWalk& walk, SearchProgress& progress) const {
  const Space& space = centroids().space();
  const auto expander = [&](std::size_t level) {
    return GatherExpander(links_, level, centroids().rows(), space.kernels(), space.dim(), query);
  };
  walk.neighborhood.reserve(links_.capacity(0));
  walk.visited.begin(list_count());
  walk.visited.insert(entry_);
  Neighbor nearest{expander(0).value(entry_), entry_};
  ++progress.distances;
  for (std::size_t level = links_.level_of(entry_); level > 0; --level) {
    nearest = greedy_descent(expander(level), nearest, walk.visited, progress, walk.neighborhood);
  }
  walk.visited.begin(list_count());
  walk.visited.insert(nearest.node);
  walk.beam.reset(ef);
  walk.beam.push(nearest.distance, nearest.node);
  const auto to_the_end = [](const SearchProgress&, const SortedBeam&) { return false; };
  greedy_search(expander(0), walk.visited, walk.beam, to_the_end, progress, walk.neighborhood);
}

void GraphPartition::assign(const std::byte* rows, std::size_t count, std::span<const PackedCentroids>,
                            std::uint32_t* lists, Workspace& workspace) const {
  const Space& space = centroids().space();
  SearchProgress progress;
  for (std::size_t i = 0; i < count; ++i) {
    const RowQuery query = space.row_query(rows + i * space.stride_bytes(), workspace.nearest.converted);
    search(query.data, assigning_ef, workspace.walk, progress);
    lists[i] = workspace.walk.beam[0].node;
  }
}

std::size_t GraphPartition::probe(const void* query, std::size_t wanted, const InvertedLists& lists,
                                  ProbeScratch& scratch, std::vector<Probe>& probes) const {
  if (wanted * large_part > list_count()) return flat_.probe(query, wanted, lists, scratch, probes);
  SearchProgress progress;
  search(query, wanted + wanted / 4 + assigning_ef, scratch.walk, progress);
  const SortedBeam& found = scratch.walk.beam;
  probes.clear();
  for (std::size_t rank = 0; rank < std::min(wanted, found.size()); ++rank) {
    probes.push_back({found[rank].distance, found[rank].node});
  }
  return progress.distances;
}

}  // namespace fastcbir
