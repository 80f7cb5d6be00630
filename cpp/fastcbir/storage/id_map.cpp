#include "fastcbir/storage/id_map.hpp"

#include <algorithm>
#include <bit>

#include "fastcbir/core/rng.hpp"

namespace fastcbir {

NodeId IdMap::find(Id id) const {
  if (sequential_) return id >= 0 && static_cast<std::size_t>(id) < count_ ? static_cast<NodeId>(id) : no_node;
  return slots_.empty() ? no_node : slots_[slot_of(id)];
}

void IdMap::append(Id id) {
  if (sequential_) {
    if (id == static_cast<Id>(count_)) {
      ++count_;
      return;
    }
    materialise();
  }
  ids_.push_back(id);
  ++count_;
  insert_slot(static_cast<NodeId>(count_ - 1));
}

void IdMap::append_sequential(std::size_t count) { count_ += count; }

void IdMap::erase(Id id) {
  if (sequential_) return;  // the caller's tombstone is enough
  std::size_t hole = slot_of(id);
  if (slots_[hole] == no_node) return;
  // Backward-shift deletion keeps probes short without tombstones in the table (Knuth, TAOCP 6.4, algorithm R).
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = (hole + 1) & mask; slots_[at] != no_node; at = (at + 1) & mask) {
    const std::size_t home = mix64(static_cast<std::uint64_t>(ids_[slots_[at]])) & mask;
    if (((at - home) & mask) >= ((at - hole) & mask)) {
      slots_[hole] = slots_[at];
      hole = at;
    }
  }
  slots_[hole] = no_node;
  --filled_;
}

void IdMap::reserve(std::size_t count, bool sequential) {
  if (sequential_ && sequential) return;
  materialise();
  if (const std::size_t needed = count_ + count; needed > ids_.capacity()) {
    ids_.reserve(std::max(needed, ids_.capacity() * 3 / 2));
  }
  make_room(filled_ + count);
}

void IdMap::materialise() {
  if (!sequential_) return;
  ids_.resize(count_);
  for (std::size_t node = 0; node < count_; ++node) ids_[node] = static_cast<Id>(node);
  sequential_ = false;
  rebuild_slots(count_);
  for (std::size_t node = 0; node < count_; ++node) insert_slot(static_cast<NodeId>(node));
}

std::size_t IdMap::slot_of(Id id) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = mix64(static_cast<std::uint64_t>(id)) & mask;
  while (slots_[at] != no_node && ids_[slots_[at]] != id) at = (at + 1) & mask;
  return at;
}

void IdMap::insert_slot(NodeId node) {
  make_room(filled_ + 1);
  const std::size_t at = slot_of(ids_[node]);
  if (slots_[at] == no_node) ++filled_;
  slots_[at] = node;
}

void IdMap::make_room(std::size_t nodes) {
  if (nodes * 3 <= slots_.size() * 2) return;
  const std::vector<NodeId> before = slots_;
  rebuild_slots(std::max(nodes, filled_ * 2));
  for (const NodeId node : before) {
    if (node != no_node) insert_slot(node);
  }
}

void IdMap::rebuild_slots(std::size_t room) {
  slots_.assign(std::bit_ceil(std::max<std::size_t>(16, room * 3 / 2 + 1)), no_node);
  filled_ = 0;
}

}  // namespace fastcbir
