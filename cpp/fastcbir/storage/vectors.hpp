// VectorStore: the rows of an index, each on cache lines of its own. Floor 2.
#pragma once

#include <cstddef>

#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/storage/space.hpp"

namespace fastcbir {

class VectorStore {
 public:
  explicit VectorStore(const Space& space) : stride_bytes_(space.stride_bytes()) {}
  // Rows as a file holds them.
  VectorStore(const Space& space, AlignedBuffer rows)
      : stride_bytes_(space.stride_bytes()), size_(rows.size() / space.stride_bytes()), rows_(std::move(rows)) {}

  std::size_t size() const { return size_; }
  std::size_t stride_bytes() const { return stride_bytes_; }
  const std::byte* row(NodeId node) const { return rows_.data() + std::size_t{node} * stride_bytes_; }
  const AlignedBuffer& bytes() const { return rows_; }
  std::size_t memory_bytes() const { return rows_.size(); }

  // Encodes `count` input vectors behind the present rows.
  void append(const Space& space, const void* input, std::size_t count);
  // Drops the rows from `size` on.
  void truncate(std::size_t size);
  // Moves row `from` to `to`, to < from: how compaction closes gaps.
  void move_row(NodeId from, NodeId to);

 private:
  std::size_t stride_bytes_;
  std::size_t size_ = 0;
  AlignedBuffer rows_;
};

}  // namespace fastcbir
