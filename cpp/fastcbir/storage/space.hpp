// Space: what a distance is, bound once from metric, stored type, dimension and instruction set. Floor 2.
#pragma once

#include <cstddef>
#include <span>

#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/kernels/table.hpp"

namespace fastcbir {

// A query as the kernels want it (aligned, padded, normalised for cosine), reused from call to call.
struct PreparedQuery {
  AlignedBuffer buffer;
  float inverse_norm = 1;  // finishes the cosine of integer vectors

  const void* data() const { return buffer.data(); }
};

// A stored row in the role of the query: its kernel values times `scale` compare across rows.
struct RowQuery {
  const void* data;
  float scale;
};

class Space {
 public:
  // Throws std::invalid_argument if dim is not in 1..max_dim.
  Space(std::size_t dim, Metric metric, ScalarType type);

  static constexpr std::size_t max_dim = 65536;

  std::size_t dim() const { return dim_; }
  Metric metric() const { return metric_; }
  ScalarType type() const { return type_; }
  std::size_t stride_bytes() const { return stride_bytes_; }
  std::size_t query_stride_bytes() const { return query_stride_bytes_; }
  // Bytes of one input vector: what users pass to add and search. f16 rows are given and queried as f32.
  std::size_t input_bytes() const { return dim_ * query_bytes_of(type_); }
  const kernels::DistanceKernels& kernels() const { return kernels_; }

  // Throws std::invalid_argument, naming `what` and the row, for NaN, infinity, a value that f16 cannot hold, or a zero
  // vector under cosine. `rows` has count * dim numbers of the input type.
  void check_input(const void* rows, std::size_t count, const char* what) const;

  // One input vector as a stored row of stride_bytes(), and back. Under cosine, float rows are stored normalised.
  void encode(const void* input, std::byte* row) const;
  void decode(const std::byte* row, void* input) const;
  // A stored row as dim() floats.
  void row_floats(const std::byte* row, float* floats) const;

  // Makes `query` from an input vector.
  void prepare(const void* input, PreparedQuery& query) const;
  // A stored row as a query, without a copy where the types allow it.
  RowQuery row_query(const std::byte* row, PreparedQuery& scratch) const;

  // What makes kernel values of a query comparable with squared distances: added to them, they are not negative, and 0
  // for what is as near as can be. largest_norm: of the stored rows, which matters to inner products (Bachrach et al.,
  // RecSys 2014: they are distances in a space of one more dimension).
  float nearness_offset(const PreparedQuery& query, float largest_norm) const;
  float norm(const std::byte* row) const;  // of a stored row

  // A kernel's value as the metric's distance, and back (monotonic: searches compare kernel values).
  float finish(float value, const PreparedQuery& query) const;
  float unfinish(float distance, const PreparedQuery& query) const;

 private:
  bool normalises() const {
    return metric_ == Metric::cosine && (type_ == ScalarType::f32 || type_ == ScalarType::f16);
  }
  void normalise(const float* from, float* to) const;
  float inverse_norm(const std::byte* row) const;  // of 8-bit rows

  std::size_t dim_;
  Metric metric_;
  ScalarType type_;
  std::size_t stride_bytes_;
  std::size_t query_stride_bytes_;
  kernels::DistanceKernels kernels_;
  const kernels::KernelTable* table_;
};

}  // namespace fastcbir
