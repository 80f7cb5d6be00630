// ListStop: the learned rule of inverted lists, boosted trees or a linear form of what is known between two lists. Floor 3.
//
// A search goes on while log2(distances) - gain < threshold, where gain is the predicted log-odds (base 2) of what half as
// many lists again would find. One forest serves all recalls: the threshold is the price of a distance.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "fastcbir/core/types.hpp"
#include "fastcbir/kernels/dispatch.hpp"
#include "fastcbir/search/inverted_scorers.hpp"
#include "fastcbir/search/progress.hpp"
#include "fastcbir/stop/forest.hpp"

namespace fastcbir {

// The columns of a trace of lists; the first five as a graph's (trace.hpp).
struct ListStep {
  float distances;
  float next;   // value of the next list's centroid
  float lists;  // scanned so far
  float kth;    // value of the k-th nearest so far, by estimates: the last that would be compared exactly
  float found;
  float features[kernels::forest_features];
};
inline constexpr std::size_t list_step_columns = sizeof(ListStep) / sizeof(float);

// Follows a search of lists. Nothing in it has a unit or names the query, so that what is learned carries over.
class ListWatch {
 public:
  explicit ListWatch(float offset) : offset_(offset) {}

  // After each list. probes: in the order of scanning; bound: kernel value of the k-th nearest so far. False before there
  // are k, and after the last list.
  bool observe(const SearchProgress& progress, const std::vector<Probe>& probes, float bound) {
    const std::size_t lists = progress.expansions;
    if (bound < last_bound_) {
      const float fall = last_bound_ == infinity ? 1.0f : (last_bound_ - bound) / positive(bound);
      trend_ += share * (std::min(fall, 1.0f) - trend_);
      last_fall_ = lists;
      last_bound_ = bound;
    } else {
      trend_ -= share * trend_;
    }
    if (bound == infinity || lists >= probes.size()) return false;
    const float kth = positive(bound);
    const float first = positive(probes.front().value);
    const float next = positive(probes[lists].value);
    features[0] = (std::sqrt(next) - std::sqrt(first)) / std::sqrt(kth);
    features[1] = std::min(next / kth, most);
    features[2] = std::min(first / kth, most);
    features[3] = std::min(next / first, most);
    features[4] = std::log2(1 + static_cast<float>(lists));
    features[5] = std::log2(1 + static_cast<float>(lists - last_fall_));
    features[6] = trend_;
    features[7] = std::log2(static_cast<float>(progress.distances));
    return true;
  }

  float positive(float value) const { return std::max(value + offset_, least); }

  alignas(32) float features[kernels::forest_features] = {};

 private:
  static constexpr float share = 0.2f;
  static constexpr float least = 1e-20f;
  static constexpr float most = 1e6f;

  float offset_;
  float last_bound_ = infinity;
  std::size_t last_fall_ = 0;
  float trend_ = 0;
};

class ListStop {
 public:
  ListStop(const Forest& forest, float threshold, float offset, float farthest, const std::vector<Probe>& probes)
      : forest_(forest), threshold_(threshold), farthest_(farthest - offset), probes_(probes), watch_(offset) {}

  template <class Sink>
  bool operator()(const SearchProgress& progress, const Sink& sink) {
    const float bound = sink.bound();
    if (!watch_.observe(progress, probes_, bound) || !(bound <= farthest_)) return false;
    stopped = watch_.features[7] - forest_.gain(watch_.features) >= threshold_;
    return stopped;
  }

  bool stopped = false;

 private:
  const Forest& forest_;
  float threshold_;
  float farthest_;
  const std::vector<Probe>& probes_;
  ListWatch watch_;
};

// So many lists.
struct ListCountStop {
  std::size_t lists;
  bool stopped = false;

  template <class Sink>
  bool operator()(const SearchProgress& progress, const Sink&) {
    stopped = progress.expansions >= lists;
    return stopped;
  }
};

// Found: how many of the true k nearest a search would have, if it ended now.
template <class Found>
class ListTrace {
 public:
  ListTrace(std::vector<ListStep>& steps, float offset, const std::vector<Probe>& probes, Found found)
      : steps_(steps), probes_(probes), watch_(offset), found_(found) {}

  template <class Sink>
  bool operator()(const SearchProgress& progress, const Sink& sink) {
    ListStep step{};
    const float bound = sink.bound();
    const bool known = watch_.observe(progress, probes_, bound);
    step.distances = static_cast<float>(progress.distances);
    step.next = known ? watch_.positive(probes_[progress.expansions].value) : infinity;
    step.lists = static_cast<float>(progress.expansions);
    step.kth = bound == infinity ? infinity : watch_.positive(bound);
    step.found = static_cast<float>(found_());
    if (known) std::copy_n(watch_.features, kernels::forest_features, step.features);
    steps_.push_back(step);
    return false;
  }

  bool stopped = false;

 private:
  std::vector<ListStep>& steps_;
  const std::vector<Probe>& probes_;
  ListWatch watch_;
  Found found_;
};

}  // namespace fastcbir
