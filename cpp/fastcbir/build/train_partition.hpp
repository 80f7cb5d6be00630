// How a space is cut into lists: by k-means of all dimensions, or of each half of them. Floor 4.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "fastcbir/build/hnsw_params.hpp"
#include "fastcbir/build/ivf_params.hpp"
#include "fastcbir/build/kmeans.hpp"
#include "fastcbir/search/partition.hpp"

namespace fastcbir {

inline constexpr std::uint32_t max_imi_bits = 12;

// Throws std::invalid_argument for a space that can't be cut as the parameters say.
void check_partition(const Space& space, const IvfParams& params);

// Of the graph over many centroids.
inline constexpr std::uint32_t centroid_graph_m = 16;
HnswParams centroid_graph_params(std::uint64_t seed);

// The spaces of the partition's codebooks: the whole, or the halves.
std::vector<Space> partition_spaces(const Space& space, const IvfParams& params);

std::shared_ptr<const Partition> make_partition(const Space& space, std::vector<Centroids> codebooks);

// `centroids` of each codebook. Throws what the monitor throws.
std::shared_ptr<const Partition> train_partition(const Space& space, const VectorStore& sample, std::size_t centroids,
                                                 const IvfParams& params, std::size_t threads, Monitor* monitor);

}  // namespace fastcbir
