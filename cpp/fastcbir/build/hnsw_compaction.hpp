// Taking removed nodes out of a graph. Floor 4.
#pragma once

#include <cstddef>
#include <vector>

#include "fastcbir/build/hnsw_builder.hpp"
#include "fastcbir/core/bitset.hpp"
#include "fastcbir/core/monitor.hpp"

namespace fastcbir {

// The graph of the nodes that are not dead, numbered anew without gaps in their old order; `vectors` still holds all.
//
// A node that had dead neighbours chooses again among its living ones and the living neighbours of the dead, as
// FreshDiskANN's delete consolidation does (Singh et al., 2021, algorithm 4): far less work than building again. The
// nodes nobody links to afterwards must be inserted again once the vectors have moved: see graph_walk.hpp.
HnswGraph consolidate(const HnswParams& params, const Space& space, const VectorStore& vectors, HnswGraph& graph,
                      const NodeBitset& dead, std::size_t threads, Monitor* monitor);

}  // namespace fastcbir
