// Index: what all indexes do alike: vectors, ids, removal, locking, checks; each kind adds how it finds. Floor 5.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "fastcbir/core/bitset.hpp"
#include "fastcbir/core/parallel.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/index/params.hpp"
#include "fastcbir/io/reader.hpp"
#include "fastcbir/io/writer.hpp"
#include "fastcbir/stop/shadow.hpp"
#include "fastcbir/stop/stop_model.hpp"
#include "fastcbir/storage/id_map.hpp"
#include "fastcbir/storage/space.hpp"
#include "fastcbir/storage/vectors.hpp"

namespace fastcbir {

// An id that the index does not hold.
struct UnknownId : std::out_of_range {
  using std::out_of_range::out_of_range;
};

// Where a search writes: rows of k for each query, missing neighbours as (no_id, infinity).
struct SearchOutput {
  Id* ids;
  float* distances;
  std::uint32_t* cost;  // distances computed for each query
  // For searches with a target, else null: a StopReason, and what may be expected, for each query.
  std::uint8_t* reasons = nullptr;
  float* estimates = nullptr;
};

// What queries to learn from see on their way: a row of numbers a step. Each kind of index has its own columns.
struct TraceRequest {
  const void* queries;
  std::size_t count;
  std::size_t k;
  std::size_t cap;        // ef or nprobe
  const Id* own;          // of each query that is a vector of the index: its id, not to be found; or null, or no_id
  const float* true_kth;  // of each query: kernel value of its k-th nearest (Index::nearest_values)
  float largest_norm;
  AllowList allow;        // of all these queries
  bool detailed = false;  // more columns, at more cost
  bool whole = false;     // by codes: a step is a whole search with a larger ef, as one with a fixed ef is done
  std::size_t threads = 0;
  Monitor* monitor = nullptr;
};
struct Traces {
  std::size_t columns;
  std::vector<std::vector<float>> rows;  // of each query
};

struct RangeOutput {
  std::vector<std::vector<Id>> ids;  // a list a query, nearest first
  std::vector<std::vector<float>> distances;
};

// Thread safety. Searches, reconstructions and questions about size run side by side. add, update, remove and compact
// exclude each other; add and update let waiting searches in between slices of some thousand vectors, so that a search
// sees a prefix of what is being added. Calling an index from its own progress callback is an error, not a deadlock.
//
// Cancelling (a monitor that throws) or running out of memory leaves a usable index: add and update keep the vectors
// finished so far, compact keeps all as it was.
class Index {
 public:
  virtual ~Index() = default;
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  const Space& space() const { return space_; }
  virtual const char* kind() const = 0;

  // `vectors`: count * dim numbers of the space's input type. Without ids, vectors get the ids from next_id on.
  // Writes the ids used to `assigned` (may be null). Throws std::invalid_argument for numbers that are not finite, ids
  // given twice or present already; then nothing has been added.
  void add(const void* vectors, std::size_t count, const Id* ids, Id* assigned, const WorkOptions& options);
  // Learns from a sample where vectors lie, for kinds that must (inverted lists; std::logic_error for others). An index
  // that has vectors keeps them and makes its lists anew. Throws std::invalid_argument for too few vectors; cancelling
  // leaves all as it was. add() trains by itself on its first vectors.
  void train(const void* vectors, std::size_t count, const WorkOptions& options);
  // Gives present ids new vectors. Throws UnknownId, std::invalid_argument; then nothing has changed.
  void update(const void* vectors, std::size_t count, const Id* ids, const WorkOptions& options);
  // Takes vectors out of all results at once; compact() gives their memory back. Throws UnknownId; then nothing has
  // changed.
  void remove(const Id* ids, std::size_t count);
  void compact(const WorkOptions& options);

  void search(const void* queries, std::size_t count, std::size_t k, const SearchOptions& options,
              const SearchOutput& output) const;
  // Everything nearer than `radius`, a distance of the metric, included.
  RangeOutput range_search(const void* queries, std::size_t count, float radius, const SearchOptions& options) const;

  // Learning when to stop (see stop/). A model must be of an index like this one: std::invalid_argument if not.
  void set_stop_model(std::vector<std::byte> bytes);
  std::vector<std::byte> stop_model() const;  // empty if there is none
  StopModel::Fingerprint fingerprint() const;
  // Ids to take vectors from as queries: at most `count`, drawn evenly from those that can be.
  std::vector<Id> draw_queries(std::size_t count, std::uint64_t seed) const;
  // Kernel values of the k nearest of each query, exactly, nearest first; infinity where there are fewer. own: as in
  // TraceRequest.
  void nearest_values(const void* queries, std::size_t count, std::size_t k, const Id* own, const AllowList& allow,
                      const WorkOptions& options, float* values) const;
  Traces trace(const TraceRequest& request) const;
  float largest_norm() const;  // of the vectors
  // What a search for this would do; share: see StopQuestion.
  StopPlan plan(const StopTarget& target, std::size_t k, float share) const;
  std::vector<ShadowLedger::Row> shadows() const;  // what was looked at since the model was set

  // Writes count * dim numbers of the input type. Throws UnknownId.
  void reconstruct(const Id* ids, std::size_t count, void* vectors) const;

  std::size_t size() const;           // without removed vectors
  std::size_t removed_count() const;  // removed or replaced, not yet compacted
  bool contains(Id id) const;
  std::vector<Id> ids() const;  // in the order of insertion
  Id next_id() const;           // greater than every id there has been
  std::size_t memory_bytes() const;
  bool read_only() const { return read_only_; }

