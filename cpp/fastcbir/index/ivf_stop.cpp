// IvfIndex: searches by recall, and the traces that they are learned from. Floor 5.
#include <algorithm>
#include <cstring>
#include <functional>

#include "fastcbir/core/parallel.hpp"
#include "fastcbir/index/ivf_index.hpp"
#include "fastcbir/kernels/dispatch.hpp"
#include "fastcbir/search/inverted_scorers.hpp"
#include "fastcbir/search/scan_lists.hpp"
#include "fastcbir/stop/list_stop.hpp"
#include "fastcbir/stop/policy.hpp"

namespace fastcbir {
namespace {

// Lists are put in order so many at first, then twice as many: most searches by recall end early.
constexpr std::size_t first_stage = 8;
constexpr std::size_t surveyed_in_order = 32;  // so many, and slack, as all are looked at

// Of the nearest by estimates half as many again are compared exactly, as in choose_lists.
std::size_t with_slack(std::size_t lists) { return lists + lists / 2 + 8; }

// Takes all that come, and keeps the nearest in order: a sink of scan_lists.
struct SurveySink {
  std::vector<Key>& all;
  SortedBeam& nearest;

  float bound() const { return infinity; }
  void push(Key* keys, std::size_t count) {
    all.insert(all.end(), keys, keys + count);
    nearest.push(keys, count);
  }
};

}  // namespace

std::size_t IvfIndex::survey_lists(const void* query, const kernels::PackedQuery* packed, Scratch& scratch) const {
  scratch.probes.clear();
  scratch.surveyed.clear();
  scratch.first_lists.reset(with_slack(surveyed_in_order + 1));
  if (structure_.partition->in_stages()) return 0;
  const auto& kernels = space_.kernels();
  SurveySink sink{scratch.surveyed, scratch.first_lists};
  if (packed != nullptr && structure_.coarse.list_count() > 0) {
    const Probe everything{kernels.one(query, structure_.middle.data(), space_.dim()), 0};
    SearchProgress progress;
    scan_lists(coarse_scorer(everything, *packed), nullptr, sink, NeverStop{}, progress);
  } else {
    const VectorStore& centroids = structure_.partition->codebooks()[0]->rows();
    scratch.values.resize(list_count());
    kernels.block(query, centroids.row(0), space_.stride_bytes(), list_count(), space_.dim(), scratch.values.data());
    for (std::size_t list = 0; list < list_count(); list += list_block) {
      Key keys[list_block + 40];
      const std::size_t count = std::min(list_block, list_count() - list);
      for (std::size_t i = 0; i < count; ++i) {
        keys[i] = key_of(scratch.values[list + i], static_cast<NodeId>(list + i));
      }
      sink.push(keys, count);
    }
  }
  return list_count();
}

std::size_t IvfIndex::choose_more(const void* query, std::size_t count, std::size_t scanned, Scratch& scratch) const {
  std::vector<Probe>& probes = scratch.probes;
  if (structure_.partition->in_stages()) {
    // All over again; what was scanned stays in front, also where nearer ones come to light now.
    scratch.named.clear();
    for (const Probe& probe : std::span(probes).first(scanned)) scratch.named.push_back(probe.list);
    std::sort(scratch.named.begin(), scratch.named.end());
    scratch.all_probes.assign(probes.begin(), probes.begin() + static_cast<std::ptrdiff_t>(scanned));
    const std::size_t cost = structure_.partition->probe(query, count, structure_.lists, scratch.probing, probes);
    const auto is_scanned = [&](const Probe& probe) {
      return std::binary_search(scratch.named.begin(), scratch.named.end(), probe.list);
    };
    std::erase_if(probes, is_scanned);
    probes.resize(std::min(probes.size(), count - scanned));
    probes.insert(probes.begin(), scratch.all_probes.begin(), scratch.all_probes.end());
    return scanned == 0 || params_.imi_bits == 0 ? cost : 0;
  }
  const SortedBeam& first = scratch.first_lists;
  const std::size_t wanted = with_slack(count);
  scratch.named.clear();
  for (std::size_t rank = probes.size(); rank < std::min(wanted, first.size()); ++rank) {
    scratch.named.push_back(first[rank].node);
  }
  if (wanted > first.size()) {
    // Of what was not kept in order, the nearest are cut off.
    std::vector<Key>& left = scratch.surveyed;
    if (probes.size() <= first.size()) {
      const Neighbor last = first[first.size() - 1];
      std::erase_if(left, [end = key_of(last.distance, last.node)](Key key) { return key <= end; });
    }
    const std::size_t more = std::min(wanted - std::max(probes.size(), first.size()), left.size());
    const auto cut = left.end() - static_cast<std::ptrdiff_t>(more);
    if (more < left.size()) std::nth_element(left.begin(), cut, left.end(), std::greater<>());
    for (auto key = cut; key != left.end(); ++key) scratch.named.push_back(node_of(*key));
    left.erase(cut, left.end());
  }
  scratch.values.resize(scratch.named.size());
  NamedScorer({}, structure_.partition->codebooks()[0]->rows(), space_.kernels(), space_.dim(), query)
      .score_nodes(scratch.named, scratch.values.data());
  for (std::size_t i = 0; i < scratch.named.size(); ++i) probes.push_back({scratch.values[i], scratch.named[i]});
  std::sort(probes.begin() + static_cast<std::ptrdiff_t>(scanned), probes.end(), [](const Probe& a, const Probe& b) {
    return a.value < b.value || (a.value == b.value && a.list < b.list);
  });
  return 0;
}

template <class Stop>
void IvfIndex::scan_until(Stop& stop, std::size_t cap, std::size_t k, std::size_t wanted, const NodeBitset* passing,
                          Scratch& scratch, SearchProgress& progress) const {
  const void* const query = scratch.query.data();
  const bool coded = structure_.codec != nullptr;
  kernels::PackedQuery packed{};
  if (coded) packed = structure_.codec->prepare(query, scratch.packed);
  const NamedScorer rows({}, vectors_, space_.kernels(), space_.dim(), query);
  const auto scan = [&](std::span<const Probe> probes) {
    if (coded) {
      scan_lists(code_scorer(probes, packed), passing, scratch.candidates, std::ref(stop), progress);
    } else {
      scan_lists(RowScorer(structure_.lists, probes, rows), passing, scratch.nearest, std::ref(stop), progress);
    }
  };
  progress.distances += static_cast<std::uint32_t>(survey_lists(query, coded ? &packed : nullptr, scratch));
  scratch.nearest.reset(k);
  if (coded) scratch.candidates.reset(wanted, Candidates::Keep::in_order);
  std::size_t scanned = 0;
  for (std::size_t stage = first_stage; scanned < cap; stage *= 2) {
    const std::size_t until = std::min(stage, cap);
    // One more than are scanned: the stop looks at the next.
    progress.distances +=
        static_cast<std::uint32_t>(choose_more(query, std::min(until + 1, list_count()), scanned, scratch));
    const std::size_t end = std::min(until, scratch.probes.size());
    scan(std::span<const Probe>(scratch.probes).subspan(scanned, end - scanned));
    if (stop.stopped || end < until) return;
    scanned = end;
  }
}

void IvfIndex::search_for_target(const Batch& batch) const {
  const StopPlan& plan = batch.plan;
  // A rule learned for a larger k goes by that one's candidates.
  const std::size_t wanted = effective_rerank(batch.options, std::max<std::size_t>(plan.curve->k, batch.k));
  const std::size_t k = std::max<std::size_t>(plan.curve->k, batch.k);
  parallel_for(
      batch.count, 1, batch.options.threads, batch.options.monitor,
      [&](std::size_t, std::size_t begin, std::size_t end) {
        auto lease = scratch_.lease();
        Scratch& scratch = *lease;
        for (; begin < end; ++begin) {
          space_.prepare(batch.queries + begin * space_.input_bytes(), scratch.query);
          SearchProgress progress;
          if (plan.forest == nullptr) {
            ListCountStop stop{static_cast<std::size_t>(plan.threshold)};
            scan_until(stop, plan.curve->cap, k, wanted, batch.passing, scratch, progress);
          } else {
            const float offset = space_.nearness_offset(scratch.query, batch.largest_norm);
            ListStop stop(*plan.forest, plan.threshold, plan.budget, k, offset, plan.curve->farthest, scratch.probes);
            scan_until(stop, plan.curve->cap, k, wanted, batch.passing, scratch, progress);
            const float bound = structure_.codec != nullptr ? scratch.candidates.kth(k) : scratch.nearest.bound();
            if (!(bound + offset <= plan.curve->farthest)) promise_nothing(batch.output, begin, StopReason::unlike);
          }
          if (structure_.codec != nullptr) rerank(scratch.candidates, scratch.query.data(), k, scratch);
          emit(batch.output, batch.k, begin, scratch.query, scratch.nearest.sorted(), progress.distances);
        }
      });
}

void IvfIndex::trace_batch(const TraceRequest& request, std::span<const NodeId> own, const NodeBitset* allowed,
                           Traces& traces) const {
  traces.columns = list_step_columns;
  const std::size_t cap = std::min(request.cap, list_count());
  const std::size_t wanted = effective_rerank({}, request.k);
  parallel_for(
      request.count, 1, request.threads, request.monitor, [&](std::size_t, std::size_t begin, std::size_t end) {
        auto lease = scratch_.lease();
        Scratch& scratch = *lease;
        NodeBitset passing = allowed != nullptr ? *allowed : NodeBitset(vectors_.size(), true);
        std::vector<ListStep> steps;
        std::vector<NodeId> nodes;
        std::vector<float> values;
        for (; begin < end; ++begin) {
          space_.prepare(static_cast<const std::byte*>(request.queries) + begin * space_.input_bytes(), scratch.query);
          const float true_kth = request.true_kth[begin];
          const NamedScorer exact({}, vectors_, space_.kernels(), space_.dim(), scratch.query.data());
          const auto found = [&] {
            values.clear();
            if (structure_.codec == nullptr) {
              for (const Neighbor& neighbor : scratch.nearest.sorted()) values.push_back(neighbor.distance);
            } else {
              nodes.clear();
              scratch.candidates.append_nodes(nodes);
              values.resize(nodes.size());
              exact.score_nodes(nodes, values.data());
            }
            return std::count_if(values.begin(), values.end(), [&](float value) { return value <= true_kth; });
          };
          const bool masked = own[begin] != no_node && passing[own[begin]];
          if (masked) passing.reset(own[begin]);
          steps.clear();
          ListTrace stop(steps, request.k, space_.nearness_offset(scratch.query, request.largest_norm), scratch.probes,
                         found);
          SearchProgress progress;
          scan_until(stop, cap, request.k, wanted, &passing, scratch, progress);
          if (masked) passing.set(own[begin]);
          std::vector<float>& row = traces.rows[begin];
          row.resize(steps.size() * list_step_columns);
          if (!steps.empty()) std::memcpy(row.data(), steps.data(), row.size() * sizeof(float));
        }
      });
}

}  // namespace fastcbir
