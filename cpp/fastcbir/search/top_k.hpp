// TopK: the k nearest of a stream. Floor 3.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "fastcbir/core/types.hpp"

namespace fastcbir {

class TopK {
 public:
  void reset(std::size_t k) {
    k_ = k;
    heap_.clear();
    bound_ = k == 0 ? -infinity : infinity;
  }

  // Values above it are not worth a push; equal ones may still win by their smaller node.
  float bound() const { return bound_; }

  void push(float value, NodeId node) {
    const Neighbor entry{value, node};
    if (heap_.size() < k_) {
      heap_.push_back(entry);
      std::push_heap(heap_.begin(), heap_.end());
    } else if (k_ > 0 && entry < heap_.front()) {
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.back() = entry;
      std::push_heap(heap_.begin(), heap_.end());
    }
    if (heap_.size() == k_ && k_ > 0) bound_ = heap_.front().distance;
  }

  // In no order.
  std::span<const Neighbor> unsorted() const { return heap_; }
  // Nearest first. Ends the collection: reset() before the next push.
  std::span<const Neighbor> sorted() {
    std::sort_heap(heap_.begin(), heap_.end());
    return heap_;
  }

 private:
  std::size_t k_ = 0;
  float bound_ = infinity;
  std::vector<Neighbor> heap_;
};

}  // namespace fastcbir
