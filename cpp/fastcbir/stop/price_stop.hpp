// PriceStop: the learned rule of graphs, a price for every distance. Floor 3.
//
// A search goes on while log2(distances) + weight * d_next / d_k < threshold: the k-th nearest so far says how far it is
// worth to go, and every distance paid makes the next ones dearer. Said of d_next, that is a limit that only falls, so
// that what can never be expanded need not be kept either; that is where the time is saved.
#pragma once

#include <algorithm>
#include <cmath>

#include "fastcbir/core/types.hpp"
#include "fastcbir/search/progress.hpp"

namespace fastcbir {

struct PriceRule {
  float weight;     // > 0
  float threshold;  // the larger, the longer
  float budget;     // distances after which a search ends all the same
  float offset;     // makes kernel values of any metric like squared distances: not negative, 0 for the query itself
  float farthest;   // a search whose k-th nearest is further than this is unlike those learned from: it has no limit
};

// Results: kth(), the kernel value of the k-th nearest so far, infinity before there are k; and `in_frontier`, whether it
// is the frontier that holds them.
template <class Results>
class PriceStop {
 public:
  PriceStop(const PriceRule& rule, Results results) : rule_(rule), results_(results) {}

  template <class Frontier>
  bool operator()(const SearchProgress& progress, Frontier& frontier) const {
    const float kth = results_.kth();
    const float distance = kth + rule_.offset;
    if (!(distance <= rule_.farthest)) return false;
    const auto paid = static_cast<float>(progress.distances);
    const float keep = Results::in_frontier ? std::nextafter(kth, infinity) : -infinity;
    if (paid >= rule_.budget) {
      frontier.limit(-infinity, keep);
      return false;
    }
    const float room = std::max(rule_.threshold - std::log2(paid), 0.0f);
    const float expand = std::max(distance, 0.0f) * room / rule_.weight - rule_.offset;
    frontier.limit(expand, keep);
    return false;
  }

 private:
  const PriceRule& rule_;
  Results results_;
};

}  // namespace fastcbir
