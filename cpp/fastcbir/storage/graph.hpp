// GraphLinks: who is whose neighbour, level by level. Floor 2.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/core/types.hpp"

namespace fastcbir {

// Level 0: one block of fixed size a node, on cache lines; unused slots hold no_node, so that a list ends at the first of
// them and needs no length. Upper levels (about one node in m has any): blocks of m slots in one pool, those of a node
// side by side.
//
// While nodes are being inserted, slots are read and written by several threads at once: every access is atomic
// (on x86 a plain move). Writers hold the node's lock; a reader may see a mixture of the old and the new list, all of
// whose nodes exist. Stores release, so that whoever follows a link finds what was written to its node before.
class GraphLinks {
 public:
  // m0 and m: how many links a node may have on level 0 and on each level above.
  // payload_bytes: what a codec keeps of a node's neighbours, behind the node's level-0 links.
  GraphLinks(std::size_t m0, std::size_t m, std::size_t payload_bytes);
  GraphLinks(std::size_t m0, std::size_t m, std::size_t payload_bytes, AlignedBuffer level0, AlignedBuffer levels,
             AlignedBuffer upper_begins, AlignedBuffer upper);

  static constexpr std::size_t max_level = 31;

  std::size_t size() const { return levels_.size(); }
  std::size_t capacity(std::size_t level) const { return level == 0 ? m0_ : m_; }
  std::size_t level_of(NodeId node) const { return levels_.as<std::uint8_t>()[node]; }
  const std::uint32_t* block(NodeId node, std::size_t level) const {
    if (level == 0) return level0_.as<std::uint32_t>().data() + node * stride0_;
    return upper_.as<std::uint32_t>().data() + (upper_begins_.as<std::uint32_t>()[node] + level - 1) * std::size_t{m_};
  }
  std::uint32_t* block(NodeId node, std::size_t level) {
    return const_cast<std::uint32_t*>(static_cast<const GraphLinks*>(this)->block(node, level));
  }
  const std::byte* payload(NodeId node) const {
    return level0_.data() + std::size_t{node} * stride0_bytes() + payload_begin_bytes_;
  }
  std::byte* payload(NodeId node) {
    return const_cast<std::byte*>(static_cast<const GraphLinks*>(this)->payload(node));
  }
  std::size_t payload_bytes() const { return stride0_bytes() - payload_begin_bytes_; }
  std::size_t stride0_bytes() const { return stride0_ * sizeof(std::uint32_t); }

  // Makes room for nodes with these top levels, without links.
  void append(std::span<const std::uint8_t> levels);
  void truncate(std::size_t size);
  // Replaces a list. The caller holds the node's lock where others may read.
  void set(NodeId node, std::size_t level, std::span<const NodeId> neighbors);

  const AlignedBuffer& level0_bytes() const { return level0_; }
  const AlignedBuffer& levels_bytes() const { return levels_; }
  const AlignedBuffer& upper_begins_bytes() const { return upper_begins_; }
  const AlignedBuffer& upper_bytes() const { return upper_; }
  std::size_t memory_bytes() const { return level0_.size() + levels_.size() + upper_begins_.size() + upper_.size(); }

  // Throws std::runtime_error unless every link names a node that exists on that level: what a file must prove before
  // it is searched.
  void check() const;

 private:
  std::size_t m0_;
  std::size_t m_;
  std::size_t payload_begin_bytes_;
  std::size_t stride0_;  // slots in a level-0 block, padding and payload included
  AlignedBuffer level0_;
  AlignedBuffer levels_;        // u8 a node
  AlignedBuffer upper_begins_;  // u32 a node: its first block in upper_
  AlignedBuffer upper_;
};

inline NodeId load_link(const std::uint32_t& slot) {
  return std::atomic_ref(const_cast<std::uint32_t&>(slot)).load(std::memory_order_relaxed);
}
inline void store_link(std::uint32_t& slot, NodeId node) {
  std::atomic_ref(slot).store(node, std::memory_order_release);
}

}  // namespace fastcbir
