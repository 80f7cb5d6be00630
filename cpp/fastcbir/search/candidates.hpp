// Candidates: the nearest of a stream by estimates, to be looked at again; quicker than a heap for many. Floor 3.
#pragma once

#include <algorithm>
#include <vector>

#include "fastcbir/core/types.hpp"
#include "fastcbir/search/beam.hpp"
#include "fastcbir/search/keys.hpp"

namespace fastcbir {

// Puts the `count` least keys, 1 <= count <= keys.size(), in front, in no order; returns the greatest of them. As
// std::nth_element, but without branches on what keys are: those are guessed wrong half the time.
inline Key select_least(std::vector<Key>& keys, std::size_t count, std::vector<Key>& spare) {
  constexpr std::size_t few = 24;
  spare.resize(keys.size());
  std::size_t begin = 0, end = keys.size();  // the boundary lies in between
  while (end - begin > few) {
    const Key a = keys[begin], b = keys[begin + (end - begin) / 2], c = keys[end - 1];
    const Key pivot = std::max(std::min(a, b), std::min(std::max(a, b), c));
    std::size_t low = begin, high = 0;
    for (std::size_t i = begin; i < end; ++i) {
      const Key key = keys[i];
      keys[low] = key;
      spare[high] = key;
      low += key <= pivot ? 1 : 0;
      high += key <= pivot ? 0 : 1;
    }
    std::copy_n(spare.begin(), high, keys.begin() + static_cast<std::ptrdiff_t>(low));
    if (low == end) break;  // all but equal
    if (low == count) return *std::max_element(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(count));
    (low < count ? begin : end) = low;
  }
  const auto at = [&](std::size_t i) { return keys.begin() + static_cast<std::ptrdiff_t>(i); };
  std::nth_element(at(begin), at(count - 1), at(end));
  return keys[count - 1];
}

// A sink of scan_lists. Few are kept sorted, in registers where there are some; of many, twice as many as wanted are
// collected before the farther half is dropped in one go.
class Candidates {
 public:
  enum class Keep {
    quickest,
    in_order,    // up to 128, for kth()
    with_slack,  // bound() is that of up to twice as many: what was near once is not met again with another estimate
  };
  void reset(std::size_t wanted, Keep keep = Keep::quickest) {
    constexpr std::size_t most_in_order = 128;
    wanted_ = wanted;
    const std::size_t most_sorted = keep == Keep::quickest   ? kernels::active().beam.quick_capacity
                                    : keep == Keep::in_order ? most_in_order
                                                             : 0;
    sorted_ = wanted > 0 && wanted <= most_sorted;
    if (sorted_) return beam_.reset(wanted);
    bound_ = wanted == 0 ? -infinity : infinity;
    found_.clear();
    room_ = 2 * wanted + 16;
    found_.reserve(room_ + kernels::packed_neighbors);
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

  // Takes in those keys, at most a block's, that are near enough.
  void offer(const Key* keys, std::size_t count) {
    if (sorted_) {
      Key near[kernels::packed_neighbors];
      std::copy_n(keys, count, near);
      return beam_.push(near, count);
    }
    const std::size_t before = found_.size();
    found_.resize(before + count);  // there is room
    std::copy_n(keys, count, found_.data() + before);
    found_.resize(before + keep_below(found_.data() + before, count, bound_key(bound_)));
    if (found_.size() >= room_) cut();
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
    bound_ = value_of(select_least(found_, wanted_, spare_));
    found_.resize(wanted_);
  }

  SortedBeam beam_;
  bool sorted_ = false;
  std::size_t wanted_ = 0;
  std::size_t room_ = 0;
  float bound_ = infinity;
  std::vector<Key> found_;
  std::vector<Key> spare_;
};

}  // namespace fastcbir
