// Centroids: points of a space, and which of them is nearest to each of many rows. Floor 2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/storage/centroid_panels.hpp"
#include "fastcbir/storage/space.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// Centroids are rows like all others, in the type of the space: 8-bit ones are rounded, which moves a border by nothing
// that matters, and lets bytes be compared as bytes. Rows belong to the centroid at the least Euclidean distance, under
// l2 and under ip; under cosine to the one in the nearest direction.
class Centroids {
 public:
  explicit Centroids(const Space& space) : space_(space), rows_(space) {}
  Centroids(const Space& space, AlignedBuffer rows);

  std::size_t count() const { return rows_.size(); }
  const Space& space() const { return space_; }
  const VectorStore& rows() const { return rows_; }
  // Rows of the space, stored as they are.
  void assign_rows(AlignedBuffer rows);

  struct Workspace {
    AlignedBuffer queries;
    std::vector<float> values;
    std::vector<float> least;
    PreparedQuery converted;
  };
  // The nearest centroid of each of `count` rows of the space, `stride_bytes` of it apart; at equal distance the first.
  // errors (may be null): what compares how far rows are from their centroids, among rows. packed: these centroids,
  // for many rows.
  void nearest(const std::byte* rows, std::size_t count, const PackedCentroids& packed, std::uint32_t* found,
               float* errors, Workspace& workspace) const;
  // For the assignment of about so many rows.
  PackedCentroids pack(std::size_t rows) const { return {space_, rows_, offsets_, rows}; }

 private:
  void set_offsets();
  void nearest_by_panels(const std::byte* rows, std::size_t count, const kernels::CentroidPanels& panels,
                         std::uint32_t* found, float* least, Workspace& workspace) const;
  void nearest_by_tiles(const std::byte* rows, std::size_t count, std::uint32_t* found, float* least,
                        Workspace& workspace) const;

  Space space_;
  VectorStore rows_;
  std::vector<float> offsets_;  // half the squared length of each: what turns an inner product into a distance
};

}  // namespace fastcbir
