// HnswBuilder: inserts nodes into a graph, from many threads at once. Floor 4.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "fastcbir/build/hnsw_params.hpp"
#include "fastcbir/core/monitor.hpp"
#include "fastcbir/core/parallel.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/search/beam.hpp"
#include "fastcbir/search/gather_expander.hpp"
#include "fastcbir/search/greedy_search.hpp"
#include "fastcbir/storage/graph.hpp"
#include "fastcbir/storage/space.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// A graph and where its searches begin.
struct HnswGraph {
  HnswGraph(const HnswParams& params, std::size_t payload_bytes) : links(params.m0(), params.m, payload_bytes) {}
  HnswGraph(GraphLinks with_links, NodeId with_entry) : links(std::move(with_links)), entry(with_entry) {}

  GraphLinks links;
  NodeId entry = no_node;
};

// The levels of nodes [first, first + count): geometric with ratio 1/m, drawn from (seed, node) alone, so that they do
// not depend on how nodes came in or on threads.
std::vector<std::uint8_t> draw_levels(const HnswParams& params, std::size_t first, std::size_t count);

// Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using HNSW graphs", TPAMI 2020:
// algorithm 1 with the neighbour selection of algorithm 4. Deterministic on one thread.
class HnswBuilder {
 public:
  // All are to outlive the builder. Rows and (empty) links of the nodes to insert are there already.
  HnswBuilder(const HnswParams& params, const Space& space, const VectorStore& vectors, HnswGraph& graph);

  // Inserts nodes [first, last) of the store. `completed` counts from `first`.
  ParallelOutcome insert(std::size_t first, std::size_t last, std::size_t threads, Monitor* monitor);
  // The nodes whose level-0 links have changed since the builder was made, once each, in order.
  std::vector<NodeId> changed_nodes() const;
  // Inserts these nodes, whose present links are dropped: how compaction brings back what lost its way.
  void reinsert(std::span<const NodeId> nodes, std::size_t threads);

  // Algorithm 4: from candidates of `base`, nearest first, those nearer to base than to any one chosen before.
  // Writes at most `room` nodes to `chosen` and returns how many.
  struct Workspace {
    PreparedQuery base_row;
    PreparedQuery other_row;
    VisitedSet visited;
    SortedBeam beam;
    Neighborhood neighborhood;
    std::vector<Neighbor> candidates;
    std::vector<NodeId> rejected;
    std::vector<std::vector<NodeId>> chosen;  // a list a level
  };
  // Makes all the room an insert can need: a node half linked for want of memory would be a broken graph.
  void reserve(Workspace& workspace) const;
  std::size_t select_neighbors(std::span<const Neighbor> candidates, std::size_t room, NodeId* chosen,
                               Workspace& workspace) const;

 private:
  void insert_node(NodeId node, Workspace& workspace);
  void link_back(NodeId node, std::size_t level, NodeId neighbor, Workspace& workspace);
  GatherExpander expander(std::size_t level, const RowQuery& query) const;

  class NodeLock;

  HnswParams params_;
  const Space& space_;
  const VectorStore& vectors_;
  HnswGraph& graph_;
  std::mutex entry_mutex_;
  std::unique_ptr<std::atomic<std::uint8_t>[]> locks_;  // one a node: held to change its links
  std::vector<std::uint8_t> changed_;                   // one a node, written under its lock
};

}  // namespace fastcbir
