#include "fastcbir/index/index.hpp"

#include <algorithm>
#include <cstring>

#include "fastcbir/core/parallel.hpp"
#include "fastcbir/index/index_locks.hpp"

namespace fastcbir {
namespace {

constexpr std::size_t max_nodes = (std::size_t{1} << 31) - 1;  // a beam key has 31 bits for the node

// How many vectors go in before waiting searches are let in: a fraction of a second's work.
constexpr std::size_t slice_per_thread = 4096;

}  // namespace

Index::Index(const Space& space, const io::Reader& reader, bool mapped)
    : space_(space),
      vectors_(space, reader.section(io::rows_tag, reader.header().vector_count * space.stride_bytes(), mapped)),
      read_only_(mapped) {
  const std::size_t count = reader.header().vector_count;
  if (count > max_nodes) reader.fail("holds " + std::to_string(count) + " vectors, more than an index can have");
  next_id_ = static_cast<Id>(reader.header().next_id);
  dead_ = NodeBitset(count);
  if (reader.has(io::dead_tag)) {
    const AlignedBuffer words = reader.section(io::dead_tag, (count + 63) / 64 * 8, false);
    dead_ = NodeBitset(words.as<std::uint64_t>(), count);
    dead_count_ = dead_.count();
  }
  if (reader.has(io::ids_tag)) {
    const AlignedBuffer ids = reader.section(io::ids_tag, count * sizeof(Id), false);
    ids_ = IdMap(ids.as<Id>(), count, [this](NodeId node) { return !dead_[node]; });
  } else {
    ids_.append_sequential(count);
  }
  if (reader.has(io::stop_tag)) read_stop_model(reader);
}

void Index::add(const void* vectors, std::size_t count, const Id* ids, Id* assigned, const WorkOptions& options) {
  check_writable("add to");
  space_.check_input(vectors, count, "vectors");
  if (ids != nullptr) check_distinct({ids, count});
  WriterLock writer(*this);
  if (vectors_.size() + count > max_nodes) {
    throw std::invalid_argument("an index holds at most " + std::to_string(max_nodes) + " vectors, it has " +
                                std::to_string(vectors_.size()) + " and " + std::to_string(count) + " were to come");
  }
  std::vector<Id> chosen;
  if (ids == nullptr) {
    chosen.resize(count);
    for (std::size_t i = 0; i < count; ++i) chosen[i] = next_id_ + static_cast<Id>(i);
    ids = chosen.data();
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      if (ids[i] < 0) throw std::invalid_argument("ids must not be negative, got " + std::to_string(ids[i]));
      if (live_node(ids[i]) != no_node) {
        throw std::invalid_argument("id " + std::to_string(ids[i]) +
                                    " is in the index already; give it a new vector with update()");
      }
    }
  }
  if (count > 0 && wants_training(count)) {
    train_structure(vectors, count, true, options);
    const auto data = writer.data();
    adopt_structure();
  }
  if (assigned != nullptr) std::copy_n(ids, count, assigned);
  add_slices(vectors, count, ids, false, options);
}

void Index::train(const void* vectors, std::size_t count, const WorkOptions& options) {
  check_writable("train");
  space_.check_input(vectors, count, "vectors");
  WriterLock writer(*this);
  train_structure(vectors, count, false, options);
  const auto data = writer.data();
  adopt_structure();
  adopt_model(nullptr);  // it was of the lists that were
}

void Index::train_structure(const void*, std::size_t, bool, const WorkOptions&) {
  throw std::logic_error(std::string("a ") + kind() + " index is not trained: add vectors right away");
}

void Index::update(const void* vectors, std::size_t count, const Id* ids, const WorkOptions& options) {
  check_writable("update");
  space_.check_input(vectors, count, "vectors");
  check_distinct({ids, count});
  WriterLock writer(*this);
  for (std::size_t i = 0; i < count; ++i) {
    if (live_node(ids[i]) == no_node) throw UnknownId("id " + std::to_string(ids[i]) + " is not in the index");
  }
  add_slices(vectors, count, ids, true, options);
}

