#include "fastcbir/index/ivf_index.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "fastcbir/build/train_partition.hpp"
#include "fastcbir/build/train_product.hpp"
#include "fastcbir/core/parallel.hpp"
#include "fastcbir/core/rng.hpp"
#include "fastcbir/kernels/dispatch.hpp"
#include "fastcbir/search/inverted_scorers.hpp"
#include "fastcbir/search/scan_lists.hpp"
#include "fastcbir/stop/policy.hpp"

namespace fastcbir {
namespace {

constexpr std::uint32_t max_nlist = 1u << 22;
constexpr std::size_t default_nprobe = 16;
constexpr std::size_t retrain_growth = 8;

void check_params(const IvfParams& params) {
  if (params.nlist > max_nlist) {
    throw std::invalid_argument("nlist must be in 1.." + std::to_string(max_nlist) + ", got " +
                                std::to_string(params.nlist));
  }
  if (params.imi_bits > max_imi_bits) {
    throw std::invalid_argument("bits must be in 1.." + std::to_string(max_imi_bits) + ", got " +
                                std::to_string(params.imi_bits));
  }
  if (params.code_bits > 2) {
    throw std::invalid_argument("codes have 1 or 2 bits a dimension, got " + std::to_string(params.code_bits));
  }
  if (params.code_bits > 0 && params.code_parts > 0) {
    throw std::invalid_argument("lists have codes of bits a dimension or product codes, not both");
  }
}

}  // namespace

IvfIndex::IvfIndex(const Space& space, const IvfParams& params) : Index(space), params_(params) {
  check_params(params);
  check_partition(space, params);
  structure_ = empty_structure(nullptr, make_codec(space, params), 1);
}

// Few long lists make a query read too much, many short ones make it compare too many centroids.
std::size_t IvfIndex::lists_for(std::size_t vectors) const {
  if (params_.imi_bits > 0) return std::size_t{1} << params_.imi_bits;  // of each half
  if (params_.nlist > 0) return params_.nlist;
  constexpr std::size_t least_size = 40;
  const double root = std::sqrt(static_cast<double>(vectors));
  const auto lists = static_cast<std::size_t>(std::lround(2 * root));
  return std::clamp<std::size_t>(std::min(lists, vectors / least_size), 1, max_nlist);
}

bool IvfIndex::wants_training(std::size_t more) const {
  if (structure_.partition == nullptr) return true;
  return params_.imi_bits == 0 && params_.nlist == 0 && vectors_.size() + more >= retrain_growth * trained_on_;
}

void IvfIndex::train_structure(const void* vectors, std::size_t count, bool from_add, const WorkOptions& options) {
  const std::size_t present = from_add ? vectors_.size() : 0;
  const std::size_t total = present + count;
  const std::size_t lists = lists_for(total);
  if (total < lists) {
    throw std::invalid_argument(
        (params_.imi_bits > 0 ? "bits is " + std::to_string(params_.imi_bits) + ", which makes " : "nlist is ") +
        std::to_string(lists) + (params_.imi_bits > 0 ? " centroids for each half," : ",") + " but there are only " +
        std::to_string(total) + " vectors to train on; add or train() with at least as many" +
        (params_.imi_bits > 0 ? ", or use fewer bits" : ", or leave nlist to None"));
  }
  PartMonitor quiet(options.monitor, 0, 0, count);  // it may only cancel: an add begins at 0 all the same
  Monitor* const monitor = from_add && options.monitor != nullptr ? &quiet : options.monitor;

  constexpr std::size_t rows_per_centroid = 64;
  const std::size_t wanted = std::max(lists * rows_per_centroid, params_.code_parts > 0 ? product_sample : 1000);
  const std::size_t sampled = std::min(total, wanted);
  AlignedBuffer rows;
  rows.resize(sampled * space_.stride_bytes());
  std::byte* to = rows.data();
  for (const std::size_t i : draw_sample(total, sampled, mix64(params_.seed + 1))) {
    if (i < present) {
      std::copy_n(vectors_.row(static_cast<NodeId>(i)), space_.stride_bytes(), to);
    } else {
      space_.encode(static_cast<const std::byte*>(vectors) + (i - present) * space_.input_bytes(), to);
    }
    to += space_.stride_bytes();
  }
  const VectorStore sample(space_, std::move(rows));
  ListStructure fresh = trained_structure(sample, lists, options.threads, monitor);
  if (vectors_.size() > 0) {
    std::vector<std::uint32_t> list_of(vectors_.size());
    const ParallelOutcome outcome = assign_lists(*fresh.partition, vectors_, 0, list_of, options.threads, monitor);
    if (outcome.error) std::rethrow_exception(outcome.error);
    append_nodes(fresh, space_, vectors_, 0, list_of, nullptr, options.threads, monitor);
  }
  next_ = std::move(fresh);
  next_trained_on_ = total;
}

ListStructure IvfIndex::trained_structure(const VectorStore& sample, std::size_t lists, std::size_t threads,
                                          Monitor* monitor) const {
  std::shared_ptr<BlockCodec> codec = make_codec(space_, params_);
  auto* const product = dynamic_cast<ProductCodec*>(codec.get());
  const std::size_t stages = product != nullptr ? 2 : 1;
  PartMonitor first(monitor, 0, sample.size(), stages * sample.size());
  PartMonitor second(monitor, sample.size(), sample.size(), stages * sample.size());
  auto partition = train_partition(space_, sample, lists, params_, threads, &first);
  const float reach = codec != nullptr ? typical_reach(space_, *partition, sample, threads) : 1;
  if (product != nullptr) {
    train_product(*product, space_, *partition, reach, sample, params_.seed, threads, &second);
  }
  return empty_structure(std::move(partition), std::move(codec), reach);
}

void IvfIndex::adopt_structure() noexcept {
  structure_ = std::move(next_);
  trained_on_ = next_trained_on_;
  list_count_ = structure_.lists.list_count();
}

ParallelOutcome IvfIndex::insert_rows(std::size_t first, const WorkOptions& options) {
  std::vector<std::uint32_t> list_of(vectors_.size() - first);
  const ParallelOutcome outcome =
      assign_lists(*structure_.partition, vectors_, first, list_of, options.threads, options.monitor);
  append_nodes(structure_, space_, vectors_, first, std::span(list_of).first(outcome.completed), nullptr,
               options.threads, nullptr);
  return outcome;
}

// After much has come, so that what comes one by one does not pay for it each time.
void IvfIndex::settle_rows() {
  constexpr std::size_t part = 4;
  if ((vectors_.size() - settled_) * part < vectors_.size()) return;
  structure_.lists.tighten();
  settled_ = vectors_.size();
}

void IvfIndex::truncate_rows(std::size_t size) { structure_.lists.truncate(size); }

void IvfIndex::compact_rows(const WorkOptions& options) {
  std::vector<std::uint32_t> list_of(vectors_.size());
  for (std::size_t list = 0; list < list_count(); ++list) {
    for (std::size_t at = 0; at < structure_.lists.size(list); ++at) {
      list_of[structure_.lists.node(list, at)] = static_cast<std::uint32_t>(list);
    }
  }
  ListStructure fresh = empty_structure(structure_.partition, structure_.codec, structure_.reach);
  append_nodes(fresh, space_, vectors_, 0, list_of, &dead(), options.threads, options.monitor);
  std::vector<NodeId>& renamed = list_of;  // its lists have been read
  NodeId kept = 0;
  for (std::size_t node = 0; node < renamed.size(); ++node) renamed[node] = dead()[node] ? no_node : kept++;
  close_gaps();
  fresh.lists.rename([&](NodeId node) { return renamed[node]; });
  structure_ = std::move(fresh);
  settled_ = vectors_.size();
}

std::size_t IvfIndex::structure_bytes() const {
  const auto* const product = dynamic_cast<const ProductCodec*>(structure_.codec.get());
  return (product != nullptr ? product->memory_bytes() : 0) + structure_.lists.memory_bytes() +
         structure_.coarse.memory_bytes() + (structure_.partition ? structure_.partition->memory_bytes() : 0);
}

std::size_t IvfIndex::effective_nprobe(const SearchOptions& options, std::size_t passing_count) const {
  const std::size_t lists = list_count();
  if (options.nprobe > lists) {
    throw std::invalid_argument("nprobe must be in 1.." + std::to_string(lists) + ", the index's lists, got " +
                                std::to_string(options.nprobe));
  }
  std::size_t nprobe = options.nprobe > 0 ? options.nprobe : std::max(default_nprobe, lists / 32);
  // Where a filter leaves few, more lists hold as many that pass.
  const double share = static_cast<double>(passing_count) / static_cast<double>(vectors_.size());
  nprobe = static_cast<std::size_t>(std::ceil(static_cast<double>(nprobe) / share));
  return std::min(nprobe, lists);
}

std::size_t IvfIndex::effective_rerank(const SearchOptions& options, std::size_t k) const {
  if (options.rerank > 0) return std::max(options.rerank, k);
  if (params_.code_parts > 0) return 5 * k + 100;
  return params_.code_bits == 2 ? 2 * k + 16 : 3 * k + 50;
}

// The lists to visit, nearest centroid first. By codes first, where centroids have some; then half as many again as
// wanted are compared exactly, and the estimates of the rows in a list start from that.
std::size_t IvfIndex::choose_lists(const void* query, const kernels::PackedQuery* packed, std::size_t nprobe,
                                   Scratch& scratch) const {
  const std::size_t candidates = nprobe + nprobe / 2 + 8;
  if (packed == nullptr || structure_.coarse.list_count() == 0 || candidates * 2 > list_count()) {
    return structure_.partition->probe(query, nprobe, structure_.lists, scratch.probing, scratch.probes);
  }
  const auto& kernels = space_.kernels();
  const VectorStore& centroids = structure_.partition->codebooks()[0]->rows();
  const Probe everything{kernels.one(query, structure_.middle.data(), space_.dim()), 0};
  scratch.candidates.reset(candidates);
  SearchProgress progress;
  scan_lists(coarse_scorer(everything, *packed), nullptr, scratch.candidates, NeverStop{}, progress);
  scratch.named.clear();
  scratch.candidates.for_each([&](NodeId list) { scratch.named.push_back(list); });
  scratch.nearest.reset(nprobe);
  scan_lists(NamedScorer(scratch.named, centroids, kernels, space_.dim(), query), nullptr, scratch.nearest, NeverStop{},
             progress);
  scratch.probes.clear();
  for (const Neighbor& found : scratch.nearest.sorted()) scratch.probes.push_back({found.distance, found.node});
  return list_count();
}

void IvfIndex::rerank(Candidates& candidates, const void* query, std::size_t k, Scratch& scratch) const {
  scratch.named.clear();
  candidates.for_each([&](NodeId node) { scratch.named.push_back(node); });
  scratch.nearest.reset(k);
  SearchProgress again;
  scan_lists(NamedScorer(scratch.named, vectors_, space_.kernels(), space_.dim(), query), nullptr, scratch.nearest,
             NeverStop{}, again);
}

template <class Stop>
void IvfIndex::search_one(const Batch& batch, std::size_t query_index, std::size_t nprobe, Stop stop,
                          Scratch& scratch) const {
  space_.prepare(batch.queries + query_index * space_.input_bytes(), scratch.query);
  const void* const query = scratch.query.data();
  SearchProgress progress;
  if (structure_.codec == nullptr) {
    progress.distances = static_cast<std::uint32_t>(choose_lists(query, nullptr, nprobe, scratch));
    scratch.nearest.reset(batch.k);
    const NamedScorer rows({}, vectors_, space_.kernels(), space_.dim(), query);
    scan_lists(RowScorer(structure_.lists, scratch.probes, rows), batch.passing, scratch.nearest, stop, progress);
  } else {
    const kernels::PackedQuery packed = structure_.codec->prepare(query, scratch.packed);
    progress.distances = static_cast<std::uint32_t>(choose_lists(query, &packed, nprobe, scratch));
    scratch.candidates.reset(effective_rerank(batch.options, batch.k));
    scan_lists(code_scorer(scratch.probes, packed), batch.passing, scratch.candidates, stop, progress);
    rerank(scratch.candidates, query, batch.k, scratch);
  }
  emit(batch.output, batch.k, query_index, scratch.query, scratch.nearest.sorted(), progress.distances);
}

void IvfIndex::search_batch(const Batch& batch) const {
  const StopPlan& plan = batch.plan;
  const bool few = plan.reason == StopReason::target && batch.few_pass();
  // A number of lists learned for just this k is as good as one given.
  const bool fixed =
      plan.curve != nullptr && plan.forest == nullptr && batch.passing == nullptr && plan.curve->k == batch.k;
  if (plan.reason == StopReason::target && !few && !fixed) return search_for_target(batch);
  SearchOptions options = batch.options;
  if (plan.curve != nullptr) options.nprobe = static_cast<std::size_t>(plan.threshold);
  const std::size_t nprobe = effective_nprobe(options, batch.passing_count);
  // Those that pass one by one, where the lists to visit would hold as many.
  const bool scan = few || (batch.passing != nullptr &&
                            batch.passing_count * list_count() <= vectors_.size() * nprobe + batch.k * list_count());
  std::vector<NodeId> named;
  if (scan) batch.passing->for_each([&](std::size_t node) { named.push_back(static_cast<NodeId>(node)); });
  const auto budget = static_cast<std::uint32_t>(batch.options.max_distances);
  const std::size_t grain = scan || budget > 0 ? 1 : together(batch, nprobe);
  parallel_for(batch.count, grain, batch.options.threads, batch.options.monitor,
               [&](std::size_t, std::size_t begin, std::size_t end) {
                 auto lease = scratch_.lease();
                 Scratch& scratch = *lease;
                 if (grain > 1) return search_together(batch, begin, end - begin, nprobe, scratch);
                 for (; begin < end; ++begin) {
                   if (scan) {
                     space_.prepare(batch.queries + begin * space_.input_bytes(), scratch.query);
                     scratch.nearest.reset(batch.k);
                     SearchProgress progress;
                     scan_lists(NamedScorer(named, vectors_, space_.kernels(), space_.dim(), scratch.query.data()),
                                nullptr, scratch.nearest, NeverStop{}, progress);
                     emit(batch.output, batch.k, begin, scratch.query, scratch.nearest.sorted(), progress.distances);
                     if (batch.output.reasons != nullptr) promise_exact(batch.output, begin);
                   } else if (budget > 0) {
                     search_one(batch, begin, nprobe, BudgetStop{budget}, scratch);
                   } else {
                     search_one(batch, begin, nprobe, NeverStop{}, scratch);
                   }
                 }
               });
}

std::vector<Neighbor> IvfIndex::search_range(const PreparedQuery& query, float radius, const SearchOptions& options,
                                             const NodeBitset* passing) const {
  auto lease = scratch_.lease();
  Scratch& scratch = *lease;
  const std::size_t passing_count = passing != nullptr ? passing->count() : vectors_.size();
  const std::size_t nprobe = effective_nprobe(options, passing_count);
  structure_.partition->probe(query.data(), nprobe, structure_.lists, scratch.probing, scratch.probes);
  RadiusSink sink{radius, {}};
  SearchProgress progress;
  const NamedScorer rows({}, vectors_, space_.kernels(), space_.dim(), query.data());
  scan_lists(RowScorer(structure_.lists, scratch.probes, rows), passing, sink, NeverStop{}, progress);
  std::sort(sink.found.begin(), sink.found.end());
  return std::move(sink.found);
}

}  // namespace fastcbir
