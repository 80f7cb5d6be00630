// What codes in lists learn from a sample: how far rows reach along their centroids, and codebooks. Floor 4.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastcbir/core/monitor.hpp"
#include "fastcbir/search/partition.hpp"
#include "fastcbir/storage/product_codec.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// A list's codes are of the differences to its centroid times this: under cosine rows and centroids have unit length, and
// the mean of a list's rows, which leaves the least to be coded, is shorter. Else 1.
float typical_reach(const Space& space, const Partition& partition, const VectorStore& sample, std::size_t threads);

// So many rows are learned from, or as many as there are.
inline constexpr std::size_t product_sample = 256 * kernels::product_entries;

// k-means of each part of the differences between rows and their centroids times `reach`. Throws what the monitor throws.
void train_product(ProductCodec& codec, const Space& space, const Partition& partition, float reach,
                   const VectorStore& sample, std::uint64_t seed, std::size_t threads, Monitor* monitor);

}  // namespace fastcbir
