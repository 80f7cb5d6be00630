// HnswIndex: approximate search by a graph. Floor 5.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "fastcbir/build/hnsw_builder.hpp"
#include "fastcbir/index/index.hpp"
#include "fastcbir/index/scratch_pool.hpp"
#include "fastcbir/search/entry_points.hpp"
#include "fastcbir/search/heap_frontier.hpp"
#include "fastcbir/search/packed_expander.hpp"
#include "fastcbir/stop/trace.hpp"
#include "fastcbir/storage/packed_codec.hpp"

namespace fastcbir {

class HnswIndex final : public Index {
 public:
  // Throws std::invalid_argument for parameters out of range.
  HnswIndex(const Space& space, const HnswParams& params);
  HnswIndex(const Space& space, const io::Reader& reader, bool mapped, bool verify);

  const char* kind() const override { return "hnsw"; }
  const HnswParams& params() const { return params_; }

 protected:
  void search_batch(const Batch& batch) const override;
  std::vector<Neighbor> search_range(const PreparedQuery& query, float radius, const SearchOptions& options,
                                     const NodeBitset* passing) const override;
  ParallelOutcome insert_rows(std::size_t first, const WorkOptions& options) override;
  std::size_t finishing_work(std::size_t more) const override;
  std::exception_ptr finish_rows(const WorkOptions& options, bool complete) noexcept override;
  void truncate_rows(std::size_t size) override;
  void compact_rows(const WorkOptions& options) override;
  bool may_be_query(NodeId node) const override;
  std::uint32_t code_bits() const override { return params_.code_bits; }
  void trace_batch(const TraceRequest& request, std::span<const NodeId> own, const NodeBitset* passing,
                   Traces& traces) const override;
  std::size_t structure_bytes() const override { return graph_.links.memory_bytes(); }
  io::IndexKind file_kind() const override { return io::IndexKind::hnsw; }
  void add_sections(std::vector<io::Section>& sections) const override;

 private:
  // What one worker needs; kept from call to call, so that searches allocate nothing.
  struct Scratch {
    PreparedQuery query;
    VisitedSet visited;
    SortedBeam beam;
    HeapFrontier heap;
    Neighborhood neighborhood;
    std::vector<Neighbor> found;
    PackedCodec::QueryScratch packed;
    SortedTopK results;
    std::vector<Key> keys;
    Candidates collected;
    std::vector<NodeId> nodes;
    std::vector<float> values;
  };

  // Whether searches go by codes: not while links change, nor before a node has a neighbour.
  bool has_codes() const { return codes_ready_.load(std::memory_order_acquire); }
  // Whether the nearest by their codes are collected, to be compared in the end.
  bool collects(std::size_t k, const NodeBitset* passing) const;
  std::size_t effective_ef(const SearchOptions& options, std::size_t k, const NodeBitset* passing) const;
  bool scan_is_cheaper(std::size_t passing_count, std::size_t ef) const;
  // Where a search begins on level 0; the scratch's query is prepared.
  struct Start {
    Neighbor node;
    bool by_codes;
    kernels::PackedQuery packed;
  };
  Start start(Scratch& scratch, SearchProgress& progress) const;
  // The way down to level 0.
  Neighbor descend(Scratch& scratch, SearchProgress& progress) const;
  // Policies: over(results, frontier), the stop policy of a search with these, see hnsw_search.cpp. The node
  // `hidden`, if any, is as if seen before: neither expanded nor found. The found are in scratch.found, nearest first.
  template <class Policies>
  void search_from(const Start& start, std::size_t k, std::size_t ef, const NodeBitset* passing,
                   const Policies& policies, NodeId hidden, Scratch& scratch, SearchProgress& progress) const;
  void trace_searches(const Start& first, const TraceRequest& request, NodeId own, float true_kth,
                      const NodeBitset* passing, Scratch& scratch, const SearchProgress& before,
                      std::vector<GraphStep>& steps) const;
  void collect(Neighbor start, std::size_t k, std::size_t ef, const PackedRecords& records, Scratch& scratch,
               SearchProgress& progress) const;
  template <class Policies>
  void search_one(const Batch& batch, std::size_t query_index, std::size_t ef, const Policies& policies,
                  Scratch& scratch) const;
  // After most nodes came in: fills their level-0 lists, for searches by codes.
  bool wants_refining(std::size_t more) const;
  void refine(const WorkOptions& options);
  void mark_stale(const HnswBuilder& builder);
  // Brings back nodes that no search finds: the selection of neighbours may cut a node's last link.
  void reconnect(HnswBuilder& builder, std::size_t threads);
  // Makes the codes of stale nodes, and lets searches use them.
  void pack_stale(std::size_t threads);

  HnswParams params_;
  std::unique_ptr<PackedCodec> codec_;  // null: none
  HnswGraph graph_;
  EntryPoints entry_points_;   // of searches by codes
  NodeBitset stale_;           // nodes whose codes are not those of their links
  std::size_t unchecked_ = 0;  // rows inserted since every node was known to be reachable
  std::size_t unrefined_ = 0;  // rows inserted since the last refinement
  std::atomic<bool> codes_ready_ = false;
  mutable ScratchPool<Scratch> scratch_;
};

}  // namespace fastcbir
