// IvfIndex: approximate search by inverted lists: those of k-means, or the cells of a multi-index. Floor 5.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "fastcbir/build/ivf_params.hpp"
#include "fastcbir/build/list_builder.hpp"
#include "fastcbir/index/index.hpp"
#include "fastcbir/index/scratch_pool.hpp"
#include "fastcbir/search/candidates.hpp"
#include "fastcbir/search/scan_together.hpp"
#include "fastcbir/search/sorted_top_k.hpp"

namespace fastcbir {

class IvfIndex final : public Index {
 public:
  // Throws std::invalid_argument for parameters out of range.
  IvfIndex(const Space& space, const IvfParams& params);
  IvfIndex(const Space& space, const io::Reader& reader, bool mapped, bool verify);

  const char* kind() const override { return params_.imi_bits > 0 ? "imi" : "ivf"; }
  const IvfParams& params() const { return params_; }
  // 0 until trained.
  std::size_t list_count() const { return list_count_; }

 protected:
  void search_batch(const Batch& batch) const override;
  std::vector<Neighbor> search_range(const PreparedQuery& query, float radius, const SearchOptions& options,
                                     const NodeBitset* passing) const override;
  bool wants_training(std::size_t more) const override;
  void train_structure(const void* vectors, std::size_t count, bool from_add, const WorkOptions& options) override;
  void adopt_structure() noexcept override;
  ParallelOutcome insert_rows(std::size_t first, const WorkOptions& options) override;
  void settle_rows() override;
  void truncate_rows(std::size_t size) override;
  void compact_rows(const WorkOptions& options) override;
  // Of product codes, 256 times their bytes.
  std::uint32_t code_bits() const override { return params_.code_bits + 256 * params_.code_parts; }
  void trace_batch(const TraceRequest& request, std::span<const NodeId> own, const NodeBitset* passing,
                   Traces& traces) const override;
  std::size_t structure_bytes() const override;
  io::IndexKind file_kind() const override;
  void add_sections(std::vector<io::Section>& sections) const override;

 private:
  struct Scratch {
    PreparedQuery query;
    Partition::ProbeScratch probing;
    std::vector<Probe> probes;
    SortedBeam first_lists;     // the nearest by estimates
    std::vector<Key> surveyed;  // all lists by estimates; from the first on that is not among those, without them
    std::vector<float> values;
    std::vector<Probe> scanned;
    BlockCodec::QueryScratch packed;
    Candidates candidates;
    std::vector<NodeId> named;
    SortedTopK nearest;

    // Of many queries at once.
    std::vector<PreparedQuery> prepared;
    std::vector<BlockCodec::QueryScratch> tables;
    std::vector<BatchedQuery> queries;
    std::vector<Probe> all_probes;
    std::vector<std::size_t> probe_ends;
    Visits visits;
  };

  std::size_t effective_nprobe(const SearchOptions& options, std::size_t passing_count) const;
  std::size_t effective_rerank(const SearchOptions& options, std::size_t k) const;
  // Fills scratch.probes; how many centroids that took. packed: null where there are no codes.
  std::size_t choose_lists(const void* query, const kernels::PackedQuery* packed, std::size_t nprobe,
                           Scratch& scratch) const;
  template <class Stop>
  void search_one(const Batch& batch, std::size_t query_index, std::size_t nprobe, Stop stop, Scratch& scratch) const;
  // Queries [first, first + count) of a batch, list by list: the same results as one by one, sooner.
  void search_together(const Batch& batch, std::size_t first, std::size_t count, std::size_t nprobe,
                       Scratch& scratch) const;
  // How many queries to search together; 1 if lists would have too few visitors for that to pay.
  std::size_t together(const Batch& batch, std::size_t nprobe) const;
  // The k nearest of scratch.candidates, by the vectors themselves.
  void rerank(Candidates& candidates, const void* query, std::size_t k, Scratch& scratch) const;
  void search_for_target(const Batch& batch) const;
  // Estimates from the lists' codes.
  CodeScorer code_scorer(std::span<const Probe> probes, const kernels::PackedQuery& query) const {
    return {structure_.lists, probes, structure_.codec->scan(), query, structure_.reach};
  }
  // The same of the centroids', from `everything`.
  CodeScorer coarse_scorer(const Probe& everything, const kernels::PackedQuery& query) const {
    return {structure_.coarse, std::span(&everything, 1), structure_.codec->scan(), query, 1};
  }
  // Scans lists until `stop` ends it, at most `cap`, into scratch.candidates (`wanted` of them) or where there are no
  // codes scratch.nearest. scratch.query is prepared. In `passing`: null if all.
  template <class Stop>
  void scan_until(Stop& stop, std::size_t cap, std::size_t k, std::size_t wanted, const NodeBitset* passing,
                  Scratch& scratch, SearchProgress& progress) const;
  // Looks at all lists once, for choose_more to take from; how many centroids that took.
  std::size_t survey_lists(const void* query, const kernels::PackedQuery* packed, Scratch& scratch) const;
  // Puts more lists behind the `scanned` first of scratch.probes, until there are `count` in order; as above.
  std::size_t choose_more(const void* query, std::size_t count, std::size_t scanned, Scratch& scratch) const;
  std::size_t lists_for(std::size_t vectors) const;
  // Learned from the sample, without nodes.
  ListStructure trained_structure(const VectorStore& sample, std::size_t lists, std::size_t threads,
                                  Monitor* monitor) const;

  IvfParams params_;
  std::uint64_t trained_on_ = 0;  // vectors there were when the lists were made
  std::size_t settled_ = 0;       // vectors there were when lists were tightened last
  ListStructure structure_;
  std::atomic<std::size_t> list_count_ = 0;  // of structure_, for those who ask without its lock
  ListStructure next_;                       // between train_structure and adopt_structure
  std::uint64_t next_trained_on_ = 0;
  mutable ScratchPool<Scratch> scratch_;
};

}  // namespace fastcbir
