// k-means: centroids of a sample of rows. Floor 4.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastcbir/core/monitor.hpp"
#include "fastcbir/storage/centroids.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

struct KMeansOptions {
  std::size_t clusters = 1;
  std::size_t iterations = 10;
  std::uint64_t seed = 0;
  std::size_t threads = 0;
  Monitor* monitor = nullptr;  // told of iterations * rows; cancelling leaves `centroids` as they were
};

// Lloyd's algorithm from distinct rows drawn at random; an empty cluster takes the row that is farthest from its
// centroid. Under cosine of floats centroids have unit length (spherical k-means). The same rows, options and seed give
// the same centroids on any number of threads. Needs at least as many rows as clusters. Returns the sum of `errors`
// (see Centroids::nearest) of the last assignment.
double train_kmeans(const VectorStore& rows, const KMeansOptions& options, Centroids& centroids);

// The mean of rows as a row; where it has no direction under cosine, the first of them.
AlignedBuffer mean_row(const VectorStore& rows, const Space& space);

// `count` of `size`, distinct, in increasing order, drawn at random.
std::vector<std::size_t> draw_sample(std::size_t size, std::size_t count, std::uint64_t seed);

}  // namespace fastcbir
