// A second look at level 0 of a graph, once all nodes are there. Floor 4.
#pragma once

#include <cstddef>

#include "fastcbir/build/hnsw_builder.hpp"
#include "fastcbir/storage/packed_codec.hpp"

namespace fastcbir {

// The ef_construction of inserts into a graph that is refined afterwards to the quality of `ef_construction`.
std::size_t draft_ef(std::size_t dim, std::size_t ef_construction);

// Fills the free places of every node's level-0 list. An insert sees only the nodes before it; now each node meets all
// near ones, and those that choose it. Whom it meets is found by codes, which are made first, and compared exactly: that
// costs a third of a search by rows. In many dimensions, where making codes takes longer, it meets those that its first
// neighbours link to. Where a node has links on level 1, these come first: on level 0 too they lead
// from one cluster to another, also when clusters came in one after the other. Then candidates come in by how little a
// neighbour that is there already occludes them: for alpha in growing steps, c is taken if for each neighbour s,
// distance(node, c) <= alpha distance(s, c), as in Vamana (Subramanya et al., NeurIPS 2019). Links that are there stay:
// those of early inserts are the long ones. For nodes with codes of their neighbours, where a full list costs no more
// than a short one, this saves a fifth of the expansions.
//
// An eighth of the places is not filled so, but with the least occluded (alpha 1.2) of some hundred nodes drawn by lot:
// to queries that are far from everything, near links lead in small steps through nodes that all seem equally far.
//
// Searches that do not look at codes may run beside it, inserts may not. Codes are afterwards those of the old links.
// The result depends on the graph alone, not on threads. Metrics other than inner product, whose values compare no
// distances. Whatever the monitor throws ends it, with some lists filled.
void refine_links(const Space& space, const VectorStore& vectors, PackedCodec& codec, HnswGraph& graph,
                  std::size_t ef_construction, std::size_t threads, Monitor* monitor);

}  // namespace fastcbir
