#include "fastcbir/index/hnsw_index.hpp"

#include <algorithm>
#include <string>

#include "fastcbir/build/graph_packing.hpp"
#include "fastcbir/build/graph_refinement.hpp"
#include "fastcbir/build/graph_walk.hpp"
#include "fastcbir/build/hnsw_compaction.hpp"
#include "fastcbir/core/parallel.hpp"
#include "fastcbir/index/graph_files.hpp"

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
  HnswParams params = read_graph_params(reader);
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

}  // namespace

HnswIndex::HnswIndex(const Space& space, const HnswParams& params)
    : Index(space),
      params_(params),
      codec_(make_codec(space, params)),
      graph_(params, payload_bytes(codec_.get(), params)) {}

HnswIndex::HnswIndex(const Space& space, const io::Reader& reader, bool mapped, bool verify)
    : Index(space, reader, mapped),
      params_(read_params(reader)),
      codec_(make_codec(space, params_)),
      graph_(read_graph(reader, params_, payload_bytes(codec_.get(), params_), reader.header().vector_count, mapped)) {
  if (codec_ != nullptr) {
    codec_->set_unit(reader.section(io::packed_tag, sizeof(io::PackedSection), false).as<io::PackedSection>()[0].unit);
    stale_ = NodeBitset(graph_.links.size(), codec_->unit() == 0);
    codes_ready_ = codec_->unit() > 0;
    if (has_codes()) entry_points_.choose(*codec_, vectors_, graph_.links);
  }
  if (!verify) return;
  try {
    graph_.links.check();
  } catch (const std::runtime_error& error) {
    reader.fail(std::string("is damaged: ") + error.what());
  }
}

ParallelOutcome HnswIndex::insert_rows(std::size_t first, const WorkOptions& options) {
  const std::size_t count = vectors_.size() - first;
  HnswParams params = params_;
  if (wants_refining(count)) {
    params.ef_construction = static_cast<std::uint32_t>(draft_ef(space_.dim(), params.ef_construction));
  }
  codes_ready_.store(false);
  graph_.links.append(draw_levels(params_, first, count));
  if (codec_ != nullptr) stale_.resize(vectors_.size());
  HnswBuilder builder(params, space_, vectors_, graph_);
  const ParallelOutcome outcome = builder.insert(first, vectors_.size(), options.threads, options.monitor);
  mark_stale(builder);
  unchecked_ += outcome.completed;
  unrefined_ += outcome.completed;
  return outcome;
}

std::exception_ptr HnswIndex::finish_rows(const WorkOptions& options, bool complete) noexcept {
  // Looking at all links pays after a part of all nodes came in.
  constexpr std::size_t part = 8;
  std::exception_ptr cancelled;
  try {
    if (complete) refine(options);
  } catch (const std::bad_alloc&) {
    // The lists stay as they were.
  } catch (...) {
    cancelled = std::current_exception();
  }
  try {
    if (unchecked_ * part >= graph_.links.size()) {
      HnswBuilder builder(params_, space_, vectors_, graph_);
      reconnect(builder, options.threads);
    }
    if (codec_ != nullptr) pack_stale(options.threads);
  } catch (const std::bad_alloc&) {
    // Searches do without codes until there is memory for the next change's.
  }
  return cancelled;
}

// Once `more` rows have come.
bool HnswIndex::wants_refining(std::size_t more) const {
  return codec_ != nullptr && space_.metric() != Metric::ip && (unrefined_ + more) * 2 > graph_.links.size() + more;
}

std::size_t HnswIndex::finishing_work(std::size_t more) const {
  return wants_refining(more) ? graph_.links.size() + more : 0;
}

void HnswIndex::refine(const WorkOptions& options) {
  if (!wants_refining(0)) return;
  stale_ = NodeBitset(graph_.links.size(), true);
  refine_links(space_, vectors_, *codec_, graph_, params_.ef_construction, options.threads, options.monitor);
  unrefined_ = 0;
}

void HnswIndex::mark_stale(const HnswBuilder& builder) {
  if (codec_ == nullptr) return;
  for (const NodeId node : builder.changed_nodes()) stale_.set(node);
}

void HnswIndex::reconnect(HnswBuilder& builder, std::size_t threads) {
  fastcbir::reconnect(builder, graph_, threads);
  mark_stale(builder);
  unchecked_ = 0;
}

void HnswIndex::pack_stale(std::size_t threads) {
  std::vector<NodeId> nodes;
  stale_.for_each([&](std::size_t node) { nodes.push_back(static_cast<NodeId>(node)); });
  // Of most nodes, rows are then mostly found in the cache; of few, the walk would take longest.
  if (nodes.size() * 2 > graph_.links.size()) {
    nodes = nodes_along_links(graph_);
    std::erase_if(nodes, [&](NodeId node) { return !stale_[node]; });
  }
  pack_codes(*codec_, vectors_, graph_.links, nodes, threads);
  if (codec_->unit() == 0) return;
  // New ones are needed when nodes have moved, or far more have come.
  if (entry_points_.empty() || graph_.links.size() / 5 * 4 > entry_points_.chosen_among()) {
    entry_points_.choose(*codec_, vectors_, graph_.links);
  }
  stale_ = NodeBitset(graph_.links.size());
  codes_ready_.store(true, std::memory_order_release);
}

void HnswIndex::truncate_rows(std::size_t size) {
  if (graph_.links.size() > size) graph_.links.truncate(size);
  if (size < entry_points_.chosen_among()) entry_points_.clear();
  if (size == 0) graph_.entry = no_node;
  if (codec_ != nullptr) stale_.resize(size);
}

void HnswIndex::compact_rows(const WorkOptions& options) {
  HnswGraph fresh = consolidate(params_, space_, vectors_, graph_, dead(), options.threads, options.monitor);
  close_gaps();
  graph_ = std::move(fresh);
  entry_points_.clear();
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
  add_graph_sections(params_, graph_.links, graph_.entry, sections);
  if (codec_ == nullptr) return;
  sections.push_back(io::struct_section(
      io::packed_tag, io::PackedSection{params_.code_bits, has_codes() ? codec_->unit() : 0, params_.seed}));
}

}  // namespace fastcbir
