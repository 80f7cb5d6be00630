#include "fastcbir/search/product_partition.hpp"

#include <algorithm>
#include <cstring>

namespace fastcbir {
namespace {

std::size_t first_dim(const Space& space, bool second) { return second ? space.dim() / 2 : 0; }

}  // namespace

ProductPartition::ProductPartition(const Space& space, Centroids first, Centroids second)
    : space_(space), halves_{std::move(first), std::move(second)} {}

Space ProductPartition::half_of(const Space& space, bool second) {
  const std::size_t half = space.dim() / 2;
  // Halves of unit vectors have no unit length: they are compared by inner product, not by direction.
  const Metric metric = space.metric() == Metric::l2 ? Metric::l2 : Metric::ip;
  return Space(second ? space.dim() - half : half, metric, space.type());
}

void ProductPartition::split(const Space& space, bool second, const std::byte* rows, std::size_t count, bool query,
                             AlignedBuffer& part) {
  const Space half = half_of(space, second);
  const std::size_t bytes = query ? query_bytes_of(space.type()) : bytes_of(space.type());
  const std::size_t from_stride = query ? space.query_stride_bytes() : space.stride_bytes();
  const std::size_t to_stride = query ? half.query_stride_bytes() : half.stride_bytes();
  if (part.size() < count * to_stride) part.resize(count * to_stride);
  for (std::size_t i = 0; i < count; ++i) {
    std::byte* to = part.data() + i * to_stride;
    std::memcpy(to, rows + i * from_stride + first_dim(space, second) * bytes, half.dim() * bytes);
    std::memset(to + half.dim() * bytes, 0, to_stride - half.dim() * bytes);
  }
}

void ProductPartition::assign(const std::byte* rows, std::size_t count, std::span<const PackedCentroids> packed,
                              std::uint32_t* lists, Workspace& workspace) const {
  workspace.found.resize(count);
  for (const bool second : {false, true}) {
    split(space_, second, rows, count, false, workspace.parts);
    halves_[second].nearest(workspace.parts.data(), count, packed[second], second ? workspace.found.data() : lists,
                            nullptr, workspace.nearest);
  }
  const auto width = static_cast<std::uint32_t>(halves_[1].count());
  for (std::size_t i = 0; i < count; ++i) lists[i] = lists[i] * width + workspace.found[i];
}

void ProductPartition::centroid(std::size_t list, std::byte* row) const {
  const std::size_t bytes = bytes_of(space_.type());
  std::memset(row, 0, space_.stride_bytes());
  const std::size_t at[2] = {list / halves_[1].count(), list % halves_[1].count()};
  for (const bool second : {false, true}) {
    const Centroids& half = halves_[second];
    std::memcpy(row + first_dim(space_, second) * bytes, half.rows().row(static_cast<NodeId>(at[second])),
                half.space().dim() * bytes);
  }
}

// Both halves sorted by value, a cell (i, j) comes after (i - 1, j) and (i, j - 1). depth[i] says how many cells of row
// i have been visited, and each row has at most one cell in the heap: (i, depth[i]), once depth[i - 1] is beyond it.
std::size_t ProductPartition::probe(const void* query, std::size_t wanted, const InvertedLists& lists,
                                    ProbeScratch& scratch, std::vector<Probe>& probes) const {
  const std::size_t count[2] = {halves_[0].count(), halves_[1].count()};
  scratch.values.resize(count[0] + count[1]);
  scratch.order.resize(count[0] + count[1]);
  Probe* order[2] = {scratch.order.data(), scratch.order.data() + count[0]};
  for (const bool second : {false, true}) {
    split(space_, second, static_cast<const std::byte*>(query), 1, true, scratch.parts);
    const Space& half = halves_[second].space();
    float* values = scratch.values.data();
    half.kernels().block(scratch.parts.data(), halves_[second].rows().row(0), half.stride_bytes(), count[second],
                         half.dim(), values);
    for (std::size_t i = 0; i < count[second]; ++i) order[second][i] = {values[i], static_cast<std::uint32_t>(i)};
    std::sort(order[second], order[second] + count[second], [](const Probe& a, const Probe& b) {
      return a.value < b.value || (a.value == b.value && a.list < b.list);
    });
  }
  std::vector<std::uint32_t>& depth = scratch.depth;
  std::vector<std::uint32_t>& heap = scratch.heap;  // rows
  depth.assign(count[0], 0);
  heap.assign(1, 0u);
  const auto value_of = [&](std::uint32_t row) { return order[0][row].value + order[1][depth[row]].value; };
  const auto farther = [&](std::uint32_t a, std::uint32_t b) {
    const float of_a = value_of(a), of_b = value_of(b);
    return of_a > of_b || (of_a == of_b && a > b);
  };
  probes.clear();
  while (!heap.empty() && probes.size() < wanted) {
    std::pop_heap(heap.begin(), heap.end(), farther);
    const std::uint32_t row = heap.back();
    heap.pop_back();
    const std::uint32_t list = order[0][row].list * static_cast<std::uint32_t>(count[1]) + order[1][depth[row]].list;
    if (lists.size(list) > 0) probes.push_back({value_of(row), list});
    const auto enter = [&](std::uint32_t next) {
      heap.push_back(next);
      std::push_heap(heap.begin(), heap.end(), farther);
    };
    // The row below waits for this one when its next cell is the one under what was just visited.
    const bool below_waits = row + 1 < count[0] && depth[row + 1] == depth[row];
    ++depth[row];
    if (depth[row] < count[1] && (row == 0 || depth[row - 1] > depth[row])) enter(row);
    if (below_waits) enter(row + 1);
  }
  return count[0];  // two halves make one whole comparison
}

}  // namespace fastcbir
