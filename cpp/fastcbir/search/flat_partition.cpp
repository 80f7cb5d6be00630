#include "fastcbir/search/flat_partition.hpp"

#include <algorithm>

namespace fastcbir {

std::size_t FlatPartition::probe(const void* query, std::size_t wanted, const InvertedLists&, ProbeScratch& scratch,
                                 std::vector<Probe>& probes) const {
  const Space& space = centroids_.space();
  const std::size_t count = centroids_.count();
  scratch.values.resize(count);
  space.kernels().block(query, centroids_.rows().row(0), space.stride_bytes(), count, space.dim(),
                        scratch.values.data());
  wanted = std::min(wanted, count);
  scratch.nearest.reset(wanted);
  alignas(row_alignment) Key keys[list_block + 40];  // a beam reads beyond what is pushed
  for (std::size_t begin = 0; begin < count; begin += list_block) {
    const std::size_t found = keys_within(
        scratch.values.data() + begin, std::min(list_block, count - begin), scratch.nearest.bound(),
        [&](std::size_t i) { return static_cast<NodeId>(begin + i); }, keys);
    if (found > 0) scratch.nearest.push(keys, found);
  }
  probes.clear();
  scratch.nearest.for_each([&](NodeId list) { probes.push_back({scratch.values[list], list}); });
  const auto nearer = [](const Probe& a, const Probe& b) {
    return a.value < b.value || (a.value == b.value && a.list < b.list);
  };
  if (!std::is_sorted(probes.begin(), probes.end(), nearer)) std::sort(probes.begin(), probes.end(), nearer);
  return count;
}

}  // namespace fastcbir
