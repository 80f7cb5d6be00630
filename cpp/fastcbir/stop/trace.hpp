// Trace: what a search knew after each step and what it had found by then; stop rules are learned from traces. Floor 3.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

#include "fastcbir/core/types.hpp"
#include "fastcbir/search/progress.hpp"

namespace fastcbir {

// One step (an expanded node) of a graph search. Values are kernel values + the rule's offset.
struct GraphStep {
  float distances;  // computed so far
  float next;       // value of the node that would be expanded next; infinity if none
  float rank;       // how many known nodes are nearer than that
  float kth;        // value of the k-th nearest so far; infinity before there are k
  float found;      // how many of the true k nearest are among the k nearest so far; ties count
  // Of detailed traces only:
  float nearest;   // value of the nearest so far
  float inserted;  // how many of the k nearest so far came in with this step
  float mean;      // of the k nearest so far: mean and variance of their values, and the quarters' borders
  float variance;
  float quarter;
  float half;
  float three_quarters;
};
inline constexpr std::size_t graph_step_columns = sizeof(GraphStep) / sizeof(float);
inline constexpr std::size_t brief_step_columns = 5;

// Results: append_values(values) appends the kernel values of the nearest so far, at most k, in any order.
template <class Results>
class TraceStop {
 public:
  TraceStop(std::vector<GraphStep>& steps, std::size_t k, float offset, float true_kth, bool detailed, Results results)
      : steps_(steps), k_(k), offset_(offset), true_kth_(true_kth), detailed_(detailed), results_(results) {}

  template <class Frontier>
  bool operator()(const SearchProgress& progress, const Frontier& frontier) {
    values_.clear();
    results_.append_values(values_);
    GraphStep step{};
    step.distances = static_cast<float>(progress.distances);
    step.next = frontier.next_value() + offset_;
    step.rank = static_cast<float>(frontier.next_rank());
    step.kth = values_.size() < k_ ? infinity : results_.kth() + offset_;
    step.found = static_cast<float>(
        std::count_if(values_.begin(), values_.end(), [&](float value) { return value <= true_kth_; }));
    if (detailed_) detail(step);
    steps_.push_back(step);
    return false;
  }

 private:
  void detail(GraphStep& step) {
    std::sort(values_.begin(), values_.end());
    fresh_.clear();
    std::set_difference(values_.begin(), values_.end(), before_.begin(), before_.end(), std::back_inserter(fresh_));
    step.inserted = static_cast<float>(fresh_.size());
    before_ = values_;
    const std::size_t count = values_.size();
    step.nearest = count == 0 ? infinity : values_[0] + offset_;
    if (count == 0) return;
    double sum = 0;
    double squares = 0;
    for (const float value : values_) {
      sum += value + offset_;
      squares += static_cast<double>(value + offset_) * (value + offset_);
    }
    const double mean = sum / static_cast<double>(count);
    step.mean = static_cast<float>(mean);
    step.variance = static_cast<float>(std::max(0.0, squares / static_cast<double>(count) - mean * mean));
    step.quarter = values_[count / 4] + offset_;
    step.half = values_[count / 2] + offset_;
    step.three_quarters = values_[3 * count / 4] + offset_;
  }

  std::vector<GraphStep>& steps_;
  std::size_t k_;
  float offset_;
  float true_kth_;
  bool detailed_;
  Results results_;
  std::vector<float> values_;
  std::vector<float> before_;
  std::vector<float> fresh_;
};

}  // namespace fastcbir
