#include "fastcbir/build/graph_walk.hpp"

#include "fastcbir/core/bitset.hpp"

namespace fastcbir {
namespace {

// Depth first, to the first neighbour that is new: mostly the nearest of them. Returns whom it reached.
template <class Visit>
NodeBitset walk(const HnswGraph& graph, Visit&& visit) {
  struct Step {
    NodeId node;
    std::uint32_t slot;
  };
  const GraphLinks& links = graph.links;
  NodeBitset reached(links.size());
  std::vector<Step> path;
  const auto enter = [&](NodeId node) {
    reached.set(node);
    visit(node);
    path.push_back({node, 0});
  };
  if (graph.entry != no_node) enter(graph.entry);
  while (!path.empty()) {
    Step& step = path.back();
    const NodeId next = step.slot < links.capacity(0) ? links.block(step.node, 0)[step.slot++] : no_node;
    if (next == no_node) {
      path.pop_back();
    } else if (!reached[next]) {
      enter(next);
    }
  }
  return reached;
}

void append_others(const NodeBitset& reached, std::size_t size, std::vector<NodeId>& nodes) {
  for (std::size_t node = 0; node < size; ++node) {
    if (!reached[node]) nodes.push_back(static_cast<NodeId>(node));
  }
}

}  // namespace

std::vector<NodeId> unreachable_nodes(const HnswGraph& graph) {
  std::vector<NodeId> nodes;
  if (graph.entry != no_node) append_others(walk(graph, [](NodeId) {}), graph.links.size(), nodes);
  return nodes;
}

void reconnect(HnswBuilder& builder, const HnswGraph& graph, std::size_t threads) {
  constexpr int rounds = 3;
  for (int round = 0; round < rounds; ++round) {
    const std::vector<NodeId> lost = unreachable_nodes(graph);
    if (lost.empty()) return;
    builder.reinsert(lost, threads);
  }
}

std::vector<NodeId> nodes_along_links(const HnswGraph& graph) {
  std::vector<NodeId> nodes;
  nodes.reserve(graph.links.size());
  const NodeBitset reached = walk(graph, [&](NodeId node) { nodes.push_back(node); });
  append_others(reached, graph.links.size(), nodes);
  return nodes;
}

}  // namespace fastcbir
