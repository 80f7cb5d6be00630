// Candidates: the nearest of a stream by estimates, to be looked at again; quicker than a heap for many. Floor 3.
#pragma once

#include <algorithm>
#include <vector>

#include "fastcbir/core/types.hpp"
#include "fastcbir/search/beam.hpp"
#include "fastcbir/search/keys.hpp"

namespace fastcbir {

// A sink of scan_lists. Few are kept sorted, in registers where there are some; of many, twice as many as wanted are
// collected before the farther half is dropped in one go.
class Candidates {
 public:
  void reset(std::size_t wanted) {
    wanted_ = wanted;
    sorted_ = wanted > 0 && wanted <= kernels::active().beam.quick_capacity;
    if (sorted_) return beam_.reset(wanted);
    bound_ = wanted == 0 ? -infinity : infinity;
    found_.clear();
    room_ = 2 * wanted + 16;
    found_.reserve(room_);
  }

  float bound() const { return sorted_ ? beam_.bound() : bound_; }

  // Estimate of the k-th nearest, k at most `wanted`: of many wanted only that of the last of them is known.
  float kth(std::size_t k) const {
    if (!sorted_) return bound_;
    return k <= beam_.size() ? beam_[k - 1].distance : infinity;
  }

  void push(Key* keys, std::size_t count) {
    if (sorted_) return beam_.push(keys, count);
    for (std::size_t i = 0; i < count; ++i) {
      found_.push_back(keys[i]);
      if (found_.size() == room_) cut();
    }
  }

  // The nodes of the nearest `wanted` so far, in no order; the collection goes on.
  void append_nodes(std::vector<NodeId>& nodes) const {
    if (sorted_) {
      for (std::size_t rank = 0; rank < beam_.size(); ++rank) nodes.push_back(beam_[rank].node);
      return;
    }
    std::vector<Key> keys = found_;
    if (keys.size() > wanted_) {
      std::nth_element(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(wanted_), keys.end());
      keys.resize(wanted_);
    }
    for (const Key key : keys) nodes.push_back(node_of(key));
  }

  // Calls visit(node) for the nearest `wanted`, in no order. Ends the collection: reset() before the next push.
  template <class Visit>
  void for_each(Visit&& visit) {
    if (sorted_) {
      for (std::size_t rank = 0; rank < beam_.size(); ++rank) visit(beam_[rank].node);
      return;
    }
    if (found_.size() > wanted_) cut();
    for (const Key key : found_) visit(node_of(key));
  }

 private:
  void cut() {
    std::nth_element(found_.begin(), found_.begin() + static_cast<std::ptrdiff_t>(wanted_ - 1), found_.end());
    bound_ = value_of(found_[wanted_ - 1]);
    found_.resize(wanted_);
  }

  SortedBeam beam_;
  bool sorted_ = false;
  std::size_t wanted_ = 0;
  std::size_t room_ = 0;
  float bound_ = infinity;
  std::vector<Key> found_;
};

}  // namespace fastcbir
