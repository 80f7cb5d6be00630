#include "fastcbir/build/hnsw_builder.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "fastcbir/core/rng.hpp"
#include "fastcbir/stop/policy.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace fastcbir {
namespace {

void spin_pause() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#endif
}

}  // namespace

// One byte a node: held for well under a microsecond, and there are far more nodes than threads.
class HnswBuilder::NodeLock {
 public:
  explicit NodeLock(std::atomic<std::uint8_t>& flag) : flag_(flag) {
    while (flag_.exchange(1, std::memory_order_acquire) != 0) {
      while (flag_.load(std::memory_order_relaxed) != 0) spin_pause();
    }
  }
  ~NodeLock() { flag_.store(0, std::memory_order_release); }
  NodeLock(const NodeLock&) = delete;
  NodeLock& operator=(const NodeLock&) = delete;

 private:
  std::atomic<std::uint8_t>& flag_;
};

std::vector<std::uint8_t> draw_levels(const HnswParams& params, std::size_t first, std::size_t count) {
  const double scale = 1 / std::log(static_cast<double>(std::max(params.m, 2u)));
  std::vector<std::uint8_t> levels(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double level = -std::log(uniform(params.seed, first + i)) * scale;
    levels[i] = static_cast<std::uint8_t>(std::min(level, static_cast<double>(GraphLinks::max_level)));
  }
  return levels;
}

HnswBuilder::HnswBuilder(const HnswParams& params, const Space& space, const VectorStore& vectors, HnswGraph& graph)
    : params_(params),
      space_(space),
      vectors_(vectors),
      graph_(graph),
      locks_(std::make_unique<std::atomic<std::uint8_t>[]>(graph.links.size())),
      changed_(graph.links.size()) {}

std::vector<NodeId> HnswBuilder::changed_nodes() const {
  std::vector<NodeId> nodes;
  for (std::size_t node = 0; node < changed_.size(); ++node) {
    if (changed_[node] != 0) nodes.push_back(static_cast<NodeId>(node));
  }
  return nodes;
}

ParallelOutcome HnswBuilder::insert(std::size_t first, std::size_t last, std::size_t threads, Monitor* monitor) {
  if (first == last) return {};
  std::size_t begin = first;
  if (graph_.entry == no_node) graph_.entry = static_cast<NodeId>(begin++);
  threads = resolve_threads(threads);
  std::vector<Workspace> workspaces(threads);
  for (Workspace& workspace : workspaces) reserve(workspace);
  ParallelOutcome outcome =
      run_parallel(last - begin, 1, threads, monitor, [&](std::size_t worker, std::size_t at, std::size_t end) {
        for (; at < end; ++at) {
          insert_node(static_cast<NodeId>(begin + at), workspaces[worker]);
        }
      });
  outcome.completed += begin - first;
  return outcome;
}

void HnswBuilder::reinsert(std::span<const NodeId> nodes, std::size_t threads) {
  threads = resolve_threads(threads);
  std::vector<Workspace> workspaces(threads);
  for (Workspace& workspace : workspaces) reserve(workspace);
  parallel_for(nodes.size(), 1, threads, nullptr, [&](std::size_t worker, std::size_t at, std::size_t end) {
    for (; at < end; ++at) {
      for (std::size_t level = 0; level <= graph_.links.level_of(nodes[at]); ++level) {
        const NodeLock lock(locks_[nodes[at]]);
        graph_.links.set(nodes[at], level, {});
      }
      insert_node(nodes[at], workspaces[worker]);
    }
  });
}

void HnswBuilder::reserve(Workspace& workspace) const {
  const std::size_t candidates = std::max<std::size_t>(params_.ef_construction, params_.m0()) + 1;
  workspace.base_row.buffer.reserve(space_.query_stride_bytes());
  workspace.other_row.buffer.reserve(space_.query_stride_bytes());
  workspace.visited.begin(vectors_.size());
  workspace.beam.reset(params_.ef_construction);
  workspace.neighborhood.reserve(max_links);
  workspace.candidates.reserve(candidates);
  workspace.rejected.reserve(candidates);
  workspace.chosen.resize(GraphLinks::max_level + 1);
  for (std::vector<NodeId>& chosen : workspace.chosen) chosen.reserve(params_.m);
}

GatherExpander HnswBuilder::expander(std::size_t level, const RowQuery& query) const {
  return {graph_.links, level, vectors_, space_.kernels(), space_.dim(), query.data, query.scale};
}

