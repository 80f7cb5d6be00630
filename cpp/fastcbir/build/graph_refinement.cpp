#include "fastcbir/build/graph_refinement.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include "fastcbir/build/graph_packing.hpp"
#include "fastcbir/build/graph_walk.hpp"
#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/core/rng.hpp"
#include "fastcbir/search/packed_expander.hpp"
#include "fastcbir/stop/policy.hpp"

namespace fastcbir {
namespace {

// Up to here many near neighbours are good ones, and codes are made soon enough to find them by.
constexpr std::size_t most_dense_dim = 256;

// A node meets so many near nodes, found by so many visits by codes. In many dimensions few of them: what they leave free
// goes to far nodes, without which queries that are far from everything lose their way there. There they are found without
// visits, among those that a few of its neighbours link to.
struct Meeting {
  std::size_t nodes;
  std::size_t visits;
};
Meeting meeting_of(std::size_t dim, std::size_t ef_construction) {
  if (dim > most_dense_dim) return {16, 0};
  return {std::max<std::size_t>(16, ef_construction * 4 / 5), std::max<std::size_t>(16, ef_construction * 2 / 5)};
}
constexpr std::size_t asked_neighbors = 3;
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
  NodeId node;
  std::uint32_t compared;  // with so many of those chosen
  float distance2;
  float nearest;  // kernel value of the nearest of those
  bool chosen;
};

bool contains(const std::vector<NodeId>& nodes, NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

void keep_different(std::vector<NodeId>& nodes) {
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
}

// Given back to the system in the end, which the heap may not do with so much.
template <class T>
class LargeArray {
 public:
  explicit LargeArray(std::size_t count) {
    buffer_.resize(count * sizeof(T));
    items_ = buffer_.as<T>();
  }
  T& operator[](std::size_t at) const { return begin()[at]; }
  T* begin() const { return items_.data(); }
  T* end() const { return items_.data() + items_.size(); }

 private:
  AlignedBuffer buffer_;
  std::span<T> items_;
};

class Refiner {
 public:
  Refiner(const Space& space, const VectorStore& vectors, const PackedCodec& codec, const GraphLinks& links,
          Meeting meeting)
      : space_(space), vectors_(vectors), codec_(codec), links_(links), meeting_(meeting) {}

  struct Worker {
    PreparedQuery base_row;
    PreparedQuery other_row;
    VisitedSet visited;
    SortedBeam beam;
    Candidates collected;
    PackedCodec::QueryScratch packed;
    Neighborhood neighborhood;
    std::vector<NodeId> nodes;
    std::vector<float> values;
    std::vector<Key> keys;
    std::vector<Key> spare;
    std::vector<Candidate> candidates;
    std::vector<NodeId> chosen;
    std::vector<NodeId> drawn;
  };

  void append_links(NodeId node, std::size_t level, std::vector<NodeId>& to) const {
    const std::uint32_t* slots = links_.block(node, level);
    for (std::size_t i = 0; i < links_.capacity(level) && slots[i] != no_node; ++i) to.push_back(slots[i]);
  }

  bool meets_by_codes() const { return meeting_.visits > 0; }

  // Finds the node's candidates.
  void meet(NodeId node, Worker& worker) const {
    worker.nodes.clear();
    if (meets_by_codes()) {
      search_for(node, worker);
    } else {
      append_links(node, 0, worker.nodes);
      const std::size_t asked = std::min(worker.nodes.size(), asked_neighbors);
      for (std::size_t i = 0; i < asked; ++i) append_links(worker.nodes[i], 0, worker.nodes);
      keep_different(worker.nodes);
    }
    meet_named(node, worker.nodes, meeting_.nodes, worker);
  }

  // Appends what a search for the node itself finds.
  void search_for(NodeId node, Worker& worker) const {
    const RowQuery query = space_.row_query(vectors_.row(node), worker.base_row);
    const kernels::PackedQuery packed = codec_.prepare(query.data, worker.packed);
    const PackedRecords records(links_, vectors_, space_.kernels(), space_.dim(), query.data, kernels::active().packed,
                                packed);
    worker.visited.begin(links_.size());
    worker.visited.insert(node);
    worker.beam.reset(meeting_.visits);
    worker.beam.push(records.value(node), node);
    worker.collected.reset(meeting_.nodes, Candidates::Keep::with_slack);
    SearchProgress progress;
    greedy_search<nodes_ahead>(CollectingExpander(records, worker.beam, worker.collected), worker.visited, worker.beam,
                               NeverStop{}, progress, worker.neighborhood);
    worker.collected.for_each([&](NodeId found) { worker.nodes.push_back(found); });
  }

  // Draws the nodes that those of the slice from `first` on are to meet.
  void draw(NodeId first, Worker& worker) const {
    worker.drawn.clear();
    for (std::size_t i = 0; i < far_drawn; ++i) {
      worker.drawn.push_back(static_cast<NodeId>(mix64(mix64(first) ^ i) % links_.size()));
    }
    keep_different(worker.drawn);
  }

  // The nearest `most` of `nodes`, all different, are its candidates.
  void meet_named(NodeId node, const std::vector<NodeId>& nodes, std::size_t most, Worker& worker) const {
    worker.values.resize(nodes.size());
    expander_of(node, worker).score(nodes.data(), nodes.size(), worker.values.data());
    std::vector<Key>& keys = worker.keys;
    keys.clear();
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i] != node) keys.push_back(key_of(worker.values[i], nodes[i]));
    }
    if (keys.size() > most) {
      select_least(keys, most, worker.spare);
      keys.resize(most);
    }
    std::sort(keys.begin(), keys.end());
    worker.candidates.clear();
    for (const Key key : keys) {
      worker.candidates.push_back({node_of(key), 0, squared(value_of(key)), infinity, false});
    }
  }

  // Adds candidates to `worker.chosen` until there are `room`.
  template <class Alphas>
  void choose(const Alphas& alphas2, std::size_t room, Worker& worker) const {
    for (const float alpha2 : alphas2) {
      for (Candidate& candidate : worker.candidates) {
        if (worker.chosen.size() >= room) return;
        if (candidate.chosen || is_occluded(candidate, alpha2, worker)) continue;
        candidate.chosen = true;
        if (!contains(worker.chosen, candidate.node)) worker.chosen.push_back(candidate.node);
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
    const auto occluded = [&] { return candidate.distance2 > alpha2 * squared(candidate.nearest); };
    if (candidate.compared == count || occluded()) return occluded();
    const RowQuery query = space_.row_query(vectors_.row(candidate.node), worker.other_row);
    do {
      const void* rows[group];
      for (std::size_t i = 0; i < group; ++i) {
        rows[i] = vectors_.row(worker.chosen[std::min(candidate.compared + i, count - 1)]);
      }
      float values[group];
      space_.kernels().gather4(query.data, rows, space_.dim(), values);
      const float nearest = std::min(std::min(values[0], values[1]), std::min(values[2], values[3]));
      candidate.nearest = std::min(candidate.nearest, nearest * query.scale);
      candidate.compared = static_cast<std::uint32_t>(std::min(candidate.compared + group, count));
    } while (candidate.compared < count && !occluded());
    return occluded();
  }

  const Space& space_;
  const VectorStore& vectors_;
  const PackedCodec& codec_;
  const GraphLinks& links_;
  Meeting meeting_;
};

}  // namespace

