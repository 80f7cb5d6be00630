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
#include "fastcbir/search/candidates.hpp"
#include "fastcbir/search/inverted_scorers.hpp"
#include "fastcbir/search/progress.hpp"
#include "fastcbir/search/sorted_top_k.hpp"
#include "fastcbir/stop/forest.hpp"

namespace fastcbir {

// The columns of a trace of lists; the first five as a graph's (trace.hpp).
struct ListStep {
  float distances;
  float next;   // value of the next list's centroid
  float lists;  // scanned so far
  float kth;    // value of the k-th nearest so far, by estimates where there are codes
  float found;
  float features[kernels::forest_features];
};
inline constexpr std::size_t list_step_columns = sizeof(ListStep) / sizeof(float);

inline float kth_of(const SortedTopK& sink, std::size_t) { return sink.bound(); }  // it holds k
inline float kth_of(const Candidates& sink, std::size_t k) { return sink.kth(k); }

// Whether to decide after so many lists: a decision costs a part of a list, and later ones are worth less.
inline bool due_after(std::size_t lists) { return lists <= 8 || (lists <= 32 ? lists % 2 == 0 : lists % 4 == 0); }

// Follows a search of lists. Nothing in it has a unit or names the query, so that what is learned carries over.
class ListWatch {
 public:
  explicit ListWatch(float offset) : offset_(offset) {}

  // After each list. bound: kernel value of the k-th nearest so far.
  void note(const SearchProgress& progress, float bound) {
    const std::size_t lists = progress.expansions;
    if (bound < last_bound_) {
      const float fall = last_bound_ == infinity ? 1.0f : (last_bound_ - bound) / positive(bound);
      trend_ += share * (std::min(fall, 1.0f) - trend_);
      last_fall_ = lists;
      last_bound_ = bound;
    } else {
      trend_ -= share * trend_;
    }
  }

  // The features after noting that. probes: in the order of scanning. False before there are k, and after the last list.
  bool look(const SearchProgress& progress, const std::vector<Probe>& probes, float bound) {
    const std::size_t lists = progress.expansions;
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
  ListStop(const Forest& forest, float threshold, float budget, std::size_t k, float offset, float farthest,
           const std::vector<Probe>& probes)
      : forest_(forest),
        threshold_(threshold),
        budget_(budget),
        k_(k),
        farthest_(farthest - offset),
        probes_(probes),
        watch_(offset) {}

  template <class Sink>
  bool operator()(const SearchProgress& progress, const Sink& sink) {
    const float bound = kth_of(sink, k_);
    watch_.note(progress, bound);
    if (!due_after(progress.expansions) || !(bound <= farthest_) || !watch_.look(progress, probes_, bound))
      return false;
    stopped = static_cast<float>(progress.distances) >= budget_ ||
              watch_.features[7] - forest_.gain(watch_.features) >= threshold_;
    return stopped;
  }

  bool stopped = false;

 private:
  const Forest& forest_;
  float threshold_;
  float budget_;
  std::size_t k_;
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
  ListTrace(std::vector<ListStep>& steps, std::size_t k, float offset, const std::vector<Probe>& probes, Found found)
      : steps_(steps), k_(k), probes_(probes), watch_(offset), found_(found) {}

  template <class Sink>
  bool operator()(const SearchProgress& progress, const Sink& sink) {
    ListStep step{};
    const float bound = kth_of(sink, k_);
    watch_.note(progress, bound);
    const bool known = watch_.look(progress, probes_, bound);
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
  std::size_t k_;
  const std::vector<Probe>& probes_;
  ListWatch watch_;
  Found found_;
};

}  // namespace fastcbir
