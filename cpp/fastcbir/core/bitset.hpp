// NodeBitset: one bit a node, growing with the index. Floor 0.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fastcbir/core/types.hpp"

namespace fastcbir {

class NodeBitset {
 public:
  NodeBitset() = default;
  explicit NodeBitset(std::size_t size, bool value = false) { resize(size, value); }
  NodeBitset(std::span<const std::uint64_t> words, std::size_t size)
      : words_(words.begin(), words.end()), size_(size) {}

  void resize(std::size_t size, bool value = false) {
    const std::size_t before = size_;
    words_.resize((size + 63) / 64, value ? ~std::uint64_t{0} : 0);
    size_ = size;
    if (value) {
      for (std::size_t bit = before; bit < size && bit % 64 != 0; ++bit)
        words_[bit / 64] |= std::uint64_t{1} << (bit % 64);
    }
    if (size % 64 != 0) words_.back() &= (std::uint64_t{1} << (size % 64)) - 1;
  }

  std::size_t size() const { return size_; }
  bool operator[](std::size_t index) const { return (words_[index / 64] >> (index % 64) & 1) != 0; }
  void set(std::size_t index) { words_[index / 64] |= std::uint64_t{1} << (index % 64); }
  void reset(std::size_t index) { words_[index / 64] &= ~(std::uint64_t{1} << (index % 64)); }

  std::size_t count() const {
    std::size_t total = 0;
    for (const std::uint64_t word : words_) total += static_cast<std::size_t>(std::popcount(word));
    return total;
  }

  // Calls visit(index) for every set bit, in order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (std::size_t at = 0; at < words_.size(); ++at) {
      for (std::uint64_t word = words_[at]; word != 0; word &= word - 1) {
        visit(at * 64 + static_cast<std::size_t>(std::countr_zero(word)));
      }
    }
  }

  std::span<const std::uint64_t> words() const { return words_; }

 private:
  std::vector<std::uint64_t> words_;
  std::size_t size_ = 0;
};

}  // namespace fastcbir
