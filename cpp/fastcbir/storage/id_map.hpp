// IdMap: the user's ids and our node numbers, both ways. Floor 2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fastcbir/core/types.hpp"

namespace fastcbir {

// While ids are just 0, 1, 2, ... in the order of insertion (the common case), nothing is stored. The first id that
// breaks the rule makes a table: 8 bytes a node, and an open-addressing hash of node numbers at 4 bytes a slot.
// A node that was removed or replaced keeps its id in the table of nodes, but find() no longer leads to it.
class IdMap {
 public:
  IdMap() = default;
  // Ids of nodes as a file holds them (empty: sequential); `is_live(node)` says which of them find() knows.
  template <class IsLive>
  IdMap(std::span<const Id> ids, std::size_t count, IsLive&& is_live) : count_(count) {
    if (ids.empty()) return;
    ids_.assign(ids.begin(), ids.end());
    sequential_ = false;
    rebuild_slots(count);
    for (std::size_t node = 0; node < count; ++node) {
      if (is_live(static_cast<NodeId>(node))) insert_slot(static_cast<NodeId>(node));
    }
  }

  std::size_t size() const { return count_; }
  bool sequential() const { return sequential_; }
  Id id_of(NodeId node) const { return sequential_ ? static_cast<Id>(node) : ids_[node]; }
  // no_node if the id is unknown. Removed nodes: the caller checks its tombstones while ids are sequential.
  NodeId find(Id id) const;
  std::span<const Id> ids() const { return ids_; }

  // Gives the next node this id; find(id) leads to it from now on. Throws nothing if reserve() has made room.
  void append(Id id);
  // Room for `count` further nodes, whose ids will not go on in sequence unless `sequential` says so.
  void reserve(std::size_t count, bool sequential);
  void append_sequential(std::size_t count);
  void erase(Id id);
  std::size_t memory_bytes() const { return ids_.capacity() * sizeof(Id) + slots_.capacity() * sizeof(NodeId); }

 private:
  void materialise();  // leaves sequential mode
  std::size_t slot_of(Id id) const;
  void insert_slot(NodeId node);
  void rebuild_slots(std::size_t room);
  void make_room(std::size_t nodes);

  bool sequential_ = true;
  std::size_t count_ = 0;
  std::vector<Id> ids_;
  std::vector<NodeId> slots_;  // power of two, at most two thirds full; no_node is free
  std::size_t filled_ = 0;
};

}  // namespace fastcbir
