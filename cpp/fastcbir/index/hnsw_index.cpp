#include "fastcbir/index/hnsw_index.hpp"

#include <algorithm>
#include <numeric>
#include <string>

#include "fastcbir/build/graph_packing.hpp"
#include "fastcbir/build/hnsw_compaction.hpp"
#include "fastcbir/core/parallel.hpp"
#include "fastcbir/kernels/dispatch.hpp"
#include "fastcbir/search/gather_expander.hpp"
#include "fastcbir/search/greedy_search.hpp"
#include "fastcbir/search/packed_expander.hpp"
#include "fastcbir/search/scan_lists.hpp"
#include "fastcbir/stop/policy.hpp"

namespace fastcbir {
namespace {

constexpr std::uint32_t min_m = 2;
constexpr std::uint32_t max_m = 512;
constexpr std::uint32_t max_ef_construction = 10000;

void check_params(const HnswParams& params) {
  if (params.m < min_m || params.m > max_m) {
    throw std::invalid_argument("m must be in 2..512, got " + std::to_string(params.m));
  }
  if (params.ef_construction == 0 || params.ef_construction > max_ef_construction) {
    throw std::invalid_argument("ef_construction must be in 1..10000, got " + std::to_string(params.ef_construction));
  }
  if (params.code_bits > 2) {
    throw std::invalid_argument("codes have 1 or 2 bits a dimension, got " + std::to_string(params.code_bits));
  }
  if (params.code_bits > 0 && params.m0() % kernels::packed_neighbors != 0) {
    throw std::invalid_argument("codes come in blocks of 32 links: m must be a multiple of 16, got " +
                                std::to_string(params.m));
  }
}

HnswParams read_params(const io::Reader& reader) {
  const AlignedBuffer bytes = reader.section(io::hnsw_params_tag, sizeof(io::HnswSection), false);
  const io::HnswSection section = bytes.as<io::HnswSection>().front();
  HnswParams params{section.m, section.ef_construction, section.keep_pruned != 0, section.seed, 0};
  if (reader.has(io::packed_tag)) {
    params.code_bits =
        reader.section(io::packed_tag, sizeof(io::PackedSection), false).as<io::PackedSection>()[0].planes;
  }
  try {
    check_params(params);
  } catch (const std::invalid_argument& error) {
    reader.fail(std::string("is damaged: ") + error.what());
  }
  return params;
}

std::unique_ptr<PackedCodec> make_codec(const Space& space, const HnswParams& params) {
  check_params(params);
  return params.code_bits > 0 ? std::make_unique<PackedCodec>(space, params.code_bits, params.seed) : nullptr;
}

std::size_t payload_bytes(const PackedCodec* codec, const HnswParams& params) {
  return codec != nullptr ? codec->block_bytes(params.m0()) : 0;
}

HnswGraph read_graph(const io::Reader& reader, const HnswParams& params, std::size_t payload, bool mapped) {
  const AlignedBuffer bytes = reader.section(io::hnsw_params_tag, sizeof(io::HnswSection), false);
  const std::size_t count = reader.header().vector_count;
  const NodeId entry = bytes.as<io::HnswSection>().front().entry;
  if (count == 0 ? entry != no_node : entry >= count) reader.fail("is damaged: its entry node does not exist");
  const std::size_t block = GraphLinks(params.m0(), params.m, payload).stride0_bytes();
  return HnswGraph(GraphLinks(params.m0(), params.m, payload, reader.section(io::links_tag, count * block, mapped),
                              reader.section(io::levels_tag, count, mapped),
                              reader.section(io::upper_begins_tag, count * sizeof(std::uint32_t), mapped),
                              reader.section(io::upper_tag, mapped)),
                   entry);
}

}  // namespace

class HnswIndex::ScratchLease {
 public:
  explicit ScratchLease(const HnswIndex& index) : index_(index) {
    {
      const std::lock_guard lock(index.scratch_mutex_);
      if (!index.idle_scratch_.empty()) {
        scratch_ = std::move(index.idle_scratch_.back());
        index.idle_scratch_.pop_back();
      }
    }
    if (!scratch_) scratch_ = std::make_unique<Scratch>();
    scratch_->neighborhood.reserve(max_links);
  }
  ~ScratchLease() {
    const std::lock_guard lock(index_.scratch_mutex_);
    index_.idle_scratch_.push_back(std::move(scratch_));
  }
  ScratchLease(const ScratchLease&) = delete;
  ScratchLease& operator=(const ScratchLease&) = delete;

