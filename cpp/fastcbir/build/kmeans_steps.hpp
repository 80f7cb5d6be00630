// The steps of Lloyd's algorithm, for k-means of both kinds. Floor 4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fastcbir/storage/centroids.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// Rows sorted by their cluster, each cluster's in increasing order: those of cluster c are rows[begins[c]] to
// rows[begins[c + 1]].
struct RowsByCluster {
  RowsByCluster(const std::vector<std::uint32_t>& cluster_of, std::size_t clusters);

  std::span<const std::uint32_t> of(std::size_t cluster) const {
    return std::span(rows).subspan(begins[cluster], begins[cluster + 1] - begins[cluster]);
  }

  std::vector<std::size_t> begins;
  std::vector<std::uint32_t> rows;
};

// Gives each empty cluster the row that is worst off where it is and can be spared there.
void fill_empty(std::vector<std::uint32_t>& cluster_of, const std::vector<float>& errors, std::size_t clusters);

// The mean of each cluster's rows as a row; the centroid there was where that has no direction under cosine.
AlignedBuffer mean_rows(const VectorStore& rows, const RowsByCluster& sorted, const Centroids& before,
                        std::size_t threads);

// Copies of some rows, one after the other.
AlignedBuffer copy_rows(const VectorStore& rows, std::span<const std::uint32_t> chosen);

}  // namespace fastcbir
