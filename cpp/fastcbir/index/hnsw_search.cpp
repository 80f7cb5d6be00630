// How HnswIndex searches: descent, expander, frontier and stop policy put together.
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "fastcbir/core/parallel.hpp"
#include "fastcbir/index/hnsw_index.hpp"
#include "fastcbir/kernels/dispatch.hpp"
#include "fastcbir/search/gather_expander.hpp"
#include "fastcbir/search/greedy_search.hpp"
#include "fastcbir/search/packed_expander.hpp"
#include "fastcbir/search/scan_lists.hpp"
#include "fastcbir/stop/policy.hpp"
#include "fastcbir/stop/price_stop.hpp"
#include "fastcbir/stop/trace.hpp"

namespace fastcbir {
namespace {

// Where a search has its results, as stop policies ask for them.
struct InTopK {
  static constexpr bool in_frontier = false;
  SortedTopK& results;

  float kth() const { return results.bound(); }
  void append_values(std::vector<float>& values) const {
    for (const Neighbor& found : results.sorted()) values.push_back(found.distance);
  }
};
struct InBeam {
  static constexpr bool in_frontier = true;
  const SortedBeam& beam;
  std::size_t k;

  float kth() const { return beam.size() < k ? infinity : beam[k - 1].distance; }
  void append_values(std::vector<float>& values) const {
    for (std::size_t rank = 0; rank < std::min(k, beam.size()); ++rank) values.push_back(beam[rank].distance);
  }
};
struct InHeap {
  static constexpr bool in_frontier = true;
  const HeapFrontier& heap;

