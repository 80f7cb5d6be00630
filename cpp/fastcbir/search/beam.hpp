// SortedBeam: the ef nearest nodes seen so far, sorted, each marked once expanded. Floor 3.
#pragma once

#include <algorithm>
#include <cstddef>

#include "fastcbir/core/aligned_buffer.hpp"
#include "fastcbir/core/types.hpp"
#include "fastcbir/kernels/dispatch.hpp"
#include "fastcbir/search/keys.hpp"

namespace fastcbir {

// Candidates and results at once: the search ends when all of the ef nearest are expanded, which is the stop rule of
// Malkov & Yashunin's algorithm 2.
class SortedBeam {
 public:
  void reset(std::size_t ef) {
    const std::size_t room = round_up(ef, keys_per_line);
    if (buffer_.size() < room * sizeof(Key)) buffer_.resize(room * sizeof(Key));
    keys_ = buffer_.as<Key>().data();
    std::fill_n(keys_, room, kernels::empty_key);
    capacity_ = ef;
    size_ = 0;
    cursor_ = 0;
    worst_ = infinity;
    limit_ = kernels::empty_key;
  }

  // Values from here on are not worth a push.
  float bound() const { return worst_; }

  // Takes in those keys that are near enough; may overwrite them.
  void push(Key* added, std::size_t count) {
    const std::size_t near = keep_below(added, count, bound_key(worst_));
    if (near == 0) return;
    // A beam that is not full is as long as what it holds.
    const std::size_t length = std::min(size_ + near, capacity_);
    cursor_ = std::min(cursor_, insert_(keys_, size_, length, added, near));
    size_ = length;
    if (size_ == capacity_) worst_ = value_of(keys_[size_ - 1]);
  }
  void push(float value, NodeId node) {
    Key key = key_of(value, node);
    push(&key, 1);
  }

  // From here on nothing of the value `expand` or above is expanded, and nothing taken in unless it is below `keep`.
  // Both may only fall from call to call.
  void limit(float expand, float keep) {
    limit_ = std::min(limit_, bound_key(expand));
    const float take = std::max(expand, keep);
    if (!(take < worst_)) return;
    worst_ = take;
    const Key last = bound_key(take);
    while (size_ > 0 && keys_[size_ - 1] >= last) keys_[--size_] = kernels::empty_key;
    cursor_ = std::min(cursor_, size_);
  }

  // The nearest node not yet expanded, which now is; false if there is none, or none within the limit.
  bool pop(Neighbor& next) {
    while (cursor_ < size_ && (keys_[cursor_] & 1) != 0) ++cursor_;
    if (cursor_ == size_ || keys_[cursor_] >= limit_) return false;
    next = neighbor_of(keys_[cursor_]);
    keys_[cursor_++] |= 1;
    return true;
  }

  // The node that pop() would give next if nothing nearer came; no_node if none.
  NodeId peek() const {
    const std::size_t at = next_rank();
    return at < size_ ? node_of(keys_[at]) : no_node;
  }
  // How many are nearer than that node; size() if there is none.
  std::size_t next_rank() const {
    std::size_t at = cursor_;
    while (at < size_ && (keys_[at] & 1) != 0) ++at;
    return at;
  }

  // That node's value; infinity if there is none.
  float next_value() const {
    const std::size_t at = next_rank();
    return at < size_ ? value_of(keys_[at]) : infinity;
  }

  std::size_t size() const { return size_; }
  Neighbor operator[](std::size_t rank) const { return neighbor_of(keys_[rank]); }

 private:
  static constexpr std::size_t keys_per_line = row_alignment / sizeof(Key);

  decltype(kernels::BeamKernels::insert) insert_ = kernels::active().beam.insert;
  AlignedBuffer buffer_;
  Key* keys_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
  std::size_t cursor_ = 0;  // everything before it is expanded
  float worst_ = infinity;
  Key limit_ = kernels::empty_key;  // keys from here on are not expanded
};

}  // namespace fastcbir