// The writer lock is held by this thread: add and update took it.
void Index::add_slices(const void* vectors, std::size_t count, const Id* ids, bool replace,
                       const WorkOptions& options) {
  // A destructor: what is in must be finished, also when a monitor cancels the rest.
  struct Finish {
    Index& index;
    const WorkOptions& options;
    bool done = false;
    ~Finish() {
      if (!done) index.finish_rows({options.threads, nullptr}, false);
    }
  } finish{*this, options};
  const std::size_t slice = slice_per_thread * resolve_threads(options.threads);
  const std::size_t finishing = finishing_work(count);
  const std::size_t total = count + finishing;
  for (std::size_t begin = 0; begin < count; begin += slice) {
    const std::size_t part = std::min(slice, count - begin);
    std::unique_lock<std::shared_mutex> data;
    {
      const std::lock_guard gate(gate_mutex_);
      data = std::unique_lock(data_mutex_);
    }
    const std::size_t first = vectors_.size();
    PartMonitor monitor(options.monitor, begin, part, total);
    ParallelOutcome outcome;
    try {
      bool sequential = !replace;
      for (std::size_t i = 0; i < part && sequential; ++i) sequential = ids[begin + i] == static_cast<Id>(first + i);
      ids_.reserve(part, sequential);
      vectors_.append(space_, static_cast<const std::byte*>(vectors) + begin * space_.input_bytes(), part);
      dead_.resize(first + part);
      outcome = insert_rows(first, {options.threads, &monitor});
    } catch (...) {
      outcome = {0, std::current_exception()};
    }
    if (outcome.completed < part) {
      // Rows beyond the finished ones were never linked.
      truncate_rows(first + outcome.completed);
      vectors_.truncate(first + outcome.completed);
      dead_.resize(first + outcome.completed);
    }
    // Only what is linked gets its id. Room is there: nothing can fail from here on.
    for (std::size_t i = 0; i < outcome.completed; ++i) {
      const Id id = ids[begin + i];
      if (replace) {
        dead_.set(live_node(id));
        ++dead_count_;
      }
      ids_.append(id);
      next_id_ = std::max(next_id_, id + 1);
    }
    if (outcome.error) std::rethrow_exception(outcome.error);
    if (begin + part == count) settle_rows();
    data.unlock();
    if (options.monitor != nullptr) options.monitor->tick(begin + part, total);
  }
  finish.done = true;
  PartMonitor monitor(options.monitor, count, finishing, total);
  if (const auto error = finish_rows({options.threads, &monitor}, true)) std::rethrow_exception(error);
  if (finishing > 0 && options.monitor != nullptr) options.monitor->tick(total, total);
}

void Index::remove(const Id* ids, std::size_t count) {
  check_writable("remove from");
  check_distinct({ids, count});
  WriterLock writer(*this);
  for (std::size_t i = 0; i < count; ++i) {
    if (live_node(ids[i]) == no_node) throw UnknownId("id " + std::to_string(ids[i]) + " is not in the index");
  }
  const auto data = writer.data();
  for (std::size_t i = 0; i < count; ++i) {
    dead_.set(live_node(ids[i]));
    ids_.erase(ids[i]);
  }
  dead_count_ += count;
}

void Index::compact(const WorkOptions& options) {
  check_writable("compact");
  WriterLock writer(*this);
  if (dead_count_ == 0) return;
  const auto data = writer.data();
  compact_rows(options);
}

void Index::close_gaps() {
  std::vector<Id> kept_ids;
  std::size_t kept = 0;
  for (std::size_t node = 0; node < vectors_.size(); ++node) {
    if (dead_[node]) continue;
    if (kept != node) vectors_.move_row(static_cast<NodeId>(node), static_cast<NodeId>(kept));
    kept_ids.push_back(ids_.id_of(static_cast<NodeId>(node)));
    ++kept;
  }
  vectors_.truncate(kept);
  bool sequential = true;
  for (std::size_t i = 0; i < kept && sequential; ++i) sequential = kept_ids[i] == static_cast<Id>(i);
  ids_ = IdMap(sequential ? std::span<const Id>() : std::span<const Id>(kept_ids), kept, [](NodeId) { return true; });
  dead_ = NodeBitset(kept);
  dead_count_ = 0;
}