  float kth() const { return heap.kth(); }
  void append_values(std::vector<float>& values) const {
    for (const Neighbor& found : heap.nearest_k()) values.push_back(found.distance);
  }
};

struct Unlimited {
  static constexpr bool looks_ahead = true;  // by codes, see greedy_search
  template <class Results>
  NeverStop over(Results, const auto&) const {
    return {};
  }
};
struct WithBudget {
  static constexpr bool looks_ahead = true;
  std::uint32_t max_distances;
  template <class Results>
  BudgetStop over(Results, const auto&) const {
    return {max_distances};
  }
};
struct AtAPrice {
  static constexpr bool looks_ahead = false;
  PriceRule rule;
  template <class Results>
  PriceStop<Results> over(Results results, const auto&) const {
    return {rule, results};
  }
};
struct Traced {
  static constexpr bool looks_ahead = false;
  std::vector<GraphStep>& steps;
  std::size_t k;
  float offset;
  float true_kth;
  bool detailed;
  template <class Results>
  TraceStop<Results> over(Results results, const auto&) const {
    return {steps, k, offset, true_kth, detailed, results};
  }
};

}  // namespace

bool HnswIndex::collects(std::size_t k, const NodeBitset* passing) const {
  return has_codes() && passing == nullptr && k >= many_results;
}

std::size_t HnswIndex::effective_ef(const SearchOptions& options, std::size_t k, const NodeBitset* passing) const {
  if (options.ef == 0) return std::max(default_ef, k);
  return std::max(options.ef, collects(k, passing) ? (k + 1) / 2 : k);
}

// Through the graph, about ef / share nodes are expanded before ef that pass are found, m new distances each; one by
// one, passing_count distances are computed. With share = passing_count / n, both cost the same at this square.
bool HnswIndex::scan_is_cheaper(std::size_t passing_count, std::size_t ef) const {
  const double through_graph = static_cast<double>(ef) * params_.m * static_cast<double>(vectors_.size());
  return static_cast<double>(passing_count) * static_cast<double>(passing_count) <= through_graph;
}

HnswIndex::Start HnswIndex::start(Scratch& scratch, SearchProgress& progress) const {
  if (!has_codes()) return {descend(scratch, progress), false, {}};
  const kernels::PackedQuery packed = codec_->prepare(scratch.query.data(), scratch.packed);
  const NodeId nearest = entry_points_.nearest(kernels::active().packed, packed, scratch.neighborhood.keys.data());
  scratch.visited.begin(vectors_.size());
  const float value = space_.kernels().one(scratch.query.data(), vectors_.row(nearest), space_.dim());
  return {{value, nearest}, true, packed};
}

Neighbor HnswIndex::descend(Scratch& scratch, SearchProgress& progress) const {
  const auto expander = [&](std::size_t level) {
    return GatherExpander(graph_.links, level, vectors_, space_.kernels(), space_.dim(), scratch.query.data());
  };
  const std::size_t top = graph_.links.level_of(graph_.entry);
  Neighbor nearest{expander(0).value(graph_.entry), graph_.entry};
  ++progress.distances;
  scratch.visited.begin(vectors_.size());
  scratch.visited.insert(nearest.node);
  for (std::size_t level = top; level > 0; --level) {
    nearest = greedy_descent(expander(level), nearest, scratch.visited, progress, scratch.neighborhood);
  }
  scratch.visited.begin(vectors_.size());
  return nearest;
}

// As many nodes as half of ef are expanded, which find most others of the nearest k by their codes alone.
void HnswIndex::collect(Neighbor start, std::size_t k, std::size_t ef, const PackedRecords& records, Scratch& scratch,
                        SearchProgress& progress) const {
  scratch.beam.reset(ef / 2);
  scratch.beam.push(start.distance, start.node);
  scratch.collected.reset(k / 2 + ef, Candidates::Keep::with_slack);
  Key first = key_of(start.distance, start.node);
  scratch.collected.push(&first, 1);
  scratch.visited.insert(start.node);
  greedy_search<nodes_ahead>(CollectingExpander(records, scratch.beam, scratch.collected), scratch.visited,
                             scratch.beam, NeverStop{}, progress, scratch.neighborhood);
  std::vector<NodeId>& nodes = scratch.nodes;
  nodes.clear();
  scratch.collected.for_each([&](NodeId node) { nodes.push_back(node); });
  scratch.values.resize(nodes.size());
  GatherExpander(graph_.links, 0, vectors_, space_.kernels(), space_.dim(), scratch.query.data())
      .score(nodes.data(), nodes.size(), scratch.values.data());
  progress.distances += static_cast<std::uint32_t>(nodes.size());
  std::vector<Key>& keys = scratch.keys;
  keys.clear();
  for (std::size_t i = 0; i < nodes.size(); ++i) keys.push_back(key_of(scratch.values[i], nodes[i]));
  scratch.results.reset(k);
  scratch.results.push(keys.data(), keys.size());
  const auto found = scratch.results.sorted();
  scratch.found.assign(found.begin(), found.end());
}

template <class Policies>
void HnswIndex::search_from(const Start& start, std::size_t k, std::size_t ef, const NodeBitset* passing,
                            const Policies& policies, NodeId hidden, Scratch& scratch, SearchProgress& progress) const {
  scratch.found.clear();
  if (hidden != no_node) scratch.visited.insert(hidden);
  const auto walk = [&](const auto& expander, auto& frontier, auto results) {
    constexpr std::size_t ahead = Policies::looks_ahead && !decltype(results)::in_frontier ? nodes_ahead : 0;
    frontier.push(start.node.distance, start.node.node);
    greedy_search<ahead>(expander, scratch.visited, frontier, policies.over(results, frontier), progress,
                         scratch.neighborhood);
  };
  if (start.by_codes) {
    const PackedRecords records(graph_.links, vectors_, space_.kernels(), space_.dim(), scratch.query.data(),
                                kernels::active().packed, start.packed);
    const auto walk_packed = [&](auto& frontier) {
      scratch.results.reset(k);
      walk(PackedExpander(records, frontier, passing, scratch.results), frontier, InTopK{scratch.results});
      const auto found = scratch.results.sorted();
      scratch.found.assign(found.begin(), found.end());
    };
    // A node may stand in the frontier several times, so that ef places may hold fewer than ef nodes: of ten, seldom.
    constexpr std::size_t few = 12;
    const bool all_wanted = std::is_same_v<Policies, Unlimited>;
    const bool collected = all_wanted && collects(k, passing);
    std::size_t width = std::max(ef, k > few ? 2 * k : k);
    for (int attempt = 0; attempt < 2; ++attempt) {
      if (passing != nullptr) {
        scratch.heap.reset(width, passing);
        walk_packed(scratch.heap);
      } else if (!collected) {
        scratch.beam.reset(width);
        walk_packed(scratch.beam);
      } else {
        collect(start.node, k, attempt == 0 ? ef : width, records, scratch, progress);
      }
      if (!all_wanted || scratch.found.size() >= std::min(k, vectors_.size())) return;
      // Once more with more places, and then by rows, of which none is met twice.
      width *= 2;
      scratch.visited.begin(vectors_.size());
      if (hidden != no_node) scratch.visited.insert(hidden);
    }
    scratch.found.clear();
  }
  const GatherExpander expander(graph_.links, 0, vectors_, space_.kernels(), space_.dim(), scratch.query.data());
  scratch.visited.insert(start.node.node);
  ef = std::max(ef, k);
  if (passing == nullptr) {
    scratch.beam.reset(ef);
    walk(expander, scratch.beam, InBeam{scratch.beam, k});
    for (std::size_t rank = 0; rank < std::min(k, scratch.beam.size()); ++rank) {
      scratch.found.push_back(scratch.beam[rank]);
    }
  } else {
    scratch.heap.reset(ef, passing, -infinity, k);
    walk(expander, scratch.heap, InHeap{scratch.heap});
    const auto found = scratch.heap.nearest();
    scratch.found.assign(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(std::min(k, found.size())));
  }
}

template <class Policies>
void HnswIndex::search_one(const Batch& batch, std::size_t query_index, std::size_t ef, const Policies& policies,
                           Scratch& scratch) const {
  // A rule learned for a larger k goes by that one's k-th nearest.
  const std::size_t k = batch.plan.curve != nullptr ? std::max<std::size_t>(batch.plan.curve->k, batch.k) : batch.k;
  SearchProgress progress;
  search_from(start(scratch, progress), k, ef, batch.passing, policies, no_node, scratch, progress);
  emit(batch.output, batch.k, query_index, scratch.query, scratch.found, progress.distances);
}

void HnswIndex::search_batch(const Batch& batch) const {
  const StopPlan& plan = batch.plan;
  const bool priced = plan.curve != nullptr && plan.curve->rule == StopRule::price;
  std::size_t ef = effective_ef(batch.options, batch.k, batch.passing);
  if (plan.curve != nullptr) {
    ef = std::max<std::size_t>(priced ? plan.width : static_cast<std::size_t>(plan.threshold), plan.curve->k);
    ef = std::max(ef, batch.k);
  }
  const bool scan = plan.reason == StopReason::target
                        ? batch.few_pass()
                        : batch.passing != nullptr && scan_is_cheaper(batch.passing_count, ef);
  std::vector<NodeId> named;
  if (scan) batch.passing->for_each([&](std::size_t node) { named.push_back(static_cast<NodeId>(node)); });
  const auto budget = static_cast<std::uint32_t>(batch.options.max_distances);

  parallel_for(
      batch.count, 1, batch.options.threads, batch.options.monitor,
      [&](std::size_t, std::size_t begin, std::size_t end) {
        auto lease = scratch_.lease();
        Scratch& scratch = *lease;
        scratch.neighborhood.reserve(max_links);
        for (; begin < end; ++begin) {
          space_.prepare(batch.queries + begin * space_.input_bytes(), scratch.query);
          if (scan) {
            SortedTopK nearest;
            nearest.reset(batch.k);
            SearchProgress progress;
            scan_lists(NamedScorer(named, vectors_, space_.kernels(), space_.dim(), scratch.query.data()), nullptr,
                       nearest, NeverStop{}, progress);
            emit(batch.output, batch.k, begin, scratch.query, nearest.sorted(), progress.distances);
            if (batch.output.reasons != nullptr) promise_exact(batch.output, begin);
          } else if (priced) {
            const float offset = space_.nearness_offset(scratch.query, batch.largest_norm);
            const AtAPrice policies{{plan.curve->weight, plan.threshold, plan.budget, offset, plan.curve->farthest}};
            const auto unlike = [&] {
              return scratch.found.empty() || scratch.found.back().distance + offset > plan.curve->farthest;
            };
            search_one(batch, begin, ef, policies, scratch);
            if (unlike()) {
              const std::uint32_t paid = batch.output.cost[begin];
              search_one(batch, begin, std::max<std::size_t>(plan.curve->cap, ef), policies, scratch);
              batch.output.cost[begin] += paid;
              if (unlike()) promise_nothing(batch.output, begin, StopReason::unlike);
            }
          } else if (budget > 0) {
            search_one(batch, begin, ef, WithBudget{budget}, scratch);
          } else {
            search_one(batch, begin, ef, Unlimited{}, scratch);
          }
        }
      });
}

std::vector<Neighbor> HnswIndex::search_range(const PreparedQuery& query, float radius, const SearchOptions& options,
                                              const NodeBitset* passing) const {
  auto lease = scratch_.lease();
  Scratch& scratch = *lease;
  scratch.neighborhood.reserve(max_links);
  scratch.query.buffer.resize(query.buffer.size());
  std::copy_n(query.buffer.data(), query.buffer.size(), scratch.query.buffer.data());
  SearchProgress progress;
  const Neighbor start = descend(scratch, progress);
  scratch.visited.insert(start.node);
  scratch.heap.reset(effective_ef(options, 1, passing), passing, radius);
  scratch.heap.push(start.distance, start.node);
  greedy_search(GatherExpander(graph_.links, 0, vectors_, space_.kernels(), space_.dim(), query.data()),
                scratch.visited, scratch.heap, NeverStop{}, progress, scratch.neighborhood);
  const std::span<const Neighbor> found = scratch.heap.within_radius();
  return {found.begin(), found.end()};
}

// Nodes of upper levels lead the way down, and some are where searches begin: one could not do without them.
bool HnswIndex::may_be_query(NodeId node) const {
  return graph_.links.level_of(node) == 0 && !(has_codes() && entry_points_.contains(node));
}

// Searches that collect know their results in the end only, and how far one with a smaller ef goes that looks ahead can't be
// told from one with a larger: a step is a search of its own.
void HnswIndex::trace_searches(const Start& first, const TraceRequest& request, NodeId own, float true_kth,
                               const NodeBitset* passing, Scratch& scratch, const SearchProgress& before,
                               std::vector<GraphStep>& steps) const {
  const std::size_t cap = std::max(request.cap, request.k);
  for (std::size_t ef = request.k; ef <= cap;) {
    // Few more nodes find much more where ef is small, and such searches are quick.
    const std::size_t part = request.k >= many_results || ef >= 256 ? 4 : ef >= 64 ? 8 : 64;
    const std::size_t next = ef == cap ? cap + 1 : std::min(ef + std::max<std::size_t>(ef / part, 1), cap);
    SearchProgress progress = before;
    scratch.visited.begin(vectors_.size());
    search_from(first, request.k, ef, passing, Unlimited{}, own, scratch, progress);
    GraphStep step{};
    step.distances = static_cast<float>(progress.distances);
    step.next = step.kth = infinity;
    step.rank = static_cast<float>(next - 1);  // any smaller ef than the next step's is answered by this one
    step.found = static_cast<float>(std::count_if(scratch.found.begin(), scratch.found.end(),
                                                  [&](const Neighbor& found) { return found.distance <= true_kth; }));
    steps.push_back(step);
    ef = next;
  }
}

void HnswIndex::trace_batch(const TraceRequest& request, std::span<const NodeId> own, const NodeBitset* passing,
                            Traces& traces) const {
  traces.columns = request.detailed ? graph_step_columns : brief_step_columns;
  parallel_for(
      request.count, 1, request.threads, request.monitor, [&](std::size_t, std::size_t begin, std::size_t end) {
        auto lease = scratch_.lease();
        Scratch& scratch = *lease;
        scratch.neighborhood.reserve(max_links);
        std::vector<GraphStep> steps;
        for (; begin < end; ++begin) {
          const auto* query = static_cast<const std::byte*>(request.queries) + begin * space_.input_bytes();
          space_.prepare(query, scratch.query);
          SearchProgress progress;
          const Start first = start(scratch, progress);
          steps.clear();
          if (first.by_codes && (request.whole || collects(request.k, passing))) {
            trace_searches(first, request, own[begin], request.true_kth[begin], passing, scratch, progress, steps);
          } else {
            const float offset = space_.nearness_offset(scratch.query, request.largest_norm);
            search_from(first, request.k, std::max(request.cap, request.k), passing,
                        Traced{steps, request.k, offset, request.true_kth[begin], request.detailed}, own[begin],
                        scratch, progress);
          }
          std::vector<float>& row = traces.rows[begin];
          row.resize(steps.size() * traces.columns);
          for (std::size_t i = 0; i < steps.size(); ++i) {
            std::memcpy(row.data() + i * traces.columns, &steps[i], traces.columns * sizeof(float));
          }
        }
      });
}

}  // namespace fastcbir
