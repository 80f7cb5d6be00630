#include "fastcbir/build/graph_refinement.hpp"

#include <algorithm>
#include <vector>

#include "fastcbir/build/graph_walk.hpp"
#include "fastcbir/core/rng.hpp"
#include "fastcbir/stop/policy.hpp"

namespace fastcbir {
namespace {

// How many near nodes a node meets. In many dimensions few of them: what they leave free goes to far nodes, without which
// queries that are far from everything lose their way there.
std::size_t met_in(std::size_t dim) { return dim <= 256 ? 80 : 16; }
// How many at most are looked at in the end.
constexpr std::size_t most_candidates = 200;
// One place in so many is kept for far nodes, for which so many are drawn by lot.
constexpr std::size_t far_part = 8;
constexpr std::size_t far_drawn = most_candidates;
// So many nodes one after the other, as a walk meets them, are given the same, which then lie in the cache.
constexpr std::size_t slice = 16;
// Squares of alpha, in the order tried: choosing whom to link to, then filling the list.
constexpr float forward_alphas2[] = {1.0f, 1.44f};
constexpr float filling_alphas2[] = {1.0f, 1.44f, 2.25f};
constexpr float far_alphas2[] = {1.44f};

struct Candidate {
  float distance2;
  NodeId node;
  std::uint32_t compared = 0;  // with so many of those chosen
  float occlusion = 0;         // the largest of distance2 over the square of the distance to a chosen one
  bool chosen = false;

  bool operator<(const Candidate& other) const {
    return distance2 != other.distance2 ? distance2 < other.distance2 : node < other.node;
  }
};

bool contains(const std::vector<NodeId>& nodes, NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

void keep_different(std::vector<NodeId>& nodes) {
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
}

class Refiner {
 public:
  Refiner(const Space& space, const VectorStore& vectors, const GraphLinks& links)
      : space_(space), vectors_(vectors), links_(links) {}

  struct Worker {
    PreparedQuery base_row;
    PreparedQuery other_row;
    VisitedSet visited;
    SortedBeam beam;
    Neighborhood neighborhood;
    std::vector<NodeId> nodes;
    std::vector<float> values;
    std::vector<Candidate> candidates;
    std::vector<NodeId> chosen;
    std::vector<NodeId> drawn;
  };

  void append_links(NodeId node, std::size_t level, std::vector<NodeId>& to) const {
    const std::uint32_t* slots = links_.block(node, level);
    for (std::size_t i = 0; i < links_.capacity(level) && slots[i] != no_node; ++i) to.push_back(slots[i]);
  }

  // What a search for the node itself finds are its candidates.
  void meet(NodeId node, Worker& worker) const {
    const GatherExpander expander = expander_of(node, worker);
    worker.visited.begin(links_.size());
    worker.visited.insert(node);
    worker.beam.reset(met_in(space_.dim()));
    worker.beam.push(expander.value(node), node);
    SearchProgress progress;
    greedy_search(expander, worker.visited, worker.beam, NeverStop{}, progress, worker.neighborhood);
    worker.candidates.clear();
    for (std::size_t rank = 0; rank < worker.beam.size(); ++rank) {
      const Neighbor found = worker.beam[rank];
      if (found.node != node) worker.candidates.push_back({squared(found.distance), found.node});
    }
  }

  // Draws the nodes that those of the slice from `first` on are to meet.
  void draw(NodeId first, Worker& worker) const {
    worker.drawn.clear();
    for (std::size_t i = 0; i < far_drawn; ++i) {
      worker.drawn.push_back(static_cast<NodeId>(mix64(mix64(first) ^ i) % links_.size()));
    }
    keep_different(worker.drawn);
  }

  // The nearest of `nodes`, all different, are its candidates.
  void meet_named(NodeId node, const std::vector<NodeId>& nodes, Worker& worker) const {
    worker.values.resize(nodes.size());
    expander_of(node, worker).score(nodes.data(), nodes.size(), worker.values.data());
    worker.candidates.clear();
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i] != node) worker.candidates.push_back({squared(worker.values[i]), nodes[i]});
    }
    if (worker.candidates.size() > most_candidates) {
      std::nth_element(worker.candidates.begin(), worker.candidates.begin() + most_candidates, worker.candidates.end());
      worker.candidates.resize(most_candidates);
    }
  }

  // Adds candidates to `worker.chosen` until there are `room`.
  template <class Alphas>
  void choose(const Alphas& alphas2, std::size_t room, Worker& worker) const {
    std::sort(worker.candidates.begin(), worker.candidates.end());
    for (Candidate& candidate : worker.candidates) {
      candidate.chosen = contains(worker.chosen, candidate.node);
    }
    for (const float alpha2 : alphas2) {
      for (Candidate& candidate : worker.candidates) {
        if (worker.chosen.size() >= room) return;
        if (candidate.chosen || is_occluded(candidate, alpha2, worker)) continue;
        candidate.chosen = true;
        worker.chosen.push_back(candidate.node);
      }
    }
  }

