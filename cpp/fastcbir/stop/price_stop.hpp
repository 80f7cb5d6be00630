// PriceStop: the learned rule of graphs, a price for every distance. Floor 3.
//
// A search goes on while log2(distances) + weight * d_next / d_k < threshold: the k-th nearest so far says how far it is
// worth to go, and every distance paid makes the next ones dearer. Said of d_next, that is a limit that only falls, so
// that what can never be expanded need not be kept either; that is where the time is saved.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "fastcbir/core/types.hpp"
#include "fastcbir/search/keys.hpp"
#include "fastcbir/search/progress.hpp"

namespace fastcbir {

struct PriceRule {
  float weight;     // > 0
  float threshold;  // the larger, the longer
  float budget;     // distances after which a search ends all the same
  float offset;     // makes kernel values of any metric like squared distances: not negative, 0 for the query itself
  float farthest;   // a search whose k-th nearest is further than this is unlike those learned from: it has no limit
};

// std::log2 of whole numbers: where a node's codes are read at once, few distances are paid, and each visit asks.
inline const std::array<float, 1024> small_log2 = [] {
  std::array<float, 1024> table{};
  for (std::size_t i = 1; i < table.size(); ++i) table[i] = std::log2(static_cast<float>(i));
  return table;
}();
inline float log2_of(std::uint32_t count) {
  return count < small_log2.size() ? small_log2[count] : std::log2(static_cast<float>(count));
}

// Results: kth(), the kernel value of the k-th nearest so far, infinity before there are k; and `in_frontier`, whether it
// is the frontier that holds them.
template <class Results>
class PriceStop {
 public:
  PriceStop(const PriceRule& rule, Results results) : rule_(rule), slope_(1 / rule.weight), results_(results) {}

  template <class Frontier>
  bool operator()(const SearchProgress& progress, Frontier& frontier) const {
    const float kth = results_.kth();
    const float distance = kth + rule_.offset;
    if (!(distance <= rule_.farthest)) return false;
    const float keep = Results::in_frontier ? next_above(kth) : -infinity;
    if (static_cast<float>(progress.distances) >= rule_.budget) {
      frontier.limit(-infinity, keep);
      return false;
    }
    const float room = std::max(rule_.threshold - log2_of(progress.distances), 0.0f);
    const float expand = std::max(distance, 0.0f) * room * slope_ - rule_.offset;
    frontier.limit(expand, keep);
    return false;
  }

 private:
  const PriceRule& rule_;
  float slope_;
  Results results_;
};

}  // namespace fastcbir
