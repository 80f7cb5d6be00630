#include "fastcbir/stop/stop_model.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "fastcbir/search/packed_expander.hpp"

namespace fastcbir {
namespace {

constexpr std::uint32_t model_version = 3;  // 1 had no filters, budgets and shadow searches; 2 had no widths
constexpr std::uint32_t graph_kind = 2;     // as in a file's header
constexpr std::uint32_t most_curves = 256;
constexpr std::uint32_t most_points = 4096;
constexpr std::uint32_t most_k = 10000;
constexpr float no_budget = 3e38f;
constexpr float most_width = 1e6f;

struct ModelHeader {
  std::uint32_t version;
  StopModel::Fingerprint fingerprint;
  std::uint64_t vectors;
  std::uint64_t removed;
  double learned_at;  // seconds since 1970
  float largest_norm;
  float margin;
  std::uint32_t curves;
  std::uint32_t own_queries;  // drawn from the index's own vectors
  std::uint32_t given_queries;
  std::uint32_t forests;
  std::uint32_t shadow_every;
  std::uint32_t reserved;
};
static_assert(sizeof(ModelHeader) == 80);

struct CurveHeader {
  std::uint32_t rule;
  std::uint32_t k;
  std::uint32_t cap;
  std::uint32_t queries;
  std::uint32_t points;
  float weight;
  float farthest;
  std::int32_t forest;
};
static_assert(sizeof(CurveHeader) == 32);
struct CurveExtras {  // since version 2
  float least_share;
  float most_share;
};
static_assert(sizeof(CurveExtras) == 8);

// What a forest's features are, as they stand in its header: one that knows others is refused.
constexpr char list_features[] = "gap next/k first/k next/first lists since trend distances";

struct ForestHeader {
  char features[64];
  std::uint32_t blocks;
  float bias;
  float linear[kernels::forest_features];
  std::uint32_t reserved[6];
};
static_assert(sizeof(ForestHeader) == 128);
constexpr std::uint32_t most_forests = 64;
constexpr std::uint32_t most_blocks = 64;

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument("the learned stop model " + why); }

class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : left_(bytes) {}

  template <class T>
  T one() {
    T value;
    take(&value, sizeof(T));
    return value;
  }
  template <class T>
  std::vector<T> many(std::size_t count) {
    std::vector<T> values(count);
    take(values.data(), count * sizeof(T));
    return values;
  }
  bool done() const { return left_.empty(); }

  void take(void* to, std::size_t size) {
    if (size > left_.size()) refuse("ends early");
    if (size > 0) std::memcpy(to, left_.data(), size);
    left_ = left_.subspan(size);
  }

 private:
  std::span<const std::byte> left_;
};

