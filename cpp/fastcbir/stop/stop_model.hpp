// StopModel: what was learned about an index: how far a search must go for a recall, and how sure that is. Floor 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fastcbir/core/types.hpp"
#include "fastcbir/stop/forest.hpp"

namespace fastcbir {

enum class StopRule : std::uint32_t { plain = 0, price = 1, forest = 2 };

// Why a search went as far as it did, for those who asked for a recall.
enum class StopReason : std::uint8_t {
  none = 0,         // no recall was asked for
  target = 1,       // by the learned rule: what was asked for is promised
  exact = 2,        // everything was compared
  unreachable = 3,  // no more can be promised than `estimated_recall`: searched as far as was learned about
  beyond_k = 4,     // k is larger than any learned about
  filtered = 5,     // filters like this were not learned about
  aged = 6,         // the index has grown or shrunk too much since
  unlike = 7,       // this query lies further from everything than those learned from
};

// How searches for one k end at one rule's thresholds, on held-out queries.
struct StopCurve {
  StopRule rule;
  std::uint32_t k;
  std::uint32_t cap;      // ef or nprobe of the search that the rule shortens; of a plain one, the largest threshold
  std::uint32_t queries;  // held out for calibration
  float weight;           // of a price rule
  float farthest;         // see PriceRule
  std::int32_t forest;    // of a forest rule, else -1
  // Of searches with a filter that lets through between these shares of the vectors; both 0: of those without one.
  float least_share;
  float most_share;
  std::vector<float> thresholds;      // ascending: the further on, the longer the search; of a plain rule ef or nprobe
  std::vector<float> budgets;         // ascending: a search that has paid so many distances ends, whatever its score
  std::vector<float> widths;          // ascending: ef of a price rule's beam, wider than a plain one would need
  std::vector<float> costs;           // mean distances of a query at each, on the design queries
  std::vector<std::uint32_t> counts;  // at each threshold k + 1 of them: queries that found 0, 1, .. k of their k
  std::vector<float> losses;          // at each threshold 1 - mean recall, corrected (see stop_model.cpp)

  double recall(std::size_t at) const;                      // mean, not corrected
  double share_below(std::size_t at, double recall) const;  // of queries with a recall below
};

struct StopTarget {
  float recall = 0;       // 0: none
  float probability = 0;  // 0: the mean recall is to reach it; else each query's, with this probability
  bool given() const { return recall > 0; }
};

// What a search does for a target.
struct StopPlan {
  StopReason reason;
  const StopCurve* curve;  // null for exact
  const Forest* forest;    // of a forest rule, else null
  float threshold;
  float budget;            // see StopCurve
  std::uint32_t width;     // see StopCurve
  float cost;              // mean distances expected
  float estimated_recall;  // mean recall, or probability of a query to reach the target; NaN: unknown
};

// What a search is like, as far as promises depend on it.
struct StopQuestion {
  StopTarget target;
  std::size_t k;
  float share = 0;          // of the vectors, that a filter lets through; 0: no filter
  std::size_t present = 0;  // vectors now in the index
  std::size_t removed = 0;  // of them, or of earlier ones, taken out since
};

class StopModel {
 public:
  // Takes the bytes of an .fcx file's STOP section. Throws std::invalid_argument saying what is wrong with them.
  explicit StopModel(std::vector<std::byte> bytes);

  struct Fingerprint {
    std::uint32_t kind;
    std::uint32_t dim;
    std::uint32_t metric;
    std::uint32_t scalar_type;
    std::uint32_t code_bits;
    bool operator==(const Fingerprint&) const = default;
  };
  const Fingerprint& fingerprint() const { return fingerprint_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  float largest_norm() const { return largest_norm_; }

  // One in so many searches by recall is to be checked (see shadow.hpp); 0: none.
  std::uint32_t shadow_every() const { return shadow_every_; }

  StopPlan plan(const StopQuestion& question) const;
  // As far as was learned about: what a search does that can't promise anything.
  StopPlan farthest(const StopQuestion& question, StopReason reason, float estimate) const;

 private:
  struct Range {
    const StopCurve* begin;
    const StopCurve* end;
  };
  Range curves_for(std::size_t k, float share) const;
  float price_of(const StopCurve& curve, std::size_t at) const;
  std::size_t first_kept(const StopCurve& curve, const StopTarget& target) const;

  std::vector<std::byte> bytes_;
  Fingerprint fingerprint_{};
  std::uint64_t vectors_ = 0;  // in the index when it was learned
  std::uint64_t removed_ = 0;
  float largest_norm_ = 0;
  float margin_ = 0;  // standard errors that a promise keeps clear of its target
  std::uint32_t shadow_every_ = 0;
  std::vector<StopCurve> curves_;  // by filter, then by k
  std::vector<Forest> forests_;
};

}  // namespace fastcbir