std::size_t draft_ef(std::size_t dim, std::size_t ef_construction) {
  constexpr std::size_t least = 64;
  return dim > most_dense_dim ? ef_construction : std::max(ef_construction / 2, std::min(ef_construction, least));
}

void refine_links(const Space& space, const VectorStore& vectors, PackedCodec& codec, HnswGraph& graph,
                  std::size_t ef_construction, std::size_t threads, Monitor* monitor) {
  const std::size_t size = graph.links.size();
  const std::size_t room = graph.links.capacity(0);
  const Refiner refiner(space, vectors, codec, graph.links, meeting_of(space.dim(), ef_construction));
  threads = resolve_threads(threads);
  std::vector<Refiner::Worker> workers(threads);
  for (Refiner::Worker& worker : workers) worker.neighborhood.reserve(max_links);

  PartMonitor forward(monitor, 0, size, 2 * size);
  PartMonitor filling(monitor, size, size, 2 * size);
  const std::vector<NodeId> order = nodes_along_links(graph);
  if (refiner.meets_by_codes()) {
    pack_codes(codec, vectors, graph.links, order, threads);
    if (codec.unit() == 0) return;  // nobody has a neighbour
  }
  const LargeArray<NodeId> wanted(size * room);  // whom each node would link to
  std::fill(wanted.begin(), wanted.end(), no_node);
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
  const LargeArray<NodeId> wanting(begins.back());
  for (std::size_t i = 0; i < size * room; ++i) {
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
      refiner.meet_named(node, worker.nodes, most_candidates, worker);
      refiner.choose(filling_alphas2, room - room / far_part, worker);
      refiner.meet_named(node, worker.drawn, far_drawn, worker);
      refiner.choose(far_alphas2, room, worker);
      graph.links.set(node, 0, worker.chosen);
    }
  });
}

}  // namespace fastcbir
