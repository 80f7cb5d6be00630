// Candidates: the nearest of a stream by estimates, to be looked at again; quicker than a heap for many. Floor 3.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "fastcbir/core/types.hpp"
#include "fastcbir/search/keys.hpp"

namespace fastcbir {

// A sink of scan_lists. Collects twice as many as wanted, then drops the farther half in one go.
class Candidates {
 public:
  void reset(std::size_t wanted) {
    wanted_ = wanted;
    bound_ = wanted == 0 ? -infinity : infinity;
    found_.clear();
    room_ = 2 * wanted + 16;
    found_.reserve(room_);
  }

  float bound() const { return bound_; }

  void push(float value, NodeId node) {
    found_.push_back(key_of(value, node));
    if (found_.size() == room_) cut();
  }

  // Keys of the nearest `wanted`, in no order. Ends the collection: reset() before the next push.
  std::span<const Key> nearest() {
    if (found_.size() > wanted_) cut();
    return found_;
  }

 private:
  void cut() {
    std::nth_element(found_.begin(), found_.begin() + static_cast<std::ptrdiff_t>(wanted_ - 1), found_.end());
    bound_ = value_of(found_[wanted_ - 1]);
    found_.resize(wanted_);
  }

  std::size_t wanted_ = 0;
  std::size_t room_ = 0;
  float bound_ = infinity;
  std::vector<Key> found_;
};

}  // namespace fastcbir
