// HeapFrontier: candidates and results apart, for searches whose results are not simply what is nearest. Floor 3.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "fastcbir/core/bitset.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/search/keys.hpp"
#include "fastcbir/search/top_k.hpp"

namespace fastcbir {

// Nodes that do not pass (removed, or not on the allow-list) still lead the way, but are not results. With a radius,
// every node within it is expanded and every one that passes is collected, however many there are; ef then only says
// how far beyond the radius to look for a way in.
class HeapFrontier {
 public:
  // passing: null if all do. radius: a kernel value; -infinity if there is none. k: whose bound kth() tells.
  void reset(std::size_t ef, const NodeBitset* passing, float radius = -infinity, std::size_t k = 0) {
    with_kth_ = k > 0;
    kth_.reset(k);
    passing_ = passing;
    radius_ = radius;
    expand_ = infinity;
    take_ = infinity;
    candidates_.clear();
    within_.clear();
    nearest_.reset(ef);
  }

  float bound() const { return std::min(take_, std::max(nearest_.bound(), beyond_radius())); }

  // As SortedBeam's.
  void limit(float expand, float keep) {
    expand_ = std::min(expand_, expand);
    take_ = std::min(take_, std::max(expand, keep));
  }

  void push(const Key* added, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      if (const Neighbor entry = neighbor_of(added[i]); entry.distance < bound()) push(entry.distance, entry.node);
    }
  }
  void push(float value, NodeId node) {
    candidates_.push_back({value, node});
    std::push_heap(candidates_.begin(), candidates_.end(), farther);
    if (passing_ != nullptr && !(*passing_)[node]) return;
    nearest_.push(value, node);
    if (with_kth_) kth_.push(value, node);
    if (value <= radius_) within_.push_back({value, node});
  }

  bool pop(Neighbor& next) {
    if (candidates_.empty() || candidates_.front().distance >= expand_) return false;
    if (candidates_.front().distance > std::max(nearest_.bound(), radius_)) return false;
    next = candidates_.front();
    std::pop_heap(candidates_.begin(), candidates_.end(), farther);
    candidates_.pop_back();
    return true;
  }

  NodeId peek() const { return candidates_.empty() ? no_node : candidates_.front().node; }
  // The value of the node that pop() would give next, and how many that pass are nearer.
  float next_value() const { return candidates_.empty() ? infinity : candidates_.front().distance; }
  std::size_t next_rank() const {
    const std::span<const Neighbor> passed = nearest_.unsorted();
    const float next = next_value();
    return static_cast<std::size_t>(
        std::count_if(passed.begin(), passed.end(), [&](const Neighbor& one) { return one.distance < next; }));
  }
  // The k-th nearest that passes; infinity before there are k.
  std::span<const Neighbor> nearest_k() const { return kth_.unsorted(); }
  float kth() const { return kth_.bound(); }

  // Nearest first; both end the collection.
  std::span<const Neighbor> nearest() { return nearest_.sorted(); }
  std::span<const Neighbor> within_radius() {
    std::sort(within_.begin(), within_.end());
    return within_;
  }

 private:
  static bool farther(const Neighbor& a, const Neighbor& b) { return b < a; }
  // bound() is exclusive, the radius is inclusive.
  float beyond_radius() const { return radius_ == -infinity ? radius_ : std::nextafter(radius_, infinity); }

  const NodeBitset* passing_ = nullptr;
  float radius_ = -infinity;
  float expand_ = infinity;
  float take_ = infinity;
  std::vector<Neighbor> candidates_;
  std::vector<Neighbor> within_;
  TopK nearest_;
  bool with_kth_ = false;
  TopK kth_;
};

}  // namespace fastcbir
