#include "fastcbir/storage/lists.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace fastcbir {
namespace {

std::size_t stride_of(std::size_t code_bytes) {
  return round_up(code_bytes + InvertedLists::block_nodes * sizeof(NodeId), row_alignment);
}

std::uint32_t blocks_for(std::size_t nodes) {
  return static_cast<std::uint32_t>((nodes + InvertedLists::block_nodes - 1) / InvertedLists::block_nodes);
}

}  // namespace

InvertedLists::InvertedLists(std::size_t list_count, std::size_t code_bytes)
    : code_bytes_(code_bytes), stride_bytes_(stride_of(code_bytes)), extents_(list_count, ListExtent{0, 0, 0}) {}

InvertedLists::InvertedLists(std::span<const ListExtent> extents, std::size_t code_bytes, AlignedBuffer blocks)
    : code_bytes_(code_bytes),
      stride_bytes_(stride_of(code_bytes)),
      extents_(extents.begin(), extents.end()),
      blocks_(std::move(blocks)) {
  hole_blocks_ = blocks_.size() / stride_bytes_;
  for (const ListExtent& extent : extents_) hole_blocks_ -= std::min<std::size_t>(hole_blocks_, extent.capacity_blocks);
}

void InvertedLists::make_room(std::span<const std::uint32_t> more) {
  // All that will be needed is reserved first, so that nothing fails half way.
  std::size_t blocks_needed = 0;
  const auto capacity_for = [&](std::size_t list) {
    const std::uint32_t needed = blocks_for(std::size_t{extents_[list].size} + more[list]);
    const std::uint32_t have = extents_[list].capacity_blocks;
    return needed <= have ? have : std::max(needed, have + have / 2);
  };
  for (std::size_t list = 0; list < list_count(); ++list) {
    if (capacity_for(list) > extents_[list].capacity_blocks) blocks_needed += capacity_for(list);
  }
  if (blocks_needed == 0) return;
  blocks_.reserve(blocks_.size() + blocks_needed * stride_bytes_);
  for (std::size_t list = 0; list < list_count(); ++list) {
    const std::uint32_t capacity = capacity_for(list);
    if (capacity > extents_[list].capacity_blocks) move_to_end(list, capacity);
  }
  if (hole_blocks_ * 3 > blocks_.size() / stride_bytes_) lay_out_anew(true);
}

void InvertedLists::tighten() {
  std::size_t needed = 0;
  for (const ListExtent& extent : extents_) needed += blocks_for(extent.size);
  const std::size_t blocks = blocks_.size() / stride_bytes_;
  if (blocks < needed + (needed + 15) / 16) return;
  lay_out_anew(false);
  blocks_.shrink_to_fit();
}

void InvertedLists::move_to_end(std::size_t list, std::uint32_t capacity_blocks) {
  ListExtent& extent = extents_[list];
  const std::size_t end = blocks_.size() / stride_bytes_;
  blocks_.resize((end + capacity_blocks) * stride_bytes_);
  std::memcpy(blocks_.data() + end * stride_bytes_, blocks_.data() + extent.first_block * stride_bytes_,
              block_count(list) * stride_bytes_);
  hole_blocks_ += extent.capacity_blocks;
  extent.first_block = end;
  extent.capacity_blocks = capacity_blocks;
}

// In place: lists slide down over the holes, in the order in which they lie.
void InvertedLists::lay_out_anew(bool keep_room) {
  std::vector<std::uint32_t> order(list_count());
  for (std::size_t list = 0; list < order.size(); ++list) order[list] = static_cast<std::uint32_t>(list);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return extents_[a].first_block < extents_[b].first_block ||
           (extents_[a].first_block == extents_[b].first_block && a < b);
  });
  std::size_t end = 0;
  for (const std::uint32_t list : order) {
    ListExtent& extent = extents_[list];
    if (!keep_room) extent.capacity_blocks = blocks_for(extent.size);
    std::memmove(blocks_.data() + end * stride_bytes_, blocks_.data() + extent.first_block * stride_bytes_,
                 extent.capacity_blocks * stride_bytes_);
    extent.first_block = end;
    end += extent.capacity_blocks;
  }
  blocks_.resize(end * stride_bytes_);
  hole_blocks_ = 0;
}

void InvertedLists::append(std::size_t list, NodeId node) {
  const std::size_t at = extents_[list].size++;
  node_slot(list, at) = node;
}

void InvertedLists::truncate(std::size_t count) {
  for (std::size_t list = 0; list < list_count(); ++list) {
    while (extents_[list].size > 0 && node(list, extents_[list].size - 1) >= count) --extents_[list].size;
  }
}

void InvertedLists::check(std::size_t count) const {
  const std::size_t blocks = blocks_.size() / stride_bytes_;
  std::vector<bool> block_taken(blocks);
  std::vector<bool> seen(count);
  std::size_t total = 0;
  for (std::size_t list = 0; list < list_count(); ++list) {
    const ListExtent& extent = extents_[list];
    if (extent.capacity_blocks > blocks || extent.first_block > blocks - extent.capacity_blocks ||
        blocks_for(extent.size) > extent.capacity_blocks) {
      throw std::runtime_error("list " + std::to_string(list) + " lies outside of the blocks");
    }
    for (std::size_t at = 0; at < extent.capacity_blocks; ++at) {
      if (block_taken[extent.first_block + at]) throw std::runtime_error("two lists share a block");
      block_taken[extent.first_block + at] = true;
    }
    for (std::size_t at = 0; at < extent.size; ++at) {
      const NodeId found = node(list, at);
      if (found >= count || seen[found]) {
        throw std::runtime_error("list " + std::to_string(list) + " holds node " + std::to_string(found) +
                                 (found >= count ? ", which does not exist" : ", which is in another place too"));
      }
      seen[found] = true;
    }
    total += extent.size;
  }
  if (total != count) {
    throw std::runtime_error("the lists hold " + std::to_string(total) + " nodes of " + std::to_string(count));
  }
}

}  // namespace fastcbir
