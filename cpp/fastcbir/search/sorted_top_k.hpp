// SortedTopK: the k nearest of a stream, kept in order by the kernels of beams. Floor 3.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/kernels/dispatch.hpp"
#include "fastcbir/search/keys.hpp"

namespace fastcbir {

// A sink of scan_lists, quicker than a heap: nothing in it is a branch on what values are. Of equal values those of
// smaller nodes are kept, in whatever order they come.
class SortedTopK {
 public:
  void reset(std::size_t k) {
    constexpr std::size_t line = row_alignment / sizeof(Key);
    const std::size_t room = round_up(k, line);
    if (buffer_.size() < room * sizeof(Key)) buffer_.resize(room * sizeof(Key));
    std::fill_n(keys(), room, kernels::empty_key);
    capacity_ = k;
    size_ = 0;
    bound_ = k == 0 ? -infinity : infinity;
  }

  // Values above it are not worth a push.
  float bound() const { return bound_; }

  // Takes in those keys that are near enough; may overwrite them.
  void push(Key* added, std::size_t count) {
    constexpr std::size_t at_once = 32;  // the fewer find that they come too late the more are inserted together
    for (std::size_t begin = 0; begin < count; begin += at_once) {
      insert(added + begin, std::min(at_once, count - begin));
    }
  }

  void push(float value, NodeId node) {
    alignas(row_alignment) Key key = key_of(value, node);
    insert(&key, 1);
  }

  // Nearest first, until the next reset.
  std::span<const Neighbor> sorted() {
    found_.clear();
    for (std::size_t i = 0; i < size_; ++i) found_.push_back(neighbor_of(keys()[i]));
    return found_;
  }

 private:
  Key* keys() { return buffer_.as<Key>().data(); }

  void insert(Key* added, std::size_t count) {
    const bool full = size_ == capacity_;
    if (full && capacity_ == 0) return;
    const Key limit = full ? keys()[size_ - 1] : kernels::empty_key;
    const std::size_t near = keep_below(added, count, limit);
    if (near == 0) return;
    // What is not full is as long as what it holds.
    const std::size_t length = std::min(size_ + near, capacity_);
    insert_(keys(), size_, length, added, near);
    size_ = length;
    if (size_ == capacity_) bound_ = value_of(keys()[size_ - 1]);
  }

  AlignedBuffer buffer_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
  float bound_ = infinity;
  std::vector<Neighbor> found_;
  decltype(kernels::BeamKernels::insert) insert_ = kernels::active().beam.insert;
};

}  // namespace fastcbir
