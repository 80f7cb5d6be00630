#include "fastcbir/storage/vectors.hpp"

#include <cstring>

namespace fastcbir {

void VectorStore::append(const Space& space, const void* input, std::size_t count) {
  rows_.resize((size_ + count) * stride_bytes_);
  const auto* from = static_cast<const std::byte*>(input);
  for (std::size_t i = 0; i < count; ++i) {
    space.encode(from + i * space.input_bytes(), rows_.data() + (size_ + i) * stride_bytes_);
  }
  size_ += count;
}

void VectorStore::truncate(std::size_t size) {
  rows_.resize(size * stride_bytes_);
  size_ = size;
}

void VectorStore::move_row(NodeId from, NodeId to) {
  std::memcpy(rows_.data() + std::size_t{to} * stride_bytes_, row(from), stride_bytes_);
}

}  // namespace fastcbir