  // Writes an .fcx file: atomically, in place of an old one; waits for a running change. Throws std::system_error.
  void save(const std::filesystem::path& path) const;

 protected:
  explicit Index(const Space& space) : space_(space), vectors_(space) {}
  Index(const Space& space, const io::Reader& reader, bool mapped);

  // What one call of search needs, after checks and filters.
  struct Batch {
    const std::byte* queries;
    std::size_t count;
    std::size_t k;
    const SearchOptions& options;
    const NodeBitset* passing;  // null: every node may be returned
    std::size_t passing_count;
    const SearchOutput& output;
    StopPlan plan{StopReason::none, nullptr, nullptr, 0, 0, 0, 0, 0};
    float largest_norm = 0;  // that the plan's model knows of

    // Whether what passes is fewer than the plan would look at.
    bool few_pass() const { return passing != nullptr && static_cast<float>(passing_count) <= plan.cost; }
  };

  // The hooks: called with the lock held as the public members need it.
  virtual void search_batch(const Batch& batch) const = 0;
  virtual std::vector<Neighbor> search_range(const PreparedQuery& query, float radius, const SearchOptions& options,
                                             const NodeBitset* passing) const = 0;
  // Whether a vector of the index can stand for a query that is not in it.
  virtual bool may_be_query(NodeId) const { return true; }
  virtual std::uint32_t code_bits() const { return 0; }
  // The steps of one query are rows of traces.rows[i]; own: its node or no_node.
  // passing: null if every node may be returned.
  virtual void trace_batch(const TraceRequest& request, std::span<const NodeId> own, const NodeBitset* passing,
                           Traces& traces) const;
  // Whether an add of `more` vectors is to train first.
  virtual bool wants_training(std::size_t) const { return false; }
  // Makes what finds rows anew, beside what is there, from `vectors` (and if they come from an add, from present ones).
  // Only other writers are kept out; adopt_structure, which then puts it in place, has the index to itself.
  virtual void train_structure(const void* vectors, std::size_t count, bool from_add, const WorkOptions& options);
  virtual void adopt_structure() noexcept {}
  // Rows [first, vectors_.size()) are new: link them. Returns how many of them were finished, and the error if fewer.
  virtual ParallelOutcome insert_rows(std::size_t first, const WorkOptions& options) = 0;
  // The last slice of an add or update is in; searches still wait.
  virtual void settle_rows() {}
  // What finish_rows will do once `more` have come, in inserts.
  virtual std::size_t finishing_work(std::size_t /*more*/) const { return 0; }
  // After the last slice of an add or update; not complete: it was cancelled, and whoever did wants to go on soon.
  // Searches run beside it, other changes and save do not.
  // Returns what its monitor threw; all rows stay.
  virtual std::exception_ptr finish_rows(const WorkOptions&, bool /*complete*/) noexcept { return nullptr; }
  // Forget rows from `size` on: none of them was finished.
  virtual void truncate_rows(std::size_t size) = 0;
  // Rows of dead nodes are about to go; close_gaps moves the rest up in their order.
  virtual void compact_rows(const WorkOptions& options) = 0;
  virtual std::size_t structure_bytes() const = 0;
  virtual io::IndexKind file_kind() const = 0;
  virtual void add_sections(std::vector<io::Section>& sections) const = 0;

  void close_gaps();
  // Turns kernel values into distances and nodes into ids, and pads to k.
  void emit(const SearchOutput& output, std::size_t k, std::size_t query_index, const PreparedQuery& query,
            std::span<const Neighbor> found, std::uint32_t cost) const;
  static void promise_exact(const SearchOutput& output, std::size_t query_index);
  static void promise_nothing(const SearchOutput& output, std::size_t query_index, StopReason reason);
  const NodeBitset& dead() const { return dead_; }
  std::size_t dead_count() const { return dead_count_; }

  Space space_;
  VectorStore vectors_;

 private:
  class SharedLock;
  class WriterLock;

  NodeId live_node(Id id) const;  // no_node if there is none
  void check_writable(const char* action) const;
  void check_not_inside_callback() const;
  void check_distinct(std::span<const Id> ids) const;
  void add_slices(const void* vectors, std::size_t count, const Id* ids, bool replace, const WorkOptions& options);
  std::optional<NodeBitset> passing_nodes(const AllowList& allow) const;

  StopQuestion question(const StopTarget& target, std::size_t k, float share) const;
  StopPlan plan_for(const StopTarget& target, std::size_t k, float share) const;
  void adopt_model(std::unique_ptr<const StopModel> model);
  void search_shadows(const Batch& batch, float share) const;
  void read_stop_model(const io::Reader& reader);
  std::vector<NodeId> nodes_of(const Id* own, std::size_t count) const;  // no_node for unknown ids

  std::unique_ptr<const StopModel> stop_model_;
  std::unique_ptr<ShadowLedger> shadows_;  // with a model; its own thread safety
  IdMap ids_;
  NodeBitset dead_;
  std::size_t dead_count_ = 0;
  Id next_id_ = 0;
  bool read_only_ = false;

  mutable std::shared_mutex data_mutex_;
  mutable std::mutex gate_mutex_;    // held while waiting for the data: searches that come later queue behind a writer
  mutable std::mutex writer_mutex_;  // held by a change from its first slice to its last, and while saving
  std::atomic<std::thread::id> writer_{};
};

// Reads an .fcx file of any kind. mapped: searched where it lies, read-only. verify: check every checksum and link
// (otherwise only header, table and sizes: for files known to be whole). Throws io::FormatError, std::system_error.
std::unique_ptr<Index> load_index(const std::filesystem::path& path, bool mapped, bool verify);

}  // namespace fastcbir