  Scratch& operator*() { return *scratch_; }

 private:
  const HnswIndex& index_;
  std::unique_ptr<Scratch> scratch_;
};

HnswIndex::HnswIndex(const Space& space, const HnswParams& params)
    : Index(space),
      params_(params),
      codec_(make_codec(space, params)),
      graph_(params, payload_bytes(codec_.get(), params)) {}

HnswIndex::HnswIndex(const Space& space, const io::Reader& reader, bool mapped, bool verify)
    : Index(space, reader, mapped),
      params_(read_params(reader)),
      codec_(make_codec(space, params_)),
      graph_(read_graph(reader, params_, payload_bytes(codec_.get(), params_), mapped)) {
  if (codec_ != nullptr) {
    codec_->set_unit(reader.section(io::packed_tag, sizeof(io::PackedSection), false).as<io::PackedSection>()[0].unit);
    stale_ = NodeBitset(graph_.links.size(), codec_->unit() == 0);
    codes_ready_ = codec_->unit() > 0;
  }
  if (!verify) return;
  try {
    graph_.links.check();
  } catch (const std::runtime_error& error) {
    reader.fail(std::string("is damaged: ") + error.what());
  }
}

std::size_t HnswIndex::effective_ef(const SearchOptions& options, std::size_t k) const {
  return std::max(options.ef > 0 ? options.ef : default_ef, k);
}

// Through the graph, about ef / share nodes are expanded before ef that pass are found, m new distances each; one by
// one, passing_count distances are computed. With share = passing_count / n, both cost the same at this square.
bool HnswIndex::scan_is_cheaper(std::size_t passing_count, std::size_t ef) const {
  const double through_graph = static_cast<double>(ef) * params_.m * static_cast<double>(vectors_.size());
  return static_cast<double>(passing_count) * static_cast<double>(passing_count) <= through_graph;
}

Neighbor HnswIndex::descend(Scratch& scratch, SearchProgress& progress) const {
  // A step on a level of few nodes costs as much as one among neighbours with codes, which leads as far.
  constexpr std::size_t lowest_with_codes = 2;
  const std::size_t lowest = has_codes() ? lowest_with_codes : 0;
  const auto expander = [&](std::size_t level) {
    return GatherExpander(graph_.links, level, vectors_, space_.kernels(), space_.dim(), scratch.query.data());
  };
  const std::size_t top = graph_.links.level_of(graph_.entry);
  Neighbor nearest{expander(0).value(graph_.entry), graph_.entry};
  ++progress.distances;
  scratch.visited.begin(vectors_.size());
  scratch.visited.insert(nearest.node);
  for (std::size_t level = top; level > lowest; --level) {
    nearest = greedy_descent(expander(level), nearest, scratch.visited, progress, scratch.neighborhood);
  }
  scratch.visited.begin(vectors_.size());
  return nearest;
}

template <class Frontier, class Stop>
void HnswIndex::search_packed(const Batch& batch, Neighbor start, Frontier& frontier, Stop stop, Scratch& scratch,
                              SearchProgress& progress) const {
  scratch.results.reset(batch.k);
  frontier.push(start.distance, start.node);
  const PackedExpander expander(graph_.links, vectors_, space_.kernels(), space_.dim(), scratch.query.data(),
                                kernels::active().packed, codec_->prepare(scratch.query.data(), scratch.packed),
                                frontier, batch.passing, scratch.results);
  greedy_search(expander, scratch.visited, frontier, stop, progress, scratch.neighborhood);
}

template <class Stop>
void HnswIndex::search_one(const Batch& batch, std::size_t query_index, std::size_t ef, Stop stop,
                           Scratch& scratch) const {
  space_.prepare(batch.queries + query_index * space_.input_bytes(), scratch.query);
  SearchProgress progress;
  const Neighbor start = descend(scratch, progress);
  if (has_codes()) {
    if (batch.passing == nullptr) {
      scratch.beam.reset(ef);
      search_packed(batch, start, scratch.beam, stop, scratch, progress);
    } else {
      scratch.heap.reset(ef, batch.passing);
      search_packed(batch, start, scratch.heap, stop, scratch, progress);
    }
    emit(batch.output, batch.k, query_index, scratch.query, scratch.results.sorted(), progress.distances);
    return;
  }
  const GatherExpander expander(graph_.links, 0, vectors_, space_.kernels(), space_.dim(), scratch.query.data());
  scratch.visited.insert(start.node);
  if (batch.passing == nullptr) {
    scratch.beam.reset(ef);
    scratch.beam.push(start.distance, start.node);
    greedy_search(expander, scratch.visited, scratch.beam, stop, progress, scratch.neighborhood);
    scratch.found.clear();
    for (std::size_t rank = 0; rank < std::min(batch.k, scratch.beam.size()); ++rank) {
      scratch.found.push_back(scratch.beam[rank]);
    }
    emit(batch.output, batch.k, query_index, scratch.query, scratch.found, progress.distances);
  } else {
    scratch.heap.reset(ef, batch.passing);
    scratch.heap.push(start.distance, start.node);
    greedy_search(expander, scratch.visited, scratch.heap, stop, progress, scratch.neighborhood);
    emit(batch.output, batch.k, query_index, scratch.query, scratch.heap.nearest(), progress.distances);
  }
}

void HnswIndex::search_batch(const Batch& batch) const {
  const std::size_t ef = effective_ef(batch.options, batch.k);
  const bool scan = batch.passing != nullptr && scan_is_cheaper(batch.passing_count, ef);
  std::vector<NodeId> named;
  if (scan) batch.passing->for_each([&](std::size_t node) { named.push_back(static_cast<NodeId>(node)); });
  const auto budget = static_cast<std::uint32_t>(batch.options.max_distances);

  parallel_for(batch.count, 1, batch.options.threads, batch.options.monitor,
               [&](std::size_t, std::size_t begin, std::size_t end) {
                 ScratchLease lease(*this);
                 Scratch& scratch = *lease;
                 for (; begin < end; ++begin) {
                   if (scan) {
                     space_.prepare(batch.queries + begin * space_.input_bytes(), scratch.query);
                     TopK nearest;
                     nearest.reset(batch.k);
                     SearchProgress progress;
                     scan_lists(NamedScorer(named, vectors_, space_.kernels(), space_.dim(), scratch.query.data()),
                                nullptr, nearest, NeverStop{}, progress);
                     emit(batch.output, batch.k, begin, scratch.query, nearest.sorted(), progress.distances);
                   } else if (budget > 0) {
                     search_one(batch, begin, ef, BudgetStop{budget}, scratch);
                   } else {
                     search_one(batch, begin, ef, NeverStop{}, scratch);
                   }
                 }
               });
}

std::vector<Neighbor> HnswIndex::search_range(const PreparedQuery& query, float radius, const SearchOptions& options,
                                              const NodeBitset* passing) const {
  ScratchLease lease(*this);
  Scratch& scratch = *lease;
  scratch.query.buffer.resize(query.buffer.size());
  std::copy_n(query.buffer.data(), query.buffer.size(), scratch.query.buffer.data());
  SearchProgress progress;
  const Neighbor start = descend(scratch, progress);
  scratch.visited.insert(start.node);
  scratch.heap.reset(effective_ef(options, 1), passing, radius);
  scratch.heap.push(start.distance, start.node);
  greedy_search(GatherExpander(graph_.links, 0, vectors_, space_.kernels(), space_.dim(), query.data()),
                scratch.visited, scratch.heap, NeverStop{}, progress, scratch.neighborhood);
  const std::span<const Neighbor> found = scratch.heap.within_radius();
  return {found.begin(), found.end()};
}

ParallelOutcome HnswIndex::insert_rows(std::size_t first, const WorkOptions& options) {
  codes_ready_.store(false);
  graph_.links.append(draw_levels(params_, first, vectors_.size() - first));
  if (codec_ != nullptr) stale_.resize(vectors_.size());
  HnswBuilder builder(params_, space_, vectors_, graph_);
  const ParallelOutcome outcome = builder.insert(first, vectors_.size(), options.threads, options.monitor);
  mark_stale(builder);
  unchecked_ += outcome.completed;
  return outcome;
}

void HnswIndex::finish_rows(const WorkOptions& options) noexcept {
  // Looking at all links pays after a part of all nodes came in.
  constexpr std::size_t part = 8;
  try {
    if (unchecked_ * part >= graph_.links.size()) {
      HnswBuilder builder(params_, space_, vectors_, graph_);
      reconnect(builder, options.threads);
    }
    if (codec_ != nullptr) pack_stale(options.threads);
  } catch (const std::bad_alloc&) {
    // Searches do without codes until there is memory for the next change's.
  }
}

void HnswIndex::mark_stale(const HnswBuilder& builder) {
  if (codec_ == nullptr) return;
  for (const NodeId node : builder.changed_nodes()) stale_.set(node);
}

void HnswIndex::reconnect(HnswBuilder& builder, std::size_t threads) {
  constexpr int rounds = 3;
  for (int round = 0; round < rounds; ++round) {
    const std::vector<NodeId> lost = unreachable_nodes(graph_);
    if (lost.empty()) break;
    builder.reinsert(lost, threads);
  }
  mark_stale(builder);
  unchecked_ = 0;
}

void HnswIndex::pack_stale(std::size_t threads) {
  std::vector<NodeId> nodes;
  stale_.for_each([&](std::size_t node) { nodes.push_back(static_cast<NodeId>(node)); });
  pack_codes(*codec_, vectors_, graph_.links, nodes, threads);
  if (codec_->unit() == 0) return;
  stale_ = NodeBitset(graph_.links.size());
  codes_ready_.store(true, std::memory_order_release);
}

void HnswIndex::truncate_rows(std::size_t size) {
  if (graph_.links.size() > size) graph_.links.truncate(size);
  if (size == 0) graph_.entry = no_node;
  if (codec_ != nullptr) stale_.resize(size);
}

void HnswIndex::compact_rows(const WorkOptions& options) {
  HnswGraph fresh = consolidate(params_, space_, vectors_, graph_, dead(), options.threads, options.monitor);
  close_gaps();
  graph_ = std::move(fresh);
  codes_ready_.store(false);
  if (codec_ != nullptr) {
    stale_ = NodeBitset(graph_.links.size());
    for (std::size_t node = 0; node < graph_.links.size(); ++node) stale_.set(node);
    codec_->set_unit(0);
  }
  HnswBuilder builder(params_, space_, vectors_, graph_);
  reconnect(builder, options.threads);
  if (codec_ != nullptr) pack_stale(options.threads);
}

void HnswIndex::add_sections(std::vector<io::Section>& sections) const {
  const auto bytes_of_buffer = [](const AlignedBuffer& buffer) {
    return std::span<const std::byte>(buffer.data(), buffer.size());
  };
  const io::HnswSection section{params_.m, params_.ef_construction, params_.keep_pruned ? 1u : 0u, graph_.entry,
                                params_.seed};
  sections.push_back(io::struct_section(io::hnsw_params_tag, section));
  if (codec_ != nullptr) {
    sections.push_back(io::struct_section(
        io::packed_tag, io::PackedSection{params_.code_bits, has_codes() ? codec_->unit() : 0, params_.seed}));
  }
  sections.push_back({io::links_tag, bytes_of_buffer(graph_.links.level0_bytes())});
  sections.push_back({io::levels_tag, bytes_of_buffer(graph_.links.levels_bytes())});
  sections.push_back({io::upper_begins_tag, bytes_of_buffer(graph_.links.upper_begins_bytes())});
  sections.push_back({io::upper_tag, bytes_of_buffer(graph_.links.upper_bytes())});
}

}  // namespace fastcbir
