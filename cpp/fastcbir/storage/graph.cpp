#include "fastcbir/storage/graph.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace fastcbir {
namespace {

constexpr std::size_t slots_per_line = row_alignment / sizeof(std::uint32_t);

void fill_free(AlignedBuffer& buffer, std::size_t from_bytes) {
  std::fill(buffer.data() + from_bytes, buffer.data() + buffer.size(), std::byte{0xFF});  // maybe of nothing
}

}  // namespace

GraphLinks::GraphLinks(std::size_t m0, std::size_t m, std::size_t payload_bytes)
    : m0_(m0),
      m_(m),
      payload_begin_bytes_(round_up(m0, slots_per_line) * sizeof(std::uint32_t)),
      stride0_((payload_begin_bytes_ + round_up(payload_bytes, row_alignment)) / sizeof(std::uint32_t)) {}

GraphLinks::GraphLinks(std::size_t m0, std::size_t m, std::size_t payload_bytes, AlignedBuffer level0,
                       AlignedBuffer levels, AlignedBuffer upper_begins, AlignedBuffer upper)
    : GraphLinks(m0, m, payload_bytes) {
  level0_ = std::move(level0);
  levels_ = std::move(levels);
  upper_begins_ = std::move(upper_begins);
  upper_ = std::move(upper);
}

void GraphLinks::append(std::span<const std::uint8_t> levels) {
  const std::size_t before = size();
  const std::size_t after = before + levels.size();
  std::size_t blocks = upper_.size() / (m_ * sizeof(std::uint32_t));
  const std::size_t level0_size = level0_.size();
  const std::size_t upper_size = upper_.size();
  std::size_t new_blocks = 0;
  for (const std::uint8_t level : levels) new_blocks += level;

  level0_.reserve(after * stride0_bytes());
  upper_.reserve(upper_size + new_blocks * m_ * sizeof(std::uint32_t));
  upper_begins_.reserve(after * sizeof(std::uint32_t));
  levels_.resize(after);  // all memory is there from here on
  level0_.resize(after * stride0_bytes());
  fill_free(level0_, level0_size);
  upper_.resize(upper_size + new_blocks * m_ * sizeof(std::uint32_t));
  fill_free(upper_, upper_size);
  upper_begins_.resize(after * sizeof(std::uint32_t));
  for (std::size_t i = 0; i < levels.size(); ++i) {
    levels_.as<std::uint8_t>()[before + i] = levels[i];
    upper_begins_.as<std::uint32_t>()[before + i] = static_cast<std::uint32_t>(blocks);
    blocks += levels[i];
  }
}

void GraphLinks::truncate(std::size_t size) {
  if (size < this->size()) {
    upper_.resize(upper_begins_.as<std::uint32_t>()[size] * m_ * sizeof(std::uint32_t));
  }
  levels_.resize(size);
  level0_.resize(size * stride0_bytes());
  upper_begins_.resize(size * sizeof(std::uint32_t));
}

void GraphLinks::set(NodeId node, std::size_t level, std::span<const NodeId> neighbors) {
  std::uint32_t* slots = block(node, level);
  const std::size_t room = capacity(level);
  for (std::size_t i = 0; i < neighbors.size(); ++i) store_link(slots[i], neighbors[i]);
  for (std::size_t i = neighbors.size(); i < room; ++i) store_link(slots[i], no_node);
}

void GraphLinks::check() const {
  const std::size_t nodes = size();
  const auto fail = [](std::size_t node, const std::string& why) {
    throw std::runtime_error("node " + std::to_string(node) + " " + why);
  };
  if (level0_.size() != nodes * stride0_bytes() || upper_begins_.size() != nodes * sizeof(std::uint32_t)) {
    throw std::runtime_error("link sections do not fit " + std::to_string(nodes) + " nodes");
  }
  const std::size_t blocks = upper_.size() / (m_ * sizeof(std::uint32_t));
  std::size_t expected_begin = 0;
  for (std::size_t node = 0; node < nodes; ++node) {
    const std::size_t top = levels_.as<std::uint8_t>()[node];
    if (top > max_level || upper_begins_.as<std::uint32_t>()[node] != expected_begin || expected_begin + top > blocks) {
      fail(node, "has a level that its link blocks do not fit");
    }
    expected_begin += top;
    for (std::size_t level = 0; level <= top; ++level) {
      const std::uint32_t* slots = block(static_cast<NodeId>(node), level);
      bool ended = false;
      for (std::size_t i = 0; i < capacity(level); ++i) {
        ended = ended || slots[i] == no_node;
        if (ended ? slots[i] != no_node : (slots[i] >= nodes || levels_.as<std::uint8_t>()[slots[i]] < level)) {
          fail(node,
               "has a link to node " + std::to_string(slots[i]) + " that is not on level " + std::to_string(level));
        }
      }
    }
  }
  if (expected_begin != blocks) throw std::runtime_error("there are link blocks that belong to no node");
}

}  // namespace fastcbir
