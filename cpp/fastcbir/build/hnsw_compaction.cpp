#include "fastcbir/build/hnsw_compaction.hpp"

#include <algorithm>

namespace fastcbir {
namespace {

// How many dead nodes in a row are followed, and how many candidates are looked at, for one list.
constexpr std::size_t max_candidates = 512;

// The living nodes on `level` that `node` reaches without leaving the dead.
void living_neighbors(const GraphLinks& links, const NodeBitset& dead, NodeId node, std::size_t level, VisitedSet& seen,
                      std::vector<NodeId>& living, std::vector<NodeId>& dead_ones) {
  seen.begin(links.size());
  seen.insert(node);
  living.clear();
  dead_ones.assign(1, node);
  for (std::size_t at = 0; at < dead_ones.size() && living.size() < max_candidates; ++at) {
    const std::uint32_t* slots = links.block(dead_ones[at], level);
    for (std::size_t i = 0; i < links.capacity(level) && slots[i] != no_node; ++i) {
      if (seen.insert(slots[i])) (dead[slots[i]] ? dead_ones : living).push_back(slots[i]);
    }
  }
}

bool has_dead_neighbor(const GraphLinks& links, const NodeBitset& dead, NodeId node, std::size_t level) {
  const std::uint32_t* slots = links.block(node, level);
  for (std::size_t i = 0; i < links.capacity(level) && slots[i] != no_node; ++i) {
    if (dead[slots[i]]) return true;
  }
  return false;
}

}  // namespace

HnswGraph consolidate(const HnswParams& params, const Space& space, const VectorStore& vectors, HnswGraph& graph,
                      const NodeBitset& dead, std::size_t threads, Monitor* monitor) {
  const GraphLinks& old_links = graph.links;
  std::vector<NodeId> new_number(old_links.size(), no_node);
  std::vector<NodeId> survivors;
  std::vector<std::uint8_t> levels;
  for (std::size_t node = 0; node < old_links.size(); ++node) {
    if (dead[node]) continue;
    new_number[node] = static_cast<NodeId>(survivors.size());
    survivors.push_back(static_cast<NodeId>(node));
    levels.push_back(static_cast<std::uint8_t>(old_links.level_of(static_cast<NodeId>(node))));
  }
  HnswGraph fresh(params, graph.links.payload_bytes());
  fresh.links.append(levels);
  if (survivors.empty()) return fresh;
  fresh.entry = static_cast<NodeId>(std::max_element(levels.begin(), levels.end()) - levels.begin());

  const HnswBuilder chooser(params, space, vectors, graph);
  struct Worker {
    HnswBuilder::Workspace workspace;
    std::vector<NodeId> living;
    std::vector<NodeId> dead_ones;
    std::vector<NodeId> chosen;
    std::vector<float> values;
  };
  threads = resolve_threads(threads);
  std::vector<Worker> workers(threads);
  parallel_for(survivors.size(), 64, threads, monitor, [&](std::size_t worker, std::size_t begin, std::size_t end) {
    auto& [workspace, living, dead_ones, chosen, values] = workers[worker];
    for (; begin < end; ++begin) {
      const NodeId node = survivors[begin];
      for (std::size_t level = 0; level <= levels[begin]; ++level) {
        const std::size_t room = old_links.capacity(level);
        chosen.clear();
        if (!has_dead_neighbor(old_links, dead, node, level)) {
          const std::uint32_t* slots = old_links.block(node, level);
          for (std::size_t i = 0; i < room && slots[i] != no_node; ++i) chosen.push_back(slots[i]);
        } else {
          living_neighbors(old_links, dead, node, level, workspace.visited, living, dead_ones);
          const RowQuery query = space.row_query(vectors.row(node), workspace.base_row);
          const GatherExpander expander(old_links, level, vectors, space.kernels(), space.dim(), query.data,
                                        query.scale);
          values.resize(living.size());
          expander.score(living.data(), living.size(), values.data());
          workspace.candidates.clear();
          for (std::size_t i = 0; i < living.size(); ++i) workspace.candidates.push_back({values[i], living[i]});
          std::sort(workspace.candidates.begin(), workspace.candidates.end());
          chosen.resize(room);
          chosen.resize(chooser.select_neighbors(workspace.candidates, room, chosen.data(), workspace));
        }
        for (NodeId& neighbor : chosen) neighbor = new_number[neighbor];
        fresh.links.set(static_cast<NodeId>(begin), level, chosen);
      }
    }
  });
  return fresh;
}

}  // namespace fastcbir
