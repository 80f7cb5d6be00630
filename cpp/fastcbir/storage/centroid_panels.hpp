// PackedCentroids: centroids laid out anew for the comparison with many rows. Floor 2.
#pragma once

#include <cstddef>
#include <span>

#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/kernels/table.hpp"
#include "fastcbir/storage/space.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// Made for one pass over rows, since it takes as much memory as float centroids do. Empty where it would not pay: for a few
// rows, or centroids. Under cosine centroids have unit length here.
class PackedCentroids {
 public:
  // offsets: a number a centroid, to which minus the inner product is added. rows: to come, about.
  PackedCentroids(const Space& space, const VectorStore& centroids, std::span<const float> offsets, std::size_t rows);

  bool empty() const { return panels_.count == 0; }
  const kernels::CentroidPanels& panels() const { return panels_; }

 private:
  AlignedBuffer values_;
  AlignedBuffer offsets_;
  kernels::CentroidPanels panels_{nullptr, nullptr, 0, 0};
};

}  // namespace fastcbir
