// How an inverted file is made. Floor 4.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastcbir {

struct IvfParams {
  // Lists, one a centroid of k-means; "nlist" in faiss, "n_clusters" in LoRANN. 0: chosen from the number of vectors,
  // and again when there are eight times as many. The inverted multi-index has none: see imi_bits.
  std::uint32_t nlist = 0;
  // The inverted multi-index (Babenko & Lempitsky, CVPR 2012): 2^imi_bits centroids for each half of the dimensions and
  // a list for each pair of them. 0: a plain inverted file.
  std::uint32_t imi_bits = 0;
  // Bits a dimension of the codes in the lists (RaBitQ): 1 or 2, or 0 for none.
  std::uint32_t code_bits = 2;
  // Bytes a vector of product codes in the lists, instead; 0 for none.
  std::uint32_t code_parts = 0;
  // Of the sample that is trained on, of the first centroids, and of the codec's rotation.
  std::uint64_t seed = 0;
};

}  // namespace fastcbir