StopCurve read_curve(Cursor& cursor, std::uint32_t version, float margin) {
  const auto header = cursor.one<CurveHeader>();
  const auto extras = version >= 2 ? cursor.one<CurveExtras>() : CurveExtras{};
  if (header.rule > static_cast<std::uint32_t>(StopRule::forest)) {
    refuse("names a rule that this fastcbir does not know");
  }
  if (header.k == 0 || header.k > most_k || header.points == 0 || header.points > most_points || header.cap == 0 ||
      header.queries == 0 || !std::isfinite(header.weight) || !std::isfinite(header.farthest) ||
      !(extras.least_share >= 0 && extras.least_share <= extras.most_share && extras.most_share <= 1)) {
    refuse("has a curve with numbers out of range");
  }
  StopCurve curve{static_cast<StopRule>(header.rule),
                  header.k,
                  header.cap,
                  header.queries,
                  header.weight,
                  header.farthest,
                  header.forest,
                  extras.least_share,
                  extras.most_share,
                  {},
                  {},
                  {},
                  {},
                  {},
                  {}};
  if (curve.rule == StopRule::price && !(curve.weight > 0)) refuse("has a price rule without a weight");
  curve.thresholds = cursor.many<float>(header.points);
  curve.budgets = version >= 2 ? cursor.many<float>(header.points) : std::vector<float>(header.points, no_budget);
  curve.widths = version >= 3 ? cursor.many<float>(header.points)
                              : std::vector<float>(header.points, static_cast<float>(header.cap));
  curve.costs = cursor.many<float>(header.points);
  curve.counts = cursor.many<std::uint32_t>(std::size_t{header.points} * (header.k + 1));
  if (!std::is_sorted(curve.thresholds.begin(), curve.thresholds.end()) ||
      !std::all_of(curve.thresholds.begin(), curve.thresholds.end(), [](float x) { return std::isfinite(x); })) {
    refuse("has thresholds that do not ascend");
  }
  if (!std::is_sorted(curve.budgets.begin(), curve.budgets.end()) ||
      !std::all_of(curve.budgets.begin(), curve.budgets.end(), [](float x) { return x > 0 && x < infinity; })) {
    refuse("has budgets that do not ascend");
  }
  if (!std::is_sorted(curve.widths.begin(), curve.widths.end()) ||
      !std::all_of(curve.widths.begin(), curve.widths.end(), [&](float x) { return x >= 1 && x <= most_width; })) {
    refuse("has widths that do not ascend");
  }
  if (curve.rule == StopRule::plain && (curve.thresholds.front() < 1 || curve.thresholds.back() > most_width)) {
    refuse("has a plain rule with numbers out of range");
  }
  const double n = header.queries;
  curve.losses.resize(header.points);
  for (std::size_t at = 0; at < header.points; ++at) {
    std::uint64_t queries = 0;
    double squares = 0;
    for (std::size_t found = 0; found <= header.k; ++found) {
      const std::uint32_t count = curve.counts[at * (header.k + 1) + found];
      const double recall = static_cast<double>(found) / header.k;
      queries += count;
      squares += count * (1 - recall) * (1 - recall);
    }
    if (queries != header.queries) refuse("has counts that do not add up");
    // Conformal risk control (Angelopoulos et al., 2022): the worst that one more query could do is added. The margin
    // keeps the promise clear of the luck of which queries were held out.
    const double loss = 1 - curve.recall(at);
    const double deviation = std::sqrt(std::max(squares / n - loss * loss, 0.0) / n);
    curve.losses[at] = static_cast<float>((n * loss + 1) / (n + 1) + margin * deviation);
  }
  // Where more effort lost something by chance, less is not trusted either.
  for (std::size_t at = header.points - 1; at-- > 0;) {
    curve.losses[at] = std::max(curve.losses[at], curve.losses[at + 1]);
  }
  return curve;
}

Forest read_forest(Cursor& cursor) {
  const auto header = cursor.one<ForestHeader>();
  if (std::string(header.features, strnlen(header.features, sizeof header.features)) != list_features) {
    refuse("has a forest of other features than this fastcbir knows");
  }
  if (header.blocks > most_blocks) refuse("has a forest with numbers out of range");
  AlignedBuffer blocks;
  blocks.resize(header.blocks * sizeof(kernels::ForestBlock));
  cursor.take(blocks.data(), blocks.size());
  return Forest(header.bias, header.linear, std::move(blocks));
}

}  // namespace

double StopCurve::recall(std::size_t at) const {
  double found = 0;
  for (std::size_t i = 1; i <= k; ++i) found += static_cast<double>(counts[at * (k + 1) + i]) * static_cast<double>(i);
  return found / (static_cast<double>(queries) * k);
}

double StopCurve::share_below(std::size_t at, double recall) const {
  double below = 0;
  for (std::size_t i = 0; i <= k && static_cast<double>(i) < recall * k - 1e-6; ++i) below += counts[at * (k + 1) + i];
  return below / static_cast<double>(queries);
}