void Index::search(const void* queries, std::size_t count, std::size_t k, const SearchOptions& options,
                   const SearchOutput& output) const {
  if (k == 0 || k > max_k) {
    throw std::invalid_argument("k must be in 1.." + std::to_string(max_k) + ", got " + std::to_string(k));
  }
  space_.check_input(queries, count, "queries");
  const SharedLock lock(*this);
  const std::optional<NodeBitset> filter = passing_nodes(options.allow);
  const std::size_t passing_count = filter ? filter->count() : vectors_.size();
  std::fill_n(output.ids, count * k, no_id);
  std::fill_n(output.distances, count * k, infinity);
  std::fill_n(output.cost, count, 0u);
  Batch batch{
      static_cast<const std::byte*>(queries), count, k, options, filter ? &*filter : nullptr, passing_count, output};
  const auto present = static_cast<float>(vectors_.size() - dead_count_);
  const float share = options.allow.given() ? static_cast<float>(passing_count) / std::max(present, 1.0f) : 0;
  if (options.target.given()) {
    batch.plan = plan_for(options.target, k, share);
    if (stop_model_) batch.largest_norm = stop_model_->largest_norm();
    std::fill_n(output.reasons, count, static_cast<std::uint8_t>(batch.plan.reason));
    std::fill_n(output.estimates, count, batch.plan.estimated_recall);
  }
  if (count == 0 || passing_count == 0) return;
  search_batch(batch);
  if (batch.plan.reason == StopReason::target) search_shadows(batch, share);
}

RangeOutput Index::range_search(const void* queries, std::size_t count, float radius,
                                const SearchOptions& options) const {
  if (!(radius == radius)) throw std::invalid_argument("radius must be a number, got nan");
  space_.check_input(queries, count, "queries");
  const SharedLock lock(*this);
  const std::optional<NodeBitset> filter = passing_nodes(options.allow);
  RangeOutput output;
  output.ids.resize(count);
  output.distances.resize(count);
  if (vectors_.size() == 0 || (filter && filter->count() == 0)) return output;
  parallel_for(count, 1, options.threads, options.monitor, [&](std::size_t, std::size_t begin, std::size_t end) {
    PreparedQuery query;
    for (; begin < end; ++begin) {
      space_.prepare(static_cast<const std::byte*>(queries) + begin * space_.input_bytes(), query);
      for (const Neighbor& neighbor :
           search_range(query, space_.unfinish(radius, query), options, filter ? &*filter : nullptr)) {
        output.ids[begin].push_back(ids_.id_of(neighbor.node));
        output.distances[begin].push_back(space_.finish(neighbor.distance, query));
      }
    }
  });
  return output;
}

void Index::reconstruct(const Id* ids, std::size_t count, void* vectors) const {
  const SharedLock lock(*this);
  for (std::size_t i = 0; i < count; ++i) {
    const NodeId node = live_node(ids[i]);
    if (node == no_node) throw UnknownId("id " + std::to_string(ids[i]) + " is not in the index");
    space_.decode(vectors_.row(node), static_cast<std::byte*>(vectors) + i * space_.input_bytes());
  }
}

std::size_t Index::size() const {
  const SharedLock lock(*this);
  return vectors_.size() - dead_count_;
}

std::size_t Index::removed_count() const {
  const SharedLock lock(*this);
  return dead_count_;
}

bool Index::contains(Id id) const {
  const SharedLock lock(*this);
  return live_node(id) != no_node;
}

std::vector<Id> Index::ids() const {
  const SharedLock lock(*this);
  std::vector<Id> ids;
  ids.reserve(vectors_.size() - dead_count_);
  for (std::size_t node = 0; node < vectors_.size(); ++node) {
    if (!dead_[node]) ids.push_back(ids_.id_of(static_cast<NodeId>(node)));
  }
  return ids;
}