 private:
  // Kernel values of unit vectors and of 8-bit cosines are minus the cosine.
  float squared(float value) const { return space_.metric() == Metric::cosine ? std::max(0.0f, 2 + 2 * value) : value; }

  GatherExpander expander_of(NodeId node, Worker& worker) const {
    const RowQuery query = space_.row_query(vectors_.row(node), worker.base_row);
    return {links_, 0, vectors_, space_.kernels(), space_.dim(), query.data, query.scale};
  }

  // Compares with those chosen since the last time, as far as needed.
  bool is_occluded(Candidate& candidate, float alpha2, Worker& worker) const {
    constexpr std::size_t group = 4;
    const std::size_t count = worker.chosen.size();
    if (candidate.occlusion > alpha2 || candidate.compared == count) return candidate.occlusion > alpha2;
    const RowQuery query = space_.row_query(vectors_.row(candidate.node), worker.other_row);
    while (candidate.compared < count && candidate.occlusion <= alpha2) {
      const void* rows[group];
      for (std::size_t i = 0; i < group; ++i) {
        rows[i] = vectors_.row(worker.chosen[std::min(candidate.compared + i, count - 1)]);
      }
      float values[group];
      space_.kernels().gather4(query.data, rows, space_.dim(), values);
      for (const float value : values) {
        const float between2 = squared(value * query.scale);
        if (candidate.distance2 <= between2) continue;
        candidate.occlusion = std::max(candidate.occlusion, between2 > 0 ? candidate.distance2 / between2 : infinity);
      }
      candidate.compared = static_cast<std::uint32_t>(std::min(candidate.compared + group, count));
    }
    return candidate.occlusion > alpha2;
  }

  const Space& space_;
  const VectorStore& vectors_;
  const GraphLinks& links_;
};

}  // namespace

void refine_links(const Space& space, const VectorStore& vectors, HnswGraph& graph, std::size_t threads,
                  Monitor* monitor) {
  const std::size_t size = graph.links.size();
  const std::size_t room = graph.links.capacity(0);
  const Refiner refiner(space, vectors, graph.links);
  threads = resolve_threads(threads);
  std::vector<Refiner::Worker> workers(threads);
  for (Refiner::Worker& worker : workers) worker.neighborhood.reserve(max_links);

  PartMonitor forward(monitor, 0, size, 2 * size);
  PartMonitor filling(monitor, size, size, 2 * size);
  const std::vector<NodeId> order = nodes_along_links(graph);
  std::vector<NodeId> wanted(size * room, no_node);  // whom each node would link to
  parallel_for(size, slice, threads, &forward, [&](std::size_t at, std::size_t begin, std::size_t end) {
    for (; begin < end; ++begin) {
      Refiner::Worker& worker = workers[at];
      worker.chosen.clear();
      refiner.meet(order[begin], worker);
      refiner.choose(forward_alphas2, room, worker);
      std::copy(worker.chosen.begin(), worker.chosen.end(),
                wanted.begin() + static_cast<std::ptrdiff_t>(order[begin] * room));
    }
  });
  // The same the other way round: who would link to each node, from begins[node] on.
  std::vector<std::size_t> begins(size + 2);
  for (const NodeId node : wanted) begins[node == no_node ? size + 1 : node + 2] += node == no_node ? 0 : 1;
  for (std::size_t node = 2; node < begins.size(); ++node) begins[node] += begins[node - 1];
  std::vector<NodeId> wanting(begins.back());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] != no_node) wanting[begins[wanted[i] + 1]++] = static_cast<NodeId>(i / room);
  }
  parallel_for(size, slice, threads, &filling, [&](std::size_t at, std::size_t begin, std::size_t end) {
    Refiner::Worker& worker = workers[at];
    refiner.draw(order[begin], worker);
    for (; begin < end; ++begin) {
      const NodeId node = order[begin];
      worker.chosen.clear();
      refiner.append_links(node, 0, worker.chosen);
      worker.nodes.clear();
      if (graph.links.level_of(node) > 0) refiner.append_links(node, 1, worker.nodes);
      for (const NodeId far : worker.nodes) {
        if (worker.chosen.size() < room && !contains(worker.chosen, far)) worker.chosen.push_back(far);
      }
      for (std::size_t i = node * room; i < (node + 1) * room && wanted[i] != no_node; ++i) {
        worker.nodes.push_back(wanted[i]);
      }
      worker.nodes.insert(worker.nodes.end(), wanting.begin() + static_cast<std::ptrdiff_t>(begins[node]),
                          wanting.begin() + static_cast<std::ptrdiff_t>(begins[node + 1]));
      keep_different(worker.nodes);
      refiner.meet_named(node, worker.nodes, worker);
      refiner.choose(filling_alphas2, room - room / far_part, worker);
      refiner.meet_named(node, worker.drawn, worker);
      refiner.choose(far_alphas2, room, worker);
      graph.links.set(node, 0, worker.chosen);
    }
  });
}

}  // namespace fastcbir