void HnswBuilder::insert_node(NodeId node, Workspace& workspace) {
  const std::size_t level = graph_.links.level_of(node);
  const RowQuery query = space_.row_query(vectors_.row(node), workspace.base_row);

  // A node that will be the new entry keeps the mutex until it is linked: nobody may start from it before.
  std::unique_lock entry_lock(entry_mutex_);
  const NodeId entry = graph_.entry;
  const std::size_t top = graph_.links.level_of(entry);
  if (level <= top) entry_lock.unlock();

  SearchProgress progress;
  Neighbor nearest{expander(0, query).value(entry), entry};
  for (std::size_t at = top; at > level; --at) {
    workspace.visited.begin(vectors_.size());
    workspace.visited.insert(nearest.node);
    nearest = greedy_descent(expander(at, query), nearest, workspace.visited, progress, workspace.neighborhood);
  }

  // All levels are searched before the node is linked on any: whoever meets it later can go on from it to level 0.
  const std::size_t start = std::min(top, level);
  for (std::size_t at = start + 1; at-- > 0;) {
    workspace.visited.begin(vectors_.size());
    workspace.visited.insert(nearest.node);
    workspace.visited.insert(node);
    workspace.beam.reset(params_.ef_construction);
    workspace.beam.push(nearest.distance, nearest.node);
    greedy_search(expander(at, query), workspace.visited, workspace.beam, NeverStop{}, progress,
                  workspace.neighborhood);
    workspace.candidates.clear();
    for (std::size_t rank = 0; rank < workspace.beam.size(); ++rank) {
      workspace.candidates.push_back(workspace.beam[rank]);
    }
    nearest = workspace.candidates.front();
    std::vector<NodeId>& chosen = workspace.chosen[at];
    chosen.resize(params_.m);
    chosen.resize(select_neighbors(workspace.candidates, params_.m, chosen.data(), workspace));
  }
  for (std::size_t at = 0; at <= start; ++at) {
    const NodeLock lock(locks_[node]);
    graph_.links.set(node, at, workspace.chosen[at]);
    changed_[node] = 1;
  }
  for (std::size_t at = 0; at <= start; ++at) {
    for (const NodeId neighbor : workspace.chosen[at]) link_back(neighbor, at, node, workspace);
  }
  if (level > top) graph_.entry = node;
}

std::size_t HnswBuilder::select_neighbors(std::span<const Neighbor> candidates, std::size_t room, NodeId* chosen,
                                          Workspace& workspace) const {
  constexpr std::size_t group = 4;
  std::vector<NodeId>& rejected = workspace.rejected;
  rejected.clear();
  std::size_t count = 0;
  for (const Neighbor& candidate : candidates) {
    if (count == room) break;
    const RowQuery query = space_.row_query(vectors_.row(candidate.node), workspace.other_row);
    bool is_nearest_to_base = true;
    for (std::size_t begin = 0; begin < count && is_nearest_to_base; begin += group) {
      const void* rows[group];
      for (std::size_t i = 0; i < group; ++i) rows[i] = vectors_.row(chosen[std::min(begin + i, count - 1)]);
      float values[group];
      space_.kernels().gather4(query.data, rows, space_.dim(), values);
      for (const float value : values) {
        is_nearest_to_base = is_nearest_to_base && !(value * query.scale < candidate.distance);
      }
    }
    if (is_nearest_to_base) {
      chosen[count++] = candidate.node;
    } else {
      rejected.push_back(candidate.node);
    }
  }
  if (params_.keep_pruned) {
    for (const NodeId node : rejected) {
      if (count == room) break;
      chosen[count++] = node;
    }
  }
  return count;
}

void HnswBuilder::link_back(NodeId node, std::size_t level, NodeId neighbor, Workspace& workspace) {
  GraphLinks& links = graph_.links;
  const std::size_t room = links.capacity(level);
  const NodeLock lock(locks_[node]);
  std::uint32_t* slots = links.block(node, level);
  changed_[node] = 1;
  std::size_t count = 0;
  while (count < room && load_link(slots[count]) != no_node) {
    if (load_link(slots[count]) == neighbor) return;
    ++count;
  }
  if (count < room) {
    store_link(slots[count], neighbor);
    return;
  }
  // Full: choose again among the present neighbours and the new one.
  const RowQuery query = space_.row_query(vectors_.row(node), workspace.base_row);
  NodeId* nodes = workspace.neighborhood.nodes.data();
  for (std::size_t i = 0; i < room; ++i) nodes[i] = load_link(slots[i]);
  nodes[room] = neighbor;
  expander(level, query).score(nodes, room + 1, workspace.neighborhood.values.data());
  std::vector<Neighbor>& candidates = workspace.candidates;
  candidates.clear();
  for (std::size_t i = 0; i <= room; ++i) candidates.push_back({workspace.neighborhood.values[i], nodes[i]});
  std::sort(candidates.begin(), candidates.end());
  std::array<NodeId, max_links> chosen;
  const std::size_t kept = select_neighbors(candidates, room, chosen.data(), workspace);
  links.set(node, level, {chosen.data(), kept});
}

}  // namespace fastcbir