Id Index::next_id() const {
  const SharedLock lock(*this);
  return next_id_;
}

std::size_t Index::memory_bytes() const {
  const SharedLock lock(*this);
  return vectors_.memory_bytes() + ids_.memory_bytes() + dead_.words().size_bytes() + structure_bytes();
}

void Index::save(const std::filesystem::path& path) const {
  check_not_inside_callback();
  const std::lock_guard writer(writer_mutex_);
  const SharedLock lock(*this);
  io::Header header{};
  header.kind = static_cast<std::uint32_t>(file_kind());
  header.vector_count = vectors_.size();
  header.dim = static_cast<std::uint32_t>(space_.dim());
  header.metric = static_cast<std::uint8_t>(space_.metric());
  header.scalar_type = static_cast<std::uint8_t>(space_.type());
  header.next_id = static_cast<std::uint64_t>(next_id_);
  std::vector<io::Section> sections;
  sections.push_back({io::rows_tag, {vectors_.bytes().data(), vectors_.bytes().size()}});
  if (!ids_.sequential()) sections.push_back({io::ids_tag, std::as_bytes(ids_.ids())});
  if (dead_count_ > 0) sections.push_back({io::dead_tag, std::as_bytes(dead_.words())});
  if (stop_model_) {
    sections.push_back({io::stop_tag, stop_model_->bytes()});
    io::Section measured{io::shadow_tag, {}, shadows_->bytes()};
    measured.bytes = measured.owned;
    if (!measured.owned.empty()) sections.push_back(std::move(measured));
  }
  add_sections(sections);
  io::write_file(path, header, sections);
}

void Index::emit(const SearchOutput& output, std::size_t k, std::size_t query_index, const PreparedQuery& query,
                 std::span<const Neighbor> found, std::uint32_t cost) const {
  for (std::size_t i = 0; i < std::min(k, found.size()); ++i) {
    output.ids[query_index * k + i] = ids_.id_of(found[i].node);
    output.distances[query_index * k + i] = space_.finish(found[i].distance, query);
  }
  output.cost[query_index] = cost;
}

NodeId Index::live_node(Id id) const {
  const NodeId node = ids_.find(id);
  return node != no_node && !dead_[node] ? node : no_node;
}

void Index::check_writable(const char* action) const {
  if (read_only_) {
    throw std::logic_error(std::string("can't ") + action +
                           " an index opened with mmap=True, which is read-only; load it without mmap");
  }
}

void Index::check_not_inside_callback() const {
  if (writer_.load() == std::this_thread::get_id() || SharedLock::held_by_this_thread == this) {
    throw std::logic_error("an index can't be used from its own progress callback");
  }
}

void Index::check_distinct(std::span<const Id> ids) const {
  std::vector<Id> sorted(ids.begin(), ids.end());
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end()) {
    throw std::invalid_argument("id " + std::to_string(*twice) + " is given more than once");
  }
}

std::optional<NodeBitset> Index::passing_nodes(const AllowList& allow) const {
  if (allow.mask != nullptr && allow.mask_size < static_cast<std::size_t>(next_id_)) {
    throw std::invalid_argument("a mask needs an entry for each id up to the largest: expected at least " +
                                std::to_string(next_id_) + ", got " + std::to_string(allow.mask_size));
  }
  const std::size_t nodes = vectors_.size();
  if (!allow.given() && dead_count_ == 0) return std::nullopt;
  NodeBitset passing(nodes, !allow.given());
  if (allow.mask != nullptr) {
    for (std::size_t node = 0; node < nodes; ++node) {
      const Id id = ids_.id_of(static_cast<NodeId>(node));
      if (allow.mask[id]) passing.set(node);
    }
  } else if (allow.ids != nullptr) {
    for (std::size_t i = 0; i < allow.count; ++i) {
      if (const NodeId node = ids_.find(allow.ids[i]); node != no_node) passing.set(node);
    }
  }
  if (dead_count_ > 0) dead_.for_each([&](std::size_t node) { passing.reset(node); });
  return passing;
}

}  // namespace fastcbir
