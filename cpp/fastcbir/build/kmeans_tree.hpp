// k-means of many clusters. Floor 4.
#pragma once

#include "fastcbir/build/kmeans.hpp"

namespace fastcbir {

// As train_kmeans, in about 1 / sqrt(clusters) of its comparisons: the square root of `clusters` regions first, as many
// clusters in each as its share of the rows, then rounds in which a row meets the centroids of the regions around it.
double train_kmeans_tree(const VectorStore& rows, const KMeansOptions& options, Centroids& centroids);

// Of so many rows as each region has, `clusters` in proportion: at least one for each that has any, none that has more
// than rows. Needs no more regions with rows than clusters, and no more clusters than rows.
std::vector<std::size_t> share_clusters(const std::vector<std::size_t>& sizes, std::size_t clusters);

}  // namespace fastcbir
