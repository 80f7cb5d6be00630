// How an HNSW graph is made. Floor 4.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastcbir {

struct HnswParams {
  // Links a node makes on each level, and has at most on levels above 0; on level 0 it has at most twice as many.
  // "M" in the paper, hnswlib and faiss, "connectivity" in usearch. More: better recall, more memory, slower build.
  std::uint32_t m = 16;
  // How many of the nearest nodes an insert looks at. "efConstruction" in the paper and elsewhere.
  std::uint32_t ef_construction = 200;
  // Fill a list with the nearest of the candidates that the selection rule pruned ("keepPrunedConnections").
  // hnswlib leaves them out. With them, inner products of vectors of all lengths keep their recall; but near-duplicates
  // fill each other's lists, recall beyond .95 costs more, and building takes longer.
  bool keep_pruned = false;
  // Of the levels drawn for nodes, and of the codec's rotation.
  std::uint64_t seed = 0;
  // Bits a dimension of the neighbours' codes beside each node (RaBitQ): 1 or 2, or 0 for none. With codes, 2 m must be
  // a multiple of 32.
  std::uint32_t code_bits = 0;

  std::size_t m0() const { return std::size_t{m} * 2; }
};

}  // namespace fastcbir