StopModel::StopModel(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {
  Cursor cursor(bytes_);
  const auto header = cursor.one<ModelHeader>();
  if (header.version == 0 || header.version > model_version) {
    refuse("is of version " + std::to_string(header.version) + "; this fastcbir knows versions up to " +
           std::to_string(model_version));
  }
  if (header.curves == 0 || header.curves > most_curves || !(header.margin >= 0) ||
      !std::isfinite(header.largest_norm)) {
    refuse("has numbers out of range");
  }
  fingerprint_ = header.fingerprint;
  vectors_ = header.vectors;
  removed_ = header.removed;
  largest_norm_ = header.largest_norm;
  margin_ = header.margin;
  shadow_every_ = header.version >= 2 ? header.shadow_every : 0;
  for (std::uint32_t i = 0; i < header.curves; ++i) curves_.push_back(read_curve(cursor, header.version, margin_));
  if (header.forests > most_forests) refuse("has numbers out of range");
  for (std::uint32_t i = 0; i < header.forests; ++i) forests_.push_back(read_forest(cursor));
  for (const StopCurve& curve : curves_) {
    if ((curve.rule == StopRule::forest) != (curve.forest >= 0) || curve.forest >= static_cast<int>(header.forests)) {
      refuse("has a rule without its forest");
    }
  }
  if (!cursor.done()) refuse("has more bytes than it should");
  // Trees of the first version knew another k-th nearest.
  if (header.version == 1) std::erase_if(curves_, [](const StopCurve& curve) { return curve.forest >= 0; });
  // Before the third, graphs with codes were not searched in this way for many results: nothing is promised of it.
  if (header.version < 3 && fingerprint_.kind == graph_kind && fingerprint_.code_bits > 0) {
    for (StopCurve& curve : curves_) {
      if (curve.k >= many_results) std::fill(curve.losses.begin(), curve.losses.end(), 1.0f);
    }
  }
  if (curves_.empty()) refuse("has rules of version 1 only, which are no more: call fit_stop() again");
  const auto before = [](const StopCurve& a, const StopCurve& b) {
    return a.least_share != b.least_share ? a.least_share < b.least_share : a.k < b.k;
  };
  if (!std::is_sorted(curves_.begin(), curves_.end(), before)) refuse("has curves out of order");
}

// Those of the least k that is large enough, among those that were learned with such a filter. Empty if there are none;
// `begin` is then where those of its filters end, or null if there are none of these either.
StopModel::Range StopModel::curves_for(std::size_t k, float share) const {
  const auto of_filter = [&](const StopCurve& curve) {
    // A filter may be somewhat stricter or laxer than those learned from.
    constexpr float near = 1.25f;
    return share == 0 ? curve.most_share == 0
                      : curve.least_share > 0 && share * near >= curve.least_share && share <= curve.most_share * near;
  };
  const StopCurve* const all_end = curves_.data() + curves_.size();
  const StopCurve* const first = std::find_if(curves_.data(), all_end, of_filter);
  if (first == all_end) return {nullptr, nullptr};
  const StopCurve* const end =
      std::find_if(first, all_end, [&](const StopCurve& curve) { return curve.least_share != first->least_share; });
  const StopCurve* const begin = std::find_if(first, end, [&](const StopCurve& curve) { return curve.k >= k; });
  return {begin, std::find_if(begin, end, [&](const StopCurve& curve) { return curve.k != begin->k; })};
}

StopPlan StopModel::farthest(const StopQuestion& question, StopReason reason, float estimate) const {
  Range range = curves_for(question.k, question.share);
  if (range.begin == nullptr) range = curves_for(question.k, 0);
  // Of each k the first curve is the plain one; beyond the largest k, its own.
  const StopCurve* longest = range.begin;
  if (range.begin == nullptr || range.begin == range.end) {
    longest = range.begin == nullptr ? &curves_.back() : range.begin - 1;
    while (longest != curves_.data() && longest->rule != StopRule::plain) --longest;
  }
  for (const StopCurve* curve = range.begin; curve != range.end; ++curve) {
    if (curve->rule == StopRule::plain) longest = curve;
  }
  return {reason,
          longest,
          nullptr,
          longest->thresholds.back(),
          longest->budgets.back(),
          longest->cap,
          longest->costs.back(),
          estimate};
}

// What a search costs at a threshold, in distances, with what deciding costs beside them: so a rule is taken only where it
// saves time. Measured on vectors of 96 dimensions. Plain searches by codes look ahead, which saves a fifth of their time.
float StopModel::price_of(const StopCurve& curve, std::size_t at) const {
  const float distances = curve.costs[at];
  const bool coded = fingerprint_.code_bits > 0;
  if (curve.rule == StopRule::plain) return distances;
  if (curve.rule == StopRule::price) return distances * (coded ? 1.5f : 1.02f);
  const float all_decisions = coded ? 1600.0f : 100.0f;
  return distances + all_decisions * 96 / static_cast<float>(fingerprint_.dim);
}

StopPlan StopModel::plan(const StopQuestion& question) const {
  constexpr float unknown = std::numeric_limits<float>::quiet_NaN();
  const StopTarget& target = question.target;
  constexpr double growth = 1.5;
  constexpr double loss = 0.2;
  const auto then = static_cast<double>(vectors_);
  const auto now = static_cast<double>(question.present);
  if (now > growth * then || now < (1 - loss) * then ||
      static_cast<double>(question.removed) > static_cast<double>(removed_) + loss * then) {
    return farthest(question, StopReason::aged, unknown);
  }
  const Range range = curves_for(question.k, question.share);
  if (range.begin == nullptr) return farthest(question, StopReason::filtered, unknown);
  if (range.begin == range.end) return farthest(question, StopReason::beyond_k, unknown);

  const auto estimate = [&](const StopCurve& curve, std::size_t at) {
    return static_cast<float>(target.probability == 0 ? curve.recall(at) : 1 - curve.share_below(at, target.recall));
  };
  const StopCurve* best = nullptr;
  std::size_t best_at = 0;
  float best_cost = 0;
  for (const StopCurve* curve = range.begin; curve != range.end; ++curve) {
    const std::size_t first = first_kept(*curve, target);
    if (first == curve->thresholds.size()) continue;
    // A search by codes that is hardly wider than k may have to be repeated: then more effort costs less.
    const auto cheapest =
        std::min_element(curve->costs.begin() + static_cast<std::ptrdiff_t>(first), curve->costs.end());
    const auto at = static_cast<std::size_t>(cheapest - curve->costs.begin());
    const float cost = price_of(*curve, at);
    if (best != nullptr && best_cost <= cost) continue;
    best = curve;
    best_at = at;
    best_cost = cost;
  }
  if (best == nullptr) {
    float reachable = 0;
    for (const StopCurve* curve = range.begin; curve != range.end; ++curve) {
      reachable = std::max(reachable, estimate(*curve, curve->thresholds.size() - 1));
    }
    return farthest(question, StopReason::unreachable, reachable);
  }
  const Forest* forest = best->rule == StopRule::forest ? &forests_[static_cast<std::size_t>(best->forest)] : nullptr;
  return {StopReason::target,
          best,
          forest,
          best->thresholds[best_at],
          best->budgets[best_at],
          static_cast<std::uint32_t>(best->widths[best_at]),
          best->costs[best_at],
          estimate(*best, best_at)};
}

// The least effort from which on the target is kept; the number of thresholds if none is enough.
std::size_t StopModel::first_kept(const StopCurve& curve, const StopTarget& target) const {
  if (target.probability == 0) {
    const auto kept = std::partition_point(curve.losses.begin(), curve.losses.end(),
                                           [&](float loss) { return loss > 1 - target.recall + 1e-7f; });
    return static_cast<std::size_t>(kept - curve.losses.begin());
  }
  const double n = curve.queries;
  std::size_t at = curve.thresholds.size();
  for (; at > 0; --at) {
    const double below = curve.share_below(at - 1, target.recall);
    const double margin = margin_ * std::sqrt(below * (1 - below) / n);
    if ((n * below + 1) / (n + 1) + margin > 1 - target.probability + 1e-7) break;
  }
  return at;
}

}  // namespace fastcbir
