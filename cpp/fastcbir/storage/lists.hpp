// InvertedLists: which nodes lie in which list, in blocks of 32 with room for their codes. Floor 2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/core/types.hpp"

namespace fastcbir {

// Where a list lies, as files hold it.
struct ListExtent {
  std::uint64_t first_block;
  std::uint32_t size;             // nodes
  std::uint32_t capacity_blocks;  // blocks that are the list's own
};

// A list is a run of blocks; a block is the codes of up to 32 nodes, then their numbers, in the order of insertion.
// A list without room moves to the end with half as much again; when moves have left holes in a third of the blocks,
// all lists are laid out anew. tighten() leaves neither room nor holes.
class InvertedLists {
 public:
  static constexpr std::size_t block_nodes = 32;

  InvertedLists() = default;
  // code_bytes: of a block's codes, a multiple of 32; 0 for none.
  InvertedLists(std::size_t list_count, std::size_t code_bytes);
  // As a file holds them.
  InvertedLists(std::span<const ListExtent> extents, std::size_t code_bytes, AlignedBuffer blocks);

  std::size_t list_count() const { return extents_.size(); }
  std::size_t size(std::size_t list) const { return extents_[list].size; }
  std::size_t block_count(std::size_t list) const { return (size(list) + block_nodes - 1) / block_nodes; }
  std::size_t stride_bytes() const { return stride_bytes_; }
  std::size_t code_bytes() const { return code_bytes_; }

  const std::byte* block(std::size_t list, std::size_t at) const {
    return blocks_.data() + (extents_[list].first_block + at) * stride_bytes_;
  }
  std::byte* block(std::size_t list, std::size_t at) {
    return blocks_.data() + (extents_[list].first_block + at) * stride_bytes_;
  }
  const NodeId* nodes(const std::byte* block) const { return reinterpret_cast<const NodeId*>(block + code_bytes_); }
  NodeId node(std::size_t list, std::size_t at) const { return nodes(block(list, at / block_nodes))[at % block_nodes]; }

  // Room for `more[list]` further nodes in each list. Throws std::bad_alloc and then has changed nothing that shows.
  void make_room(std::span<const std::uint32_t> more);
  // Gives back what lists have room for beyond their nodes, and holes, where that is a sixteenth of all or more.
  void tighten();
  // Where there is room.
  void append(std::size_t list, NodeId node);
  // Forgets nodes from `count` on; they are the last of their lists.
  void truncate(std::size_t count);
  // Calls rename(node) for the new number of every node.
  template <class Rename>
  void rename(Rename&& rename) {
    for (std::size_t list = 0; list < list_count(); ++list) {
      for (std::size_t at = 0; at < size(list); ++at) {
        NodeId& node = node_slot(list, at);
        node = rename(node);
      }
    }
  }

  std::span<const ListExtent> extents() const { return extents_; }
  const AlignedBuffer& blocks() const { return blocks_; }
  std::size_t memory_bytes() const { return blocks_.size() + extents_.size() * sizeof(ListExtent); }
  // Throws std::runtime_error unless the lists lie in the blocks, apart, and hold each of `count` nodes once.
  void check(std::size_t count) const;

 private:
  NodeId& node_slot(std::size_t list, std::size_t at) {
    return reinterpret_cast<NodeId*>(block(list, at / block_nodes) + code_bytes_)[at % block_nodes];
  }
  void move_to_end(std::size_t list, std::uint32_t capacity_blocks);
  // keep_room: lists keep all blocks that are their own.
  void lay_out_anew(bool keep_room);

  std::size_t code_bytes_ = 0;
  std::size_t stride_bytes_ = 0;
  std::vector<ListExtent> extents_;
  AlignedBuffer blocks_;
  std::size_t hole_blocks_ = 0;
};

}  // namespace fastcbir
