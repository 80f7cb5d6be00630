// Codes of neighbours, made for nodes of a graph. Floor 4.
#pragma once

#include <cstddef>
#include <vector>

#include "fastcbir/storage/graph.hpp"
#include "fastcbir/storage/packed_codec.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// Writes the codes of these nodes' level-0 neighbours behind their links. Sets the codec's unit from the first links
// there are. Searches that do not look at codes may run beside it; nothing may change links.
void pack_codes(PackedCodec& codec, const VectorStore& vectors, GraphLinks& links, const std::vector<NodeId>& nodes,
                std::size_t threads);

}  // namespace fastcbir
