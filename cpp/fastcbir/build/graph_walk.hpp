// What a walk along the links of level 0 meets. Floor 4.
#pragma once

#include <cstddef>
#include <vector>

#include "fastcbir/build/hnsw_builder.hpp"
#include "fastcbir/core/types.hpp"

namespace fastcbir {

// The nodes that no walk from the entry reaches.
std::vector<NodeId> unreachable_nodes(const HnswGraph& graph);

// All nodes, near ones mostly after one another: what looks at the neighbourhood of each in this order finds much of it
// in the cache.
std::vector<NodeId> nodes_along_links(const HnswGraph& graph);

// Inserts anew, with `builder`, which is of this graph, what no walk from the entry reaches: the selection of neighbours
// may cut a node's last link.
void reconnect(HnswBuilder& builder, const HnswGraph& graph, std::size_t threads);

}  // namespace fastcbir
